/**
 * The output of `qmpmux --version`.
 *
 * @module
 */

import { print } from "../platform/output.ts";

/** The version of this source; the same as in `deno.json`. */
export const VERSION = "0.1.0";

/**
 * Returns one line: version, commit, Deno, V8.
 *
 * `deno task compile` puts the commit into the program's environment. When run from
 * source, the program does not know its commit.
 */
export function versionText(): string {
  const commit = Deno.env.get("QMPMUX_COMMIT");
  const origin = commit === undefined ? "from source" : `commit ${commit}`;
  return `qmpmux ${VERSION} (${origin}) Deno ${Deno.version.deno} V8 ${Deno.version.v8}`;
}

/** Runs `qmpmux version`. */
export function runVersion(): 0 {
  print(versionText());
  return 0;
}
