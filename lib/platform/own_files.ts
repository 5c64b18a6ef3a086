/**
 * Files of the program itself that are not modules. A compiled program has them in it.
 *
 * @module
 */

/** The directory of the sources. */
const ROOT = new URL("../../", import.meta.url);

/**
 * Returns the text of a file of the program.
 *
 * @param path from the root of the sources; `tools/compile.ts` must include it
 */
export function textOfOwnFile(path: string): string {
  return Deno.readTextFileSync(new URL(path, ROOT));
}
