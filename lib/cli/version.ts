/**
 * The output of `qmpmux --version`.
 *
 * @module
 */

import { print } from "../platform/output.ts";
import { readFlags } from "./flags.ts";
import { showHelp } from "./help.ts";

/** The version of this source; the same as in `deno.json`. */
export const VERSION = "0.1.0";

/**
 * Returns one line: version, commit, Deno, V8.
 *
 * `deno task compile` puts the commit into the program's environment; a program
 * run from source knows of none.
 */
export function versionText(): string {
  const commit = Deno.env.get("QMPMUX_COMMIT");
  const origin = commit === undefined ? "from source" : `commit ${commit}`;
  return `qmpmux ${VERSION} (${origin}) Deno ${Deno.version.deno} V8 ${Deno.version.v8}`;
}

/**
 * Runs `qmpmux version`.
 *
 * @throws UsageError
 */
export function runVersion(args: string[]): 0 {
  if (readFlags("version", args).help) return showHelp("version");
  print(versionText());
  return 0;
}
