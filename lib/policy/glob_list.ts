/**
 * Lists of globs for scalar values.
 *
 * A list is compiled once. Globs without wildcards are looked up by the bytes of the frame, so
 * most values of a client need not be decoded.
 *
 * @module
 */

import type { Cursor } from "../wire/cursor.ts";
import { NameTable } from "../wire/names.ts";
import { climbs, hasWildcard, isAnything, leastLength, type Matcher, matcherOf } from "./glob.ts";

/** A glob with wildcards. */
interface Wildcard {
  readonly matches: Matcher;
  /** The number of `..` components in the glob. */
  readonly climbs: number;
}

/** The form of globs that can match a number as QEMU prints it. */
const NUMERIC = /^[-+.\d*?einf]*$/;

/** A compiled list of globs. */
export class GlobList {
  readonly #exact: NameTable<true>;
  readonly #wildcards: readonly Wildcard[];
  /** The wildcards that can match a number. */
  readonly #numeric: readonly Wildcard[];
  /** Whether every scalar matches. */
  readonly isAnything: boolean;
  readonly #hasNumbers: boolean;
  /** The length of the shortest text that any of the wildcards can match. */
  readonly #least: number;

  /** Compiles a list of globs. */
  constructor(globs: readonly string[]) {
    const exact = globs.filter((glob) => !hasWildcard(glob));
    this.#exact = new NameTable(exact.map((text) => [text, true]));
    const compiled = (globs: readonly string[]): Wildcard[] =>
      globs.filter(hasWildcard).map((glob) => ({ matches: matcherOf(glob), climbs: climbs(glob) }));
    this.#wildcards = compiled(globs);
    this.#numeric = compiled(globs.filter((glob) => NUMERIC.test(glob)));
    this.isAnything = globs.some(isAnything);
    this.#least = Math.min(...globs.filter(hasWildcard).map(leastLength));
    this.#hasNumbers = globs.some((glob) => NUMERIC.test(glob));
  }

  /**
   * Tells whether the scalar at a cursor matches.
   *
   * @param allows whether the list is of an allow rule, as in {@linkcode globAllows}
   */
  matches(cursor: Cursor, allows: boolean): boolean {
    if (this.isAnything) return true;
    if (cursor.isString) {
      if (cursor.stringIn(this.#exact)) return true;
      if (!cursor.mayHaveLength(this.#least)) return false;
      return matchesOne(this.#wildcards, cursor.scalar, allows);
    }
    const isNumber = cursor.isNumber;
    if (isNumber && !this.#hasNumbers) return false;
    const { scalar } = cursor;
    if (this.#exact.get(scalar)) return true;
    return matchesOne(isNumber ? this.#numeric : this.#wildcards, scalar, allows);
  }
}

function matchesOne(wildcards: readonly Wildcard[], text: string, allows: boolean): boolean {
  for (const { matches, climbs: own } of wildcards) {
    if (matches(text) && (!allows || climbs(text) <= own)) return true;
  }
  return false;
}

const compiled = new WeakMap<readonly string[], GlobList>();

/** Returns the compiled form of a list, and caches it; the list must not change afterwards. */
export function globListOf(globs: readonly string[]): GlobList {
  let list = compiled.get(globs);
  if (list === undefined) compiled.set(globs, list = new GlobList(globs));
  return list;
}
