/**
 * The search for words in bytes.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { WordSearch } from "../lib/wire/word_search.ts";

const ENCODER = new TextEncoder();
const WORDS = ["pass", "key", '"args"', "=", "-----begin", "\\"];

for (
  const [text, expected] of [
    ["", false],
    ["pas", false],
    ["pass", true],
    ["PaSS", true],
    ["a passage", true],
    ["pa ss", false],
    ["ke", false],
    ["ey", false],
    ["monKEYs", true],
    ["args", false],
    ['{"args": []}', true],
    ['{"ARGS": []}', true],
    ["a=b", true],
    ["-----", false],
    ["-----BEGIN", true],
    ["a\\b", true],
    ["k\u00e9y", false],
  ] as const
) {
  Deno.test(`WordSearch.finds() ${expected ? "finds a word" : "finds none"} in ${JSON.stringify(text)}`, () => {
    assertEquals(new WordSearch(WORDS, ": ").finds(ENCODER.encode(text)), expected);
  });
}

Deno.test("WordSearch.finds() finds a colon that does not separate a name and its value", () => {
  const finds = (separator: '":' | ": ", text: string): boolean =>
    new WordSearch([], separator).finds(ENCODER.encode(text));
  assertEquals(finds('":', '{"a":1}'), false);
  assertEquals(finds('":', '{"a":"b:c"}'), true);
  assertEquals(finds(": ", '{"a": 1, "b": "c: d"}'), false);
  assertEquals(finds(": ", '{"a": "b:c"}'), true);
  assertEquals(finds(": ", "a:"), true);
});

Deno.test("WordSearch.finds() looks only at the bytes before an end", () => {
  const search = new WordSearch(["key"], ": ");
  assertEquals(search.finds(ENCODER.encode("a long text, key"), 12), false);
  assertEquals(search.finds(ENCODER.encode("a key"), 5), true);
});
