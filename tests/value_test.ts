/**
 * A value inside a frame: its kind, its parts and its text.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { FrameSplitter } from "../lib/wire/frame.ts";
import { Value } from "../lib/wire/value.ts";
import { Random } from "./support/random.ts";

/** What a client says, as a value. */
function value(text: string): Value {
  const splitter = new FrameSplitter();
  splitter.load(new TextEncoder().encode(`${text} `));
  const frame = splitter.next();
  if (frame === undefined || "damage" in frame) throw new Error(`${text} is no value`);
  return new Value(frame.bytes);
}

/** All of a value, built. */
function built(from: Value): unknown {
  if (from.isObject) return new Map([...from.members()].map(([name, of]) => [name, built(of)]));
  if (from.isArray) return [...from.elements()].map(built);
  return from.scalar;
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
  Deno.test(`Value.scalar is ${JSON.stringify(scalar)} of ${text}`, () => {
    assertEquals(value(`[${text}]`).elements().next().value?.scalar, scalar);
    assertEquals([...value(`{"k":[{"x":${text}}]}`).scalars()], [scalar]);
  });
}

Deno.test("Value.members() and elements() take a value apart, down to its scalars", () => {
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
  assertEquals([...value(text).scalars()], ["1", "]},{[", "2", "null", '"']);
});

Deno.test("Value.scalar is nothing of an object or array, which alone have parts", () => {
  assertEquals([value("{}").scalar, value("[]").scalar], [undefined, undefined]);
  assertEquals([...value("{}").elements(), ...value("[]").members()], []);
  assertEquals([...value('"[1]"').elements(), ...value('"{}"').members()], []);
});

Deno.test("Value agrees with JSON.parse on made-up values", () => {
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

Deno.test("Value.isString tells a text from a number that looks the same", () => {
  const parts = [...value('["1", 1, "null", null, {}, []]').elements()];
  assertEquals(parts.map(({ isString }) => isString), [true, false, true, false, false, false]);
});

Deno.test("Value.leaves() gives each scalar the name of the nearest member it is in, and its depth", () => {
  const leaves = (text: string, prunes?: (name: string) => boolean): string[] =>
    [...value(text).leaves(prunes)].map(({ name, depth, value: { scalar } }) =>
      `${name}@${depth}=${scalar}`
    );
  const text = `{"a":[1,{"b":2,"c":[{},[3]]},4],"d":"]","e":{"a":5},"\\u0066":6}`;
  assertEquals(leaves(text), ["a@2=1", "b@3=2", "c@5=3", "a@2=4", "d@1=]", "a@2=5", "f@1=6"]);
  assertEquals(
    leaves(text, (name) => name === "c"),
    leaves(text).filter((leaf) => !/c/.test(leaf)),
  );
  assertEquals(leaves(text, (name) => name === "a"), ["d@1=]", "a@2=5", "f@1=6"]);
  assertEquals(leaves('["x",["y"]]'), ["@1=x", "@2=y"]);
});
