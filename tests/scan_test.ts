/**
 * The elements of an array, with and without white space.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { elementsAt } from "../lib/wire/scan.ts";

const CASES: readonly (readonly [text: string, elements: readonly string[]])[] = [
  ["[]", []],
  ["[1]", ["1"]],
  ["[1,true,-2.5]", ["1", "true", "-2.5"]],
  ["[1 ,\r\n  2\t]", ["1", "2"]],
  ['["a, ]", {"b": [1, 2]}, []]', ['"a, ]"', '{"b": [1, 2]}', "[]"]],
];

for (const [text, elements] of CASES) {
  Deno.test(`elementsAt() finds the elements of ${JSON.stringify(text)}`, () => {
    const { spans, close } = elementsAt(new TextEncoder().encode(text), 1);
    assertEquals(spans.map(({ start, end }) => text.slice(start, end)), elements);
    assertEquals(close, text.length - 1);
  });
}

Deno.test("elementsAt() ends at the end of bytes that have no closing bracket", () => {
  const { spans, close } = elementsAt(new TextEncoder().encode("[1, 2"), 1);
  assertEquals(spans, [{ start: 1, end: 2 }, { start: 4, end: 5 }]);
  assertEquals(close, 5);
});
