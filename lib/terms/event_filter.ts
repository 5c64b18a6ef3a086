/**
 * Which events pass: a list of globs.
 *
 * `*` stands for any run of characters, `?` for one; case counts; the whole
 * name must match. An empty list lets nothing pass.
 *
 * @module
 */

/** A list has at most this many globs, a glob this many characters. */
export const GLOBS_LIMIT = 256;
/** A glob has at most this many characters. */
export const GLOB_LENGTH_LIMIT = 256;

/** QEMU knows some sixty events; names made up by a rogue upstream are not remembered for ever. */
const REMEMBERED_LIMIT = 1024;

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
      passes = this.globs.some((glob) => matches(glob, name));
      if (this.#known.size < REMEMBERED_LIMIT) this.#known.set(name, passes);
    }
    return passes;
  }
}

/**
 * Does a glob match a whole name?
 *
 * Only the last `*` passed is ever tried again, so that the time is at most the
 * product of both lengths: globs come from clients, and all wait while one is matched.
 */
function matches(glob: string, name: string): boolean {
  let at = 0;
  let star = -1;
  let resume = 0;
  for (let i = 0; i < name.length;) {
    const wanted = glob[at];
    if (wanted === "*") {
      star = at++;
      resume = i;
    } else if (wanted === "?" || wanted === name[i]) {
      at++;
      i++;
    } else if (star !== -1) {
      at = star + 1;
      i = ++resume;
    } else return false;
  }
  while (glob[at] === "*") at++;
  return at === glob.length;
}
