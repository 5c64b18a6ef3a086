/**
 * Which events pass: a list of globs.
 *
 * `*` stands for any run of characters, `?` for one; case counts; the whole
 * name must match. An empty list lets nothing pass.
 *
 * @module
 */

import { globMatches } from "./glob.ts";

/** A list has at most this many globs, a glob this many characters. */
export const GLOBS_LIMIT = 256;
/** A glob has at most this many characters. */
export const GLOB_LENGTH_LIMIT = 256;

/** QEMU knows some sixty events; names made up by a rogue upstream are not remembered for ever. */
const REMEMBERED_LIMIT = 1024;
/** QEMU's longest name has 29 characters. */
const REMEMBERED_CHARS_LIMIT = 64;

/** A set of events, by their names. */
export class EventFilter {
  /** The globs it was made of. */
  readonly globs: readonly string[];
  readonly #known = new Map<string, boolean>();

  /**
   * A set of the events that match any of some globs.
   *
   * @param globs at most {@linkcode GLOBS_LIMIT}
   * @throws RangeError where there are more, or one is too long
   */
  constructor(globs: readonly string[]) {
    if (globs.length > GLOBS_LIMIT) {
      throw new RangeError(
        `Too many event globs: ${globs.length} exceed the limit of ${GLOBS_LIMIT}`,
      );
    }
    const long = globs.find((glob) => glob.length > GLOB_LENGTH_LIMIT);
    if (long !== undefined) {
      throw new RangeError(
        `Event glob too long: ${long.length} characters exceed the limit of ${GLOB_LENGTH_LIMIT}`,
      );
    }
    this.globs = [...globs];
  }

  /** Does an event of this name pass? */
  passes(name: string): boolean {
    let passes = this.#known.get(name);
    if (passes === undefined) {
      passes = this.globs.some((glob) => globMatches(glob, name));
      const fits = this.#known.size < REMEMBERED_LIMIT && name.length <= REMEMBERED_CHARS_LIMIT;
      if (fits) this.#known.set(name, passes);
    }
    return passes;
  }
}
