/**
 * Which events pass: a list of globs.
 *
 * `*` stands for any run of characters, `?` for one; case counts; the whole
 * name must match. An empty list lets nothing pass.
 *
 * @module
 */

import { hasWildcard, isAnything, leastLength } from "./glob.ts";

/** A list has at most this many globs, a glob this many characters. */
export const GLOBS_LIMIT = 256;
/** A glob has at most this many characters. */
export const GLOB_LENGTH_LIMIT = 256;

/** Wildcards are tried on so many names; QEMU knows some sixty events. */
export const EVENT_NAMES_LIMIT = 1024;

/** The names of QEMU's events, and of others behind a prefix of their vendor's. QEMU's longest has 29 characters. */
const EVENT_NAME = /^(?=.{1,64}$)(?:__[A-Za-z0-9.-]+_)?[A-Z][A-Z0-9_]*$/;

const NAME_LIMIT = 64;

/** A set of events, by their names. */
export class EventFilter {
  /** The globs it was made of. */
  readonly globs: readonly string[];
  readonly #isAnything: boolean;
  readonly #exact: ReadonlySet<string>;
  readonly #wildcards: readonly string[];
  /** The events that wildcards have been tried on, and whether they pass. */
  readonly #tried = new Map<EventName, boolean>();

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
    this.#isAnything = globs.some(isAnything);
    this.#exact = new Set(globs);
    this.#wildcards = globs.map((glob) => glob.replace(/\*+/g, "*"))
      .filter((glob) => hasWildcard(glob) && leastLength(glob) <= NAME_LIMIT);
  }

  /**
   * Tells whether an event passes.
   *
   * Wildcards, but for a glob of stars alone, match only names that QEMU can have.
   *
   * @param event its name; one that is prepared is not matched against the same globs twice
   */
  passes(event: string | EventName): boolean {
    const name = typeof event === "string" ? new EventName(event) : event;
    if (this.#isAnything || this.#exact.has(name.text)) return true;
    if (!name.isQemus || this.#wildcards.length === 0) return false;
    let passes = this.#tried.get(name);
    if (passes === undefined) {
      passes = this.#wildcards.some((glob) => name.matches(glob));
      this.#tried.set(name, passes);
    }
    return passes;
  }
}

/** The name of an event, ready to be matched against many globs. */
export class EventName {
  /** The name itself. */
  readonly text: string;
  /** Whether it is a name that QEMU can have, and one of the first so many; others match no wildcards. */
  readonly isQemus: boolean;
  /** The places of each character, a bit for each: the first 32, and those behind. */
  readonly #low = new Int32Array(CODES);
  readonly #high = new Int32Array(CODES);

  /**
   * Prepares a name.
   *
   * @param isTried whether wildcards are tried on it, where it is a name that QEMU can have
   */
  constructor(text: string, isTried = true) {
    this.text = text;
    this.isQemus = isTried && EVENT_NAME.test(text);
    if (!this.isQemus) return;
    for (let at = 0; at < text.length; at++) {
      (at < 32 ? this.#low : this.#high)[text.codePointAt(at)!]! |= 1 << (at & 31);
    }
    this.#low[ANY] = bitsBelow(text.length);
    this.#high[ANY] = bitsBelow(text.length - 32);
  }

  /**
   * Tells whether it matches a glob: one look at each sign, with all places in the name at once
   * that the signs so far may end at.
   */
  matches(glob: string): boolean {
    const lows = this.#low;
    const highs = this.#high;
    let low = 0;
    let high = 0;
    /** Whether the signs so far may be nothing. */
    let nothing = true;
    for (let at = 0; at < glob.length; at++) {
      const sign = glob.codePointAt(at)!;
      if (sign === STAR) {
        // From the first place on.
        high = highs[ANY]! & (nothing || low !== 0 ? -1 : -(high & -high));
        low = lows[ANY]! & (nothing ? -1 : -(low & -low));
        continue;
      }
      if (sign >= CODES) return false;
      high = ((high << 1) | (low >>> 31)) & highs[sign]!;
      low = ((low << 1) | (nothing ? 1 : 0)) & lows[sign]!;
      if (low === 0 && high === 0) return false;
      nothing = false;
    }
    const last = this.text.length - 1;
    return ((last < 32 ? low : high) >>> (last & 31) & 1) === 1;
  }
}

/** Names have ASCII characters alone. */
const CODES = 128;
const STAR = 0x2a;
const ANY = 0x3f;

/** A number whose lowest so many bits are set, at most 32. */
function bitsBelow(count: number): number {
  if (count <= 0) return 0;
  return count >= 32 ? -1 : (1 << count) - 1;
}

/** The names of the events that have come from one QEMU after the other. */
export class EventNames {
  readonly #known = new Map<string, EventName>();

  /** Prepares a name; only the first so many are ones that QEMU can have. */
  named(text: string): EventName {
    let name = this.#known.get(text);
    if (name === undefined) {
      name = new EventName(text, this.#known.size < EVENT_NAMES_LIMIT);
      if (name.isQemus) this.#known.set(text, name);
    }
    return name;
  }
}
