/**
 * A list of globs for values: whether a scalar matches one of them.
 *
 * A list is compiled once. Values that it names exactly are found by the bytes of the
 * frame, so that no text is built for most of what a client sends.
 *
 * @module
 */

import type { Cursor } from "../wire/cursor.ts";
import { NameTable } from "../wire/names.ts";
import { climbs, hasWildcard, isAnything, leastLength, type Matcher, matcherOf } from "./glob.ts";

/** A glob that stands for more than one text. */
interface Wildcard {
  readonly matches: Matcher;
  /** How often it goes up itself. */
  readonly climbs: number;
}

/** Globs that a number of QEMU's can match. */
const NUMERIC = /^[-+.\d*?einf]*$/;

/** A compiled list of globs. */
export class GlobList {
  readonly #exact: NameTable<true>;
  readonly #wildcards: readonly Wildcard[];
  /** Those of them that a number can match. */
  readonly #numeric: readonly Wildcard[];
  /** Whether every scalar matches. */
  readonly isAnything: boolean;
  readonly #hasNumbers: boolean;
  /** The length of the shortest text that a wildcard matches. */
  readonly #least: number;

  /** Compiles a list. */
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
   * @param allows whether the list allows: what a wildcard stands for does not climb out of a
   *   directory then, as in {@linkcode globAllows}
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

/** The compiled form of a list, which must not change any more. */
export function globListOf(globs: readonly string[]): GlobList {
  let list = compiled.get(globs);
  if (list === undefined) compiled.set(globs, list = new GlobList(globs));
  return list;
}
