/**
 * The grammar of each QEMU version.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { CLASSIC, grammarOf, isUnmeasured, POSITIONED } from "../lib/wire/grammar.ts";

for (const [major, minor] of [[0, 0], [2, 12], [7, 2], [10, 99], [11, 0]] as const) {
  Deno.test(`grammarOf() returns the classic grammar for QEMU ${major}.${minor}`, () => {
    assertEquals(grammarOf(major, minor), CLASSIC);
  });
}

for (const [major, minor] of [[11, 1], [11, 2], [12, 0], [100, 0]] as const) {
  Deno.test(`grammarOf() returns the grammar with positions for QEMU ${major}.${minor}`, () => {
    assertEquals(grammarOf(major, minor), POSITIONED);
  });
}

Deno.test("isUnmeasured() is true for versions newer than the tested ones", () => {
  const versions = [[0, 0], [7, 2], [11, 0], [11, 1], [11, 2], [12, 0]] as const;
  assertEquals(
    versions.map(([major, minor]) => isUnmeasured(major, minor)),
    [false, false, false, false, true, true],
  );
});
