/**
 * Long texts that are cut to a length.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { shortened } from "../lib/wire/shortened.ts";

Deno.test("shortened() keeps a text that fits, and splits no surrogate pair", () => {
  const texts = ["", "abcd", "abcde", "abcdef", "ab😀de", "abc😀e", "abcd😀"];
  assertEquals(texts.map((text) => shortened(text, 5)), [
    "",
    "abcd",
    "abcde",
    "abcd…",
    "ab😀…",
    "abc\ufffd…",
    "abcd…",
  ]);
});
