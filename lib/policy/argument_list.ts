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

/** An argument that is outside a list. */
export interface Outside {
  /** The path of the argument. */
  readonly path: Path;
  /** The list has an argument of this path; its value is outside. */
  readonly known: boolean;
}

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
   * Finds the first argument of a command that is outside the list.
   *
   * @param args a cursor at the beginning of the arguments; it is moved
   * @param allows whether a command within the list is allowed: wildcards do not climb then
   */
  firstOutside(args: Cursor, allows = false): Outside | undefined {
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

/** Finds where the value at a cursor leaves the list first; skips the value if it does not. */
function outside(place: Place, cursor: Cursor, allows: boolean): Outside | undefined {
  if (place.below) {
    cursor.skip();
    return undefined;
  }
  if (cursor.isScalar) {
    if (!place.globs?.matches(cursor, allows)) return VALUE;
    cursor.skip();
    return undefined;
  }
  const { isObject } = cursor;
  // An empty container has nothing to check, but where the list has values it matches none of them.
  if (!cursor.enter()) return place.mayBeEmpty ? undefined : VALUE;
  do {
    const { at } = cursor;
    const next = isObject ? cursor.keyIn(place.members) : place.elements;
    const found = next ? outside(next, cursor, allows) : UNKNOWN;
    if (found) {
      return { ...found, path: [isObject ? keyAt(cursor, at) : ELEMENTS, ...found.path] };
    }
  } while (cursor.next());
  return undefined;
}

/** The value at this place is outside. */
const VALUE: Outside = { path: [], known: true };
/** The list has no argument at this place. */
const UNKNOWN: Outside = { path: [], known: false };

/** The key that begins at a place where a cursor has been. */
function keyAt(cursor: Cursor, at: number): string {
  cursor.at = at;
  return cursor.key();
}
