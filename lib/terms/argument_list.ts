/**
 * The arguments a rule knows: a list of paths, kept as a tree.
 *
 * A command is within the list when each of its scalars stands at a listed path,
 * with a listed value where values are listed. An argument nobody has thought of
 * is therefore outside.
 *
 * @module
 */

import type { Cursor } from "../wire/cursor.ts";
import { NameTable } from "../wire/names.ts";
import { BELOW, ELEMENTS, type Path } from "./argument_path.ts";
import { type GlobList, globListOf } from "./glob_list.ts";

/** One place of the tree. */
interface Place {
  /** The members that may stand here. */
  readonly members: NameTable<Place>;
  /** The elements that may stand here. */
  readonly elements: Place | undefined;
  /** Whether anything may stand here and below. */
  readonly below: boolean;
  /** The globs one of which a scalar here must match; `undefined` where none may stand here. */
  readonly globs: GlobList | undefined;
  /** Whether an object or array may stand here that is empty. */
  readonly mayBeEmpty: boolean;
}

/** Any scalar. */
export const ANYTHING: readonly string[] = ["*"];

type Entry = readonly [Path, readonly string[]];

/** A list of arguments. */
export class ArgumentList {
  /** Each path, and the globs its values must match. */
  readonly entries: readonly (readonly [Path, readonly string[]])[];
  readonly #root: Place;

  /** A list of paths, each with the globs its values must match. */
  constructor(entries: Iterable<readonly [Path, readonly string[]]>) {
    this.entries = [...entries];
    this.#root = placeOf(this.entries, 0);
  }

  /**
   * The path at which a command's arguments leave the list first, or `undefined` where they do not.
   *
   * @param args a cursor at their beginning; it is moved
   * @param allows whether a command within the list is allowed: wildcards do not climb then
   */
  firstOutside(args: Cursor, allows = false): Path | undefined {
    return outside(this.#root, args, allows);
  }
}

/** The place to which so many steps of these paths lead. */
function placeOf(entries: readonly Entry[], depth: number): Place {
  const here = entries.filter(([path]) => path.length === depth).at(-1);
  const below = Map.groupBy(
    entries.filter(([path]) => path.length > depth),
    ([path]) => path[depth]!,
  );
  const elements = below.get(ELEMENTS);
  const members = [...below].flatMap(([step, rest]): [string, Place][] =>
    typeof step === "string" ? [[step, placeOf(rest, depth + 1)]] : []
  );
  return {
    members: new NameTable(members),
    elements: elements && placeOf(elements, depth + 1),
    below: below.has(BELOW),
    globs: here && globListOf(here[1]),
    mayBeEmpty: depth === 0 || below.size > 0 || here?.[1].includes("*") === true,
  };
}

/** Where the value at a cursor leaves the list first; goes behind it where it does not. */
function outside(place: Place, cursor: Cursor, allows: boolean): Path | undefined {
  if (place.below) {
    cursor.skip();
    return undefined;
  }
  if (cursor.isScalar) {
    if (!place.globs?.matches(cursor, allows)) return HERE;
    cursor.skip();
    return undefined;
  }
  const { isObject } = cursor;
  // Nothing in it that could be outside; but where only certain values may stand, it is another one.
  if (!cursor.enter()) return place.mayBeEmpty ? undefined : HERE;
  do {
    const { at } = cursor;
    const next = isObject ? cursor.keyIn(place.members) : place.elements;
    const found = next ? outside(next, cursor, allows) : HERE;
    if (found) return [isObject ? keyAt(cursor, at) : ELEMENTS, ...found];
  } while (cursor.next());
  return undefined;
}

const HERE: Path = [];

/** The key that begins at a place where a cursor has been. */
function keyAt(cursor: Cursor, at: number): string {
  cursor.at = at;
  return cursor.key();
}
