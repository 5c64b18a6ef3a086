/**
 * Tests of features that the program has only on the Deno that it is built for.
 *
 * A program in `QMPMUX_BINARY` may have an older one, if no other is available to compile it. Such
 * tests are skipped then; `tools/binary_suite.ts` lists them.
 *
 * @module
 */

import { denoOf, isOlder } from "../../tools/deno_version.ts";
import { programCommand } from "./qmpmux.ts";

/** The Deno of the program under test, if it is older than the program is built for. */
export const OLDER_DENO: string | undefined = olderDeno();

function olderDeno(): string | undefined {
  if (!Deno.env.get("QMPMUX_BINARY")) return undefined;
  const version = denoOf(programCommand()[0]);
  return isOlder(version) ? version : undefined;
}

/** Registers a test, or writes its name to the file `QMPMUX_LEFT_OUT`, if one is named. */
export function newDenoTest(test: Deno.TestDefinition): void {
  if (OLDER_DENO === undefined) return Deno.test(test);
  const list = Deno.env.get("QMPMUX_LEFT_OUT");
  if (list) Deno.writeTextFileSync(list, `${test.name}\n`, { append: true });
}
