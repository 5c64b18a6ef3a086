/**
 * QEMU's strings, valid and invalid.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { respellString } from "../lib/wire/spelling.ts";
import { asciiBytes, asciiText, isPlain, shown, stringAt, wrongString } from "../lib/wire/text.ts";
import { bytesOf, latin, latinText } from "./support/cuts.ts";

/** Reads a token of these bytes in double quotes, or returns what is wrong with it. */
function read(body: string): string {
  const bytes = latin(`"${body}"`);
  const wrong = wrongString(bytes, 0, bytes.length);
  return wrong === undefined ? stringAt(bytes, 0, bytes.length) : `wrong: ${wrong}`;
}

/** Returns text as the bytes of its UTF-8, one character per byte. */
function utf8(text: string): string {
  return latinText(bytesOf(text));
}

Deno.test("stringAt() reads ASCII and UTF-8 of two, three and four bytes", () => {
  assertEquals(read("plain \x7f~"), "plain \x7f~");
  assertEquals(stringAt(bytesOf('"é€😀"'), 0, 11), "é€😀");
});

Deno.test("stringAt() reads every escape of JSON, and a single quote's", () => {
  assertEquals(read(`\\"\\'\\\\\\/\\b\\f\\n\\r\\t`), "\"'\\/\b\f\n\r\t");
  assertEquals(read("\\u0041\\u00e9\\u20AC\\uFffd"), "Aé€\ufffd");
});

Deno.test("stringAt() reads NUL, as an escape and as C0 80", () => {
  assertEquals(read("a\\u0000b"), "a\0b");
  assertEquals(read("a\xc0\x80b"), "a\0b");
});

Deno.test("stringAt() reads a pair of escaped surrogates as one character", () => {
  assertEquals(read("\\ud83d\\ude00"), "😀");
  assertEquals(read("\\uDBFF\\uDFFD"), "\u{10fffd}");
});

Deno.test("wrongString() names a lone surrogate", () => {
  for (const rest of ["", "x", "\\n", "\\u0041", "\\ud83d", "\\u12", "\\"]) {
    if (rest === "\\") continue;
    const wanted = "wrong: \\ud83d is not a valid Unicode character";
    assertEquals(read(`\\ud83d${rest}`).slice(0, wanted.length), wanted);
  }
  assertEquals(read("\\ude00\\ud83d"), "wrong: \\ude00 is not a valid Unicode character");
});

Deno.test("wrongString() names an escaped non-character", () => {
  for (const code of ["fdd0", "fdef", "fffe", "FFFF"]) {
    assertEquals(read(`\\u${code}`), `wrong: \\u${code} is not a valid Unicode character`);
  }
  assertEquals(read("\\ud83f\\udffe"), "wrong: \\ud83f\\udffe is not a valid Unicode character");
});

Deno.test("wrongString() shows the four bytes after an invalid escape", () => {
  assertEquals(read("\\uzzzzzz"), "wrong: \\uzzzz is not a valid Unicode character");
  assertEquals(read("\\u12"), 'wrong: \\u12" is not a valid Unicode character');
  assertEquals(read("\\u"), 'wrong: \\u" is not a valid Unicode character');
  assertEquals(read("\\u+123"), "wrong: \\u+123 is not a valid Unicode character");
  assertEquals(read("\\u 123"), "wrong: \\u 123 is not a valid Unicode character");
});

Deno.test("wrongString() refuses other escapes", () => {
  for (const escape of ["x", "a", "0", "U", "v", " "]) {
    assertEquals(read(`\\${escape}`), "wrong: invalid escape sequence in string");
  }
});

const WRONG_UTF8 = {
  "a continuation alone": "\x80",
  "a lead alone": "\xc3",
  "a lead before a lead": "\xe2",
  "two of three bytes": "\xe2\x82",
  "an overlong slash": "\xc0\xaf",
  "an overlong of three": "\xe0\x80\xaf",
  "NUL in three": "\xe0\x80\x80",
  "a surrogate": "\xed\xa0\x80",
  "a non-character": "\xef\xb7\x90",
  "U+FFFF": "\xef\xbf\xbf",
  "beyond U+10FFFF": "\xf4\x90\x80\x80",
  "five bytes": "\xf8\x88\x80\x80\x80",
  "six bytes": "\xfc\x84\x80\x80\x80\x80",
  "0xFE": "\xfe",
  "0xFF": "\xff",
};

for (const [name, bytes] of Object.entries(WRONG_UTF8)) {
  Deno.test(`wrongString() refuses ${name}, with any text before and after`, () => {
    assertEquals(read(bytes), "wrong: invalid UTF-8 sequence in string");
    assertEquals(read(`ok${bytes}ok`), "wrong: invalid UTF-8 sequence in string");
  });

  Deno.test(`shown() has one U+FFFD for ${name}, and continues after it`, () => {
    const all = latin(`a${bytes}b`);
    assertEquals(shown(all, 0, all.length), "a\ufffdb");
  });
}

Deno.test("shown() ends at a NUL, but shows C0 80 as one", () => {
  assertEquals(shown(latin("a\0b"), 0, 3), "a");
  assertEquals(shown(latin("a\xc0\x80b"), 0, 4), "a\0b");
});

Deno.test("shown() stops at the given end", () => {
  assertEquals(shown(bytesOf("a€b"), 1, 3), "\ufffd");
  assertEquals(shown(bytesOf("a€b"), 1, 4), "€");
});

Deno.test("asciiText() and asciiBytes() convert text to bytes and back, long text too", () => {
  for (const text of ["", "abc", "x".repeat(5000)]) {
    const bytes = asciiBytes(`<${text}>`);
    assertEquals(asciiText(bytes, 1, bytes.length - 1), text);
  }
});

Deno.test("isPlain() is true only for printable ASCII in double quotes", () => {
  const plain = (text: string): boolean => isPlain(latin(text), 0, text.length);
  assert(plain('""') && plain('"abc ~\'"'));
  for (const text of ["'abc'", '"a\\n"', '"\x7f"', '"\xc3\xa9"']) assert(!plain(text), text);
});

/** Returns a token of these bytes, rewritten. */
function respelled(token: string): string {
  const bytes = latin(token);
  const out = new Uint8Array(3 * bytes.length + 2).fill(0x2a);
  const end = respellString(bytes, 0, bytes.length, out, 1);
  assertEquals([out[0], out[end]], [0x2a, 0x2a]);
  return latinText(out.subarray(1, end));
}

Deno.test("respellString() changes single quotes to double ones", () => {
  assertEquals(respelled("'abc'"), '"abc"');
  assertEquals(respelled(`'a"b'`), '"a\\"b"');
  assertEquals(respelled("'a\\'b'"), `"a'b"`);
  assertEquals(respelled('"a\\\'b"'), `"a'b"`);
});

Deno.test("respellString() does not change other escapes and UTF-8", () => {
  const token = `"\\"\\\\\\/\\b\\f\\n\\r\\t\\u00E9${utf8("é€😀")}'"`;
  assertEquals(respelled(token), token);
});

Deno.test("respellString() writes C0 80 as an escape", () => {
  assertEquals(respelled('"a\xc0\x80b"'), '"a\\u0000b"');
});
