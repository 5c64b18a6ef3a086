/**
 * What `qmpmux --version` says.
 *
 * @module
 */

/** The version of this source; the same as in `deno.json`. */
export const VERSION = "0.1.0";

/** One line: version, Deno, V8. */
export function versionText(): string {
  return `qmpmux ${VERSION} (Deno ${Deno.version.deno}, V8 ${Deno.version.v8})`;
}
