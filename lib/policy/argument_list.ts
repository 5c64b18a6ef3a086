/**
 * The arguments that a rule lists: paths, compiled to a tree.
 *
 * A command is within the list when each of its scalars is at a listed path and matches a
 * listed value. An unknown argument is therefore outside.
 *
 * @module
 */

import type { Cursor } from "../wire/cursor.ts";
import { NameTable } from "../wire/names.ts";
import { BELOW, ELEMENTS, type Path } from "./argument_path.ts";
import { type GlobList, globListOf } from "./glob_list.ts";

/** A node of the tree. */
interface Node {
  /** The listed members. */
  readonly members: NameTable<Node>;
  /** The node for all elements, if elements are listed. */
  readonly elements: Node | undefined;
  /** Whether every value is listed, here and below. */
  readonly below: boolean;
  /** The globs one of which a scalar must match; `undefined` when no scalar is listed. */
  readonly globs: GlobList | undefined;
  /** Whether an empty object or array is listed. */
  readonly mayBeEmpty: boolean;
}

/** The globs that match any scalar. */
export const ANYTHING: readonly string[] = ["*"];

/** An argument that is outside a list. */
export interface Outside {
  /** The path of the argument. */
  readonly path: Path;
  /** Whether the list has an argument of this path, so that only its value is outside. */
  readonly known: boolean;
}

type Entry = readonly [Path, readonly string[]];

/** A list of arguments. */
export class ArgumentList {
  /** Each path, and the globs that its values must match. */
  readonly entries: readonly (readonly [Path, readonly string[]])[];
  readonly #root: Node;

  /** Compiles a list of paths, each with the globs that its values must match. */
  constructor(entries: Iterable<readonly [Path, readonly string[]]>) {
    this.entries = [...entries];
    this.#root = nodeOf(this.entries, 0);
  }

  /**
   * Finds the first argument of a command that is outside the list.
   *
   * @param args a cursor at the beginning of the arguments, which is moved
   * @param allows whether a command within the list is allowed; then wildcards do not match `..`
   */
  firstOutside(args: Cursor, allows = false): Outside | undefined {
    return outside(this.#root, args, allows);
  }
}

/** Compiles the node after the first `depth` steps of these paths. */
function nodeOf(entries: readonly Entry[], depth: number): Node {
  const here = entries.filter(([path]) => path.length === depth).at(-1);
  const below = Map.groupBy(
    entries.filter(([path]) => path.length > depth),
    ([path]) => path[depth]!,
  );
  const elements = below.get(ELEMENTS);
  const members = [...below].flatMap(([step, rest]): [string, Node][] =>
    typeof step === "string" ? [[step, nodeOf(rest, depth + 1)]] : []
  );
  return {
    members: new NameTable(members),
    elements: elements && nodeOf(elements, depth + 1),
    below: below.has(BELOW),
    globs: here && globListOf(here[1]),
    mayBeEmpty: depth === 0 || below.size > 0 || here?.[1].includes("*") === true,
  };
}

/** Finds the first part of the value at a cursor that is outside; skips a value that is within. */
function outside(node: Node, cursor: Cursor, allows: boolean): Outside | undefined {
  if (node.below) {
    cursor.skip();
    return undefined;
  }
  if (cursor.isScalar) {
    if (!node.globs?.matches(cursor, allows)) return VALUE;
    cursor.skip();
    return undefined;
  }
  const { isObject } = cursor;
  // An empty container has no scalar to check, but it matches none of the listed values.
  if (!cursor.enter()) return node.mayBeEmpty ? undefined : VALUE;
  do {
    const { at } = cursor;
    const next = isObject ? cursor.keyIn(node.members) : node.elements;
    const found = next ? outside(next, cursor, allows) : UNKNOWN;
    if (found) {
      return { ...found, path: [isObject ? keyAt(cursor, at) : ELEMENTS, ...found.path] };
    }
  } while (cursor.next());
  return undefined;
}

/** The result for a value that is outside. */
const VALUE: Outside = { path: [], known: true };
/** The result for an argument that is not listed. */
const UNKNOWN: Outside = { path: [], known: false };

/** Moves a cursor back to a key and returns the key. */
function keyAt(cursor: Cursor, at: number): string {
  cursor.at = at;
  return cursor.key();
}
