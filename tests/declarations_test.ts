/**
 * Types of the standard library that tools/declarations/ must not loosen.
 *
 * The same assertions hold with our declarations and with the library's own sources.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { parseArgs } from "@std/cli/parse-args";

/** Holds `true` if two types are the same. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true
  : false;

Deno.test("parseArgs() gives each option the type of its list", () => {
  const told = parseArgs(["--out=x", "--all", "--tag=a", "--tag=b"], {
    string: ["out", "tag", "limit"],
    boolean: ["all"],
    collect: ["tag"],
    default: { limit: "20" },
  });
  const text: Same<typeof told.out, string | undefined> = true;
  const flag: Same<typeof told.all, boolean> = true;
  const list: Same<typeof told.tag, string[]> = true;
  const given: Same<typeof told.limit, string> = true;
  const other: Same<typeof told.other, unknown> = true;
  assertEquals([text, flag, list, given, other], [true, true, true, true, true]);
  const { out, all, tag, limit } = told;
  assertEquals({ out, all, tag, limit }, { out: "x", all: true, tag: ["a", "b"], limit: "20" });
});

Deno.test("parseArgs() assumes that names known only at run time are texts", () => {
  const names = ["deb"];
  const told = parseArgs(["--console"], {
    string: ["limit", ...names],
    boolean: ["console"],
    default: { limit: "20" },
  });
  // @ts-expect-error: any name may be one of the texts, so this is a text to the checker.
  assertEquals(told.console === true, true);
});
