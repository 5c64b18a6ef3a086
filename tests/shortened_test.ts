/**
 * Long texts that are cut to a length.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { shortened } from "../lib/wire/shortened.ts";

Deno.test("shortened() leaves a text that fits, and cuts no pair of surrogates in two", () => {
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
