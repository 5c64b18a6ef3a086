/**
 * JSON from other programs: the texts that are accepted, the texts that are refused, and the
 * values, which stay the same.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { NESTING_LIMIT, readJsonObject } from "../lib/wire/json_text.ts";
import { Random } from "./support/random.ts";

const ENCODER = new TextEncoder();

interface Read {
  text: string;
  members: Record<string, string>;
}

function read(text: string): Read {
  const found = readJsonObject(ENCODER.encode(text));
  assert("text" in found, JSON.stringify(found));
  return { text: found.text, members: Object.fromEntries(found.members) };
}

function wrong(text: string | Uint8Array<ArrayBuffer>): string {
  const found = readJsonObject(typeof text === "string" ? ENCODER.encode(text) : text);
  assert("wrong" in found, JSON.stringify(found));
  return found.wrong;
}

Deno.test("readJsonObject() does not change QEMU's output", () => {
  let lines = 0;
  for (const version of ["7.2", "10.0", "11.1"]) {
    const url = new URL(`corpus/qemu-${version}.jsonl`, import.meta.url);
    for (const row of Deno.readTextFileSync(url).trimEnd().split("\n").slice(1)) {
      const { recv = "" } = JSON.parse(row);
      for (const line of recv.split("\r\n").filter((line: string) => line.startsWith("{"))) {
        // QEMU writes inf for a number in an id that is too large; S stands for seconds.
        if (/[ []-?inf\b|: S\b/.test(line)) continue;
        assertEquals(read(line).text, line);
        lines++;
      }
    }
  }
  assert(lines > 1000, `${lines}`);
});

Deno.test("readJsonObject() returns the members of the object as text", () => {
  assertEquals(read('{"return": {"a": [1, 2], "b": {}}, "id": 18446744073709551615}').members, {
    "return": '{"a": [1, 2], "b": {}}',
    "id": "18446744073709551615",
  });
  assertEquals(read('{"a":1.50e+2,"\\u0062":"x","a":-0}').members, { a: "-0", b: '"x"' });
  assertEquals(read("{}"), { text: "{}", members: {} });
});

Deno.test("readJsonObject() escapes all but printable ASCII, in values and in names", () => {
  const { text, members } = read('{"\u00e9": "\x7f\u009b\u202e\u{1f600}\u{e0041}"}');
  assertEquals(text, '{"\\u00e9": "\\u007f\\u009b\\u202e\\ud83d\\ude00\\udb40\\udc41"}');
  assertEquals(members, { "\u00e9": '"\\u007f\\u009b\\u202e\\ud83d\\ude00\\udb40\\udc41"' });
  const long = "\u{1f600}".repeat(100_000);
  assertEquals(JSON.parse(read(`{"a": "${long}"}`).text), { a: long });
});

Deno.test("readJsonObject() joins several lines into one, as QEMU would have written it", () => {
  const pretty =
    '{\r\n    "a": [\r\n        1,\r\n        "x  y"\r\n    ],\r\n    "b": {\r\n    }\r\n}\r\n';
  assertEquals(read(pretty).text, '{"a": [1, "x  y"], "b": {}}');
  assertEquals(read(' \t{"a" :\t1 ,"b" : 2 } \n'), {
    text: '{"a" : 1 ,"b" : 2 }',
    members: { a: "1", b: "2" },
  });
});

for (
  const text of [
    "",
    "[]",
    "5",
    '{"a": inf}',
    '{"a": nan}',
    '{"a": -inf}',
    '{"a": 01}',
    '{"a": 1.}',
    '{"a": 1e}',
    '{"a": +1}',
    '{"a": truely}',
    '{"a": }',
    '{"a" 1}',
    '{"a": 1 "b": 2}',
    '{"a": 1,}',
    '{"a": [1,]}',
    '{"a": [1}',
    '{"a": {"b": 1]}',
    '{"a": 1}}',
    '{"a": 1} {}',
    '{"a": 1},',
    '{"a": 1}:',
    "{'a': 1}",
    '{"a": "\x1b"}',
    '{"a": "\\x"}',
    '{"a": "\\u12"}',
    '{"a": "',
    '{"a": [',
    '{"a": \u{1f600}}',
  ]
) {
  Deno.test(`readJsonObject() refuses ${JSON.stringify(text)}`, () => {
    assertMatch(wrong(text), /^[\x20-\x7e]{10,120}$/);
  });
}

Deno.test("readJsonObject() refuses invalid UTF-8", () => {
  assertEquals(
    wrong(Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d)),
    "invalid UTF-8: byte 0xff at offset 2",
  );
});

Deno.test("readJsonObject() refuses a value nested past the limit", () => {
  const nested = (depth: number): string =>
    `{"a": ${"[".repeat(depth - 1)}${"]".repeat(depth - 1)}}`;
  assertEquals(read(nested(NESTING_LIMIT)).text, nested(NESTING_LIMIT));
  assertEquals(wrong(nested(NESTING_LIMIT + 1)), "nested deeper than 1024 levels");
  assertEquals(wrong(`{"a": ${"[".repeat(1 << 20)}`), "nested deeper than 1024 levels");
});

/** Returns a JSON text, or one with a small mistake. */
function someText(random: Random): string {
  const chars = [
    '"',
    "\\",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "0",
    "-",
    "e",
    ".",
    " ",
    "\n",
    "t",
    "\u202e",
  ];
  const value = (depth: number): string => {
    switch (random.below(depth > 3 ? 5 : 7)) {
      case 0:
        return random.pick(["0", "-1.5e3", "18446744073709551615", "1E-2"]);
      case 1:
        return random.pick(["true", "false", "null"]);
      case 2:
        return random.pick(['""', '"a\\n"', '"\\ud800"', '"\u202e\u{1f600}"', '"\\"\\\\"']);
      case 3:
        return "[]";
      case 4:
        return "{ }";
      case 5:
        return `[${value(depth + 1)},${value(depth + 1)}]`;
      default:
        return `{"k": ${value(depth + 1)}, "\\u006b" :\n${value(depth + 1)}}`;
    }
  };
  let text = `{"a": ${value(0)}}`;
  for (let mistakes = random.below(3); mistakes > 0; mistakes--) {
    const at = random.below(text.length + 1);
    text = text.slice(0, at) + random.pick(chars) + text.slice(at + random.below(2));
  }
  return text;
}

Deno.test("readJsonObject() accepts exactly the objects that JSON.parse() accepts, as the same values", () => {
  const random = new Random(1);
  let taken = 0;
  for (let i = 0; i < 30_000; i++) {
    const bytes = ENCODER.encode(someText(random));
    const source = new TextDecoder().decode(bytes);
    let value: unknown;
    try {
      value = JSON.parse(source);
    } catch (error) {
      assert(error instanceof SyntaxError);
    }
    const found = readJsonObject(bytes);
    const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
    assertEquals("text" in found, isObject, source);
    if (!("text" in found)) continue;
    taken++;
    assert(/^[\x20-\x7e]*$/.test(found.text), source);
    assertEquals(JSON.parse(found.text), value);
    const members = [...found.members].map(([name, text]) => [name, JSON.parse(text)]);
    assertEquals(Object.fromEntries(members), value);
  }
  assert(taken > 5_000, `${taken}`);
});
