/**
 * Tokens: QEMU's lexer, for bytes cut anywhere.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import * as token from "../lib/wire/lexer.ts";
import {
  bytesOf,
  fed,
  fedAtCuts,
  latin,
  latinText,
  pairsOf,
  type Splitter,
} from "./support/cuts.ts";

const NAMES = [
  ..."NONE LEFT_BRACE RIGHT_BRACE LEFT_SQUARE RIGHT_SQUARE COLON COMMA INTEGER".split(" "),
  ..."FLOAT KEYWORD STRING STRAY OVERSIZE".split(" "),
];

/** A lexer whose tokens are text: kind, bytes, and optionally their place. */
class Tokens implements Splitter<string> {
  readonly #lexer = new token.Lexer();
  readonly #places: boolean;

  constructor(places = false) {
    this.#places = places;
  }

  load(chunk: Uint8Array): void {
    this.#lexer.load(chunk);
  }

  next(): string | undefined {
    const lexer = this.#lexer;
    const kind = lexer.next();
    if (kind === token.NONE) return undefined;
    const text = latinText(lexer.bytes.subarray(lexer.start, lexer.end));
    const place = this.#places ? `${lexer.line}:${lexer.column} ` : "";
    return `${place}${NAMES[kind]} ${text}`;
  }
}

function tokens(input: string | Uint8Array): string[] {
  return fedAtCuts(() => new Tokens(), input);
}

function placed(input: string | Uint8Array): string[] {
  return fedAtCuts(() => new Tokens(true), input);
}

Deno.test("Lexer.next() returns punctuation immediately", () => {
  assertEquals(tokens("{}[]:,"), [
    "LEFT_BRACE {",
    "RIGHT_BRACE }",
    "LEFT_SQUARE [",
    "RIGHT_SQUARE ]",
    "COLON :",
    "COMMA ,",
  ]);
});

Deno.test("Lexer.next() ignores space, tab, carriage return and newline", () => {
  assertEquals(tokens(" \t\r\n{ \t\r\n} \t\r\n"), ["LEFT_BRACE {", "RIGHT_BRACE }"]);
});

Deno.test("Lexer.next() returns form feed, vertical tab and a byte order mark as stray", () => {
  assertEquals(tokens("\f"), ["STRAY \f"]);
  assertEquals(tokens("\v"), ["STRAY \v"]);
  assertEquals(tokens("\ufeff{"), ["STRAY \xef", "LEFT_BRACE {"]);
});

for (const literal of ["0", "-0", "1", "-1", "10", "9223372036854775808", "-123"]) {
  Deno.test(`Lexer.next() reads ${literal} as an integer`, () => {
    assertEquals(tokens(`${literal} `), [`INTEGER ${literal}`]);
    assertEquals(tokens(`[${literal}]`).slice(1), [`INTEGER ${literal}`, "RIGHT_SQUARE ]"]);
  });
}

for (const literal of ["0.5", "-0.0", "1.25", "1e5", "1E5", "1e+5", "1e-5", "0.0e1", "12.5E-10"]) {
  Deno.test(`Lexer.next() reads ${literal} as a float`, () => {
    assertEquals(tokens(`${literal},`), [`FLOAT ${literal}`, "COMMA ,"]);
  });
}

const WRONG_NUMBERS: Record<string, string> = {
  "01": "01",
  "00": "00",
  "-": "- ",
  "--1": "--",
  "-a": "-a",
  "-.5": "-.",
  "+1": "+",
  ".5": ".",
  "1.": "1. ",
  "1.e1": "1.e",
  "1e": "1e ",
  "1ex": "1ex",
  "1e+": "1e+ ",
  "1e+-": "1e+-",
  "0.x": "0.x",
};

for (const [literal, stray] of Object.entries(WRONG_NUMBERS)) {
  Deno.test(`Lexer.next() returns ${literal} as stray up to the first invalid byte`, () => {
    assertEquals(tokens(`${literal} ,1,`), [
      `STRAY ${stray}`,
      "COMMA ,",
      "INTEGER 1",
      "COMMA ,",
    ]);
  });
}

Deno.test("Lexer.next() ends a number with a leading zero before a letter", () => {
  assertEquals(tokens("0e0 "), ["INTEGER 0", "KEYWORD e", "INTEGER 0"]);
  assertEquals(tokens("0x10 "), ["INTEGER 0", "KEYWORD x", "INTEGER 10"]);
});

Deno.test("Lexer.next() ends a number or word only at the byte after it", () => {
  assertEquals(tokens("1"), []);
  assertEquals(tokens("true"), []);
  assertEquals(tokens("1.5"), []);
  assertEquals(tokens("1true "), ["INTEGER 1", "KEYWORD true"]);
  assertEquals(tokens("true1 "), ["KEYWORD true", "INTEGER 1"]);
  assertEquals(tokens("1.5-1 "), ["FLOAT 1.5", "INTEGER -1"]);
  assertEquals(tokens("1e5a "), ["FLOAT 1e5", "KEYWORD a"]);
});

Deno.test("Lexer.next() reads any lower-case letters as a keyword, and no others", () => {
  assertEquals(tokens("nan "), ["KEYWORD nan"]);
  assertEquals(tokens("nulL,"), ["KEYWORD nul", "STRAY L", "COMMA ,"]);
  assertEquals(tokens("a_,"), ["KEYWORD a", "STRAY _", "COMMA ,"]);
});

Deno.test("Lexer.next() accepts strings in either quotes", () => {
  assertEquals(tokens(`"a'b"'c"d'""''`), [
    `STRING "a'b"`,
    `STRING 'c"d'`,
    `STRING ""`,
    "STRING ''",
  ]);
});

Deno.test("Lexer.next() reads a backslash and the next byte as two bytes of a string", () => {
  assertEquals(tokens(`"\\"" '\\'' "\\\\"`), [`STRING "\\""`, `STRING '\\''`, `STRING "\\\\"`]);
});

Deno.test("Lexer.next() leaves UTF-8 and escapes in strings to the parser", () => {
  const text = '"\x7f\x80\xc3\xfd\\x\\\x80"';
  assertEquals(tokens(latin(text)), [`STRING ${text}`]);
});

for (const stop of ["\x00", "\x01", "\t", "\n", "\r", "\x1f", "\xfe", "\xff"]) {
  const hex = stop.charCodeAt(0).toString(16);

  Deno.test(`Lexer.next() ends a string as stray at byte ${hex}, and continues after it`, () => {
    assertEquals(tokens(latin(`"ab${stop},`)), [`STRAY "ab${stop}`, "COMMA ,"]);
    assertEquals(tokens(latin(`'ab${stop},`)), [`STRAY 'ab${stop}`, "COMMA ,"]);
    assertEquals(tokens(latin(`"\\${stop},`)), [`STRAY "\\${stop}`, "COMMA ,"]);
    assertEquals(tokens(latin(`'\\${stop},`)), [`STRAY '\\${stop}`, "COMMA ,"]);
  });
}

Deno.test("Lexer.next() skips from a stray byte to the next structural one", () => {
  for (const structural of ["{", "}", "[", "]", ":", ","]) {
    assertEquals(tokens(`HELLO "1' true\t\x7f${structural}`).length, 2);
  }
});

Deno.test("Lexer.next() skips from a stray byte to the next control byte other than tab", () => {
  assertEquals(tokens("H\tx\n1 "), ["STRAY H", "INTEGER 1"]);
  assertEquals(tokens("H x\r1 "), ["STRAY H", "INTEGER 1"]);
  assertEquals(tokens("H x\x001 ,"), ["STRAY H", "STRAY \x00", "COMMA ,"]);
  assertEquals(tokens("H x\x0c,"), ["STRAY H", "STRAY \f", "COMMA ,"]);
});

Deno.test("Lexer.next() returns each 0xFF as a token of its own, also while it skips", () => {
  assertEquals(tokens(latin("\xff\xff\xfe")), ["STRAY \xff", "STRAY \xff", "STRAY \xfe"]);
  assertEquals(tokens(latin("H\xff\n1 ")), ["STRAY H", "STRAY \xff", "INTEGER 1"]);
});

Deno.test("Lexer.next() returns the same at every cut in two", () => {
  const bytes = latin(`{"a": [1, -2.5e3, true], '\xc3\xa9': "\\u0041"} HELLO\n[0]\xff 12 `);
  const whole = fed(new Tokens(), [bytes]);
  for (const pair of pairsOf(bytes)) assertEquals(fed(new Tokens(), pair), whole);
});

Deno.test("Lexer.next() returns a token of many chunks whole", () => {
  const text = `"${"0123456789".repeat(20_000)}"`;
  const chunks = Array.from(
    { length: 200 },
    (_, i) => bytesOf(text.slice(i * 1001, (i + 1) * 1001)),
  );
  assertEquals(fed(new Tokens(), chunks), [`STRING ${text}`]);
});

Deno.test("Lexer.line and column locate a token's start, counted in bytes from 1", () => {
  assertEquals(placed('{ "a":\n  "é" ,\r\n\n["b"] }'), [
    "1:1 LEFT_BRACE {",
    '1:3 STRING "a"',
    "1:6 COLON :",
    '2:3 STRING "Ã©"',
    "2:8 COMMA ,",
    "4:1 LEFT_SQUARE [",
    '4:2 STRING "b"',
    "4:5 RIGHT_SQUARE ]",
    "4:7 RIGHT_BRACE }",
  ]);
});

Deno.test("Lexer.column is one too large after a number or word, as QEMU's is", () => {
  assertEquals(placed("1:true,"), [
    "1:1 INTEGER 1",
    "1:3 COLON :",
    "1:3 KEYWORD true",
    "1:8 COMMA ,",
  ]);
});

Deno.test("Lexer.line counts a line that ends in skipped bytes, and a number's own", () => {
  assertEquals(placed("HELLO\n,"), ["1:1 STRAY H", "2:1 COMMA ,"]);
  assertEquals(placed('"a\n\n,'), ['1:1 STRAY "a\n', "3:1 COMMA ,"]);
  assertEquals(placed("1\n,"), ["1:1 INTEGER 1", "2:1 COMMA ,"]);
});
