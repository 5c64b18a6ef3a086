/**
 * Traversal of a value: its kinds, its parts and its texts.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { Cursor } from "../lib/wire/cursor.ts";
import { FrameSplitter } from "../lib/wire/frame.ts";
import { NameTable } from "../lib/wire/names.ts";
import { Random } from "./support/random.ts";

/** Returns a cursor at the value that a client sends. */
function value(text: string): Cursor {
  const splitter = new FrameSplitter();
  splitter.load(new TextEncoder().encode(`${text} `));
  const frame = splitter.next();
  if (frame === undefined || "damage" in frame) throw new Error(`${text} cannot be framed`);
  return new Cursor(frame.bytes);
}

/** Builds the value at a cursor, and moves the cursor past it. */
function built(cursor: Cursor): unknown {
  const { isObject, isArray } = cursor;
  if (isObject) {
    const members = new Map<string, unknown>();
    if (!cursor.enter()) return members;
    do members.set(cursor.key(), built(cursor)); while (cursor.next());
    return members;
  }
  if (isArray) {
    const elements: unknown[] = [];
    if (!cursor.enter()) return elements;
    do elements.push(built(cursor)); while (cursor.next());
    return elements;
  }
  const { scalar } = cursor;
  cursor.skip();
  return scalar;
}

const SCALARS: [string, string][] = [
  ['"a"', "a"],
  ["'a\"b'", 'a"b'],
  [String.raw`"\u0061\\\"\n"`, 'a\\"\n'],
  ['"ä😀"', "ä😀"],
  ['"\\u0000"', "\0"],
  ['""', ""],
  ["12", "12"],
  ["-0", "0"],
  ["-0.0", "0"],
  ['"-0"', "-0"],
  ["18446744073709551615", "18446744073709551615"],
  ["1e3", "1000"],
  ["true", "true"],
  ["null", "null"],
];

for (const [text, scalar] of SCALARS) {
  Deno.test(`Cursor.scalar is ${JSON.stringify(scalar)} at ${text}`, () => {
    assertEquals(built(value(`[${text}]`)), [scalar]);
    assertEquals(
      built(value(`{"k":[{"x":${text}}]}`)),
      new Map([["k", [new Map([["x", scalar]])]]]),
    );
  });
}

Deno.test("Cursor takes a value apart, down to its scalars", () => {
  const text =
    `{"a":[1,[],{}, {"b":"]},{[","c":[[2]]}],"":{"__proto__":null},'a.b' : "\\"" , "7":[]}`;
  assertEquals(
    built(value(text)),
    new Map<string, unknown>([
      ["a", [
        "1",
        [],
        new Map(),
        new Map<string, unknown>([["b", "]},{["], ["c", [["2"]]]]),
      ]],
      ["", new Map([["__proto__", "null"]])],
      ["a.b", '"'],
      ["7", []],
    ]),
  );
});

Deno.test("Cursor agrees with JSON.parse on made-up values", () => {
  const random = new Random(7);
  const make = (depth: number): unknown => {
    const kind = random.below(depth > 4 ? 4 : 6);
    if (kind === 0) return random.below(1000) - 500;
    if (kind === 1) return random.below(2) === 0;
    if (kind === 2) return null;
    if (kind === 3) return 'a"\\{[]},:é'.slice(random.below(5), 5 + random.below(6));
    const parts = Array.from({ length: random.below(4) }, () => make(depth + 1));
    if (kind === 4) return parts;
    return Object.fromEntries(parts.map((part, index) => [`k${index}"\\`, part]));
  };
  const expected = (of: unknown): unknown => {
    if (Array.isArray(of)) return of.map(expected);
    if (typeof of !== "object" || of === null) return String(of);
    return new Map(Object.entries(of).map(([name, member]) => [name, expected(member)]));
  };
  for (let i = 0; i < 500; i++) {
    const whole = [make(0)];
    assertEquals(built(value(JSON.stringify(whole))), expected(whole));
  }
});

Deno.test("Cursor distinguishes the kinds of values", () => {
  const kinds = (text: string): boolean[] => {
    const { isObject, isArray, isString, isNumber, isScalar } = value(text);
    return [isObject, isArray, isString, isNumber, isScalar];
  };
  assertEquals(kinds("{}"), [true, false, false, false, false]);
  assertEquals(kinds("[]"), [false, true, false, false, false]);
  assertEquals(kinds('"1"'), [false, false, true, false, true]);
  for (const text of ["1", "-1"]) assertEquals(kinds(text), [false, false, false, true, true]);
  assertEquals(kinds("null"), [false, false, false, false, true]);
});

Deno.test("Cursor.member() moves to the value of a member, or past an object that lacks it", () => {
  const text = `[{"a":{"b":1},"\\u0062":[2,3],"c":4},{"a":5},{},[6],7]`;
  const cursor = value(text);
  cursor.enter();
  assertEquals(cursor.member("b"), true);
  assertEquals(built(cursor), ["2", "3"]);
  cursor.leaveObject();
  for (let i = 0; i < 4; i++) {
    assertEquals(cursor.next(), true);
    assertEquals(cursor.member("b"), false);
  }
  assertEquals(cursor.next(), false);
});

Deno.test("Cursor finds keys and strings in a table, however they are written", () => {
  const table = new NameTable([["é", 1], ["b", 2]]);
  const cursor = value(`{"\\u00e9":"b","é ":"\\u0062"}`);
  cursor.enter();
  assertEquals([cursor.keyIn(table), cursor.stringIn(table)], [1, 2]);
  cursor.skip();
  assertEquals(cursor.next(), true);
  assertEquals([cursor.keyIn(table), cursor.stringIn(table)], [undefined, 2]);
});

Deno.test("Cursor.canContain() is true for a text, and for escapes that could spell it", () => {
  const can = (text: string): boolean => value(text).canContain("fd:/");
  for (const text of ['"fd:/"', '"ffd:/x"', '"fd:\\/x"', '"\\u0066d:/"']) {
    assertEquals(can(text), true);
  }
  for (const text of ['""', '"fd:"', '"fd:x/fd"', '"\\n\\n\\n"']) assertEquals(can(text), false);
});

Deno.test("Cursor.raw is a number as it is written", () => {
  assertEquals([value("1e3").raw, value("1e3").scalar], ["1e3", "1000"]);
});
