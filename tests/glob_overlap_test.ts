/**
 * Comparisons of globs, against all short texts.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { globMatches } from "../lib/policy/glob.ts";
import { globCovers, globsOverlap } from "../lib/policy/glob_overlap.ts";

/** Returns all texts of up to so many of these characters. */
function texts(chars: string, most: number): string[] {
  let last = [""];
  const all = [""];
  for (let length = 1; length <= most; length++) {
    last = last.flatMap((text) => [...chars].map((char) => text + char));
    all.push(...last);
  }
  return all;
}

const GLOBS = texts("a*?b", 3);
const TEXTS = texts("abc", 5);
/** The texts that each glob matches. */
const MATCHED = new Map(
  GLOBS.map((glob) => [glob, new Set(TEXTS.filter((text) => globMatches(glob, text)))]),
);

Deno.test("two globs overlap if, and only if, a text matches both", () => {
  for (const one of GLOBS) {
    for (const other of GLOBS) {
      const common = !MATCHED.get(one)!.isDisjointFrom(MATCHED.get(other)!);
      assertEquals(globsOverlap(one, other), common, `${one} and ${other}`);
    }
  }
});

Deno.test("a glob covers another only if it matches all of its texts", () => {
  let covering = 0;
  for (const outer of GLOBS) {
    for (const inner of GLOBS) {
      if (!globCovers(outer, inner)) continue;
      covering++;
      assert(MATCHED.get(inner)!.isSubsetOf(MATCHED.get(outer)!), `${outer} and ${inner}`);
    }
    assert(globCovers(outer, outer) && globCovers("*", outer), outer);
  }
  assert(covering > GLOBS.length * 2);
});

Deno.test("globs of commands overlap and cover as their users expect", () => {
  assert(globsOverlap("block*", "*-backup"));
  assert(!globsOverlap("block-*", "blockdev-backup"));
  assert(globCovers("block*", "blockdev-*"));
  assert(!globCovers("blockdev-*", "block*"));
  assert(!globCovers("block?ev-*", "block*ev-*"));
});
