/**
 * The list of arguments in a rule: paths and values, compiled to a tree.
 *
 * A command is within the list if each of its scalars is at a listed path and matches one of the
 * values listed there. An unknown argument is therefore outside the list.
 *
 * @module
 */

import type { Cursor } from "../wire/cursor.ts";
import { NameTable } from "../wire/names.ts";
import { BELOW, ELEMENTS, type Path, type Step } from "./argument_path.ts";
import { type GlobList, globListOf } from "./glob_list.ts";
import { shortened } from "../wire/shortened.ts";

/** A node of the tree. */
interface Node {
  /** The listed members. */
  readonly members: NameTable<Node>;
  /** The node for all elements, if elements are listed. */
  readonly elements: Node | undefined;
  /** Whether all values here and below are listed (`**`). */
  readonly below: boolean;
  /** The globs for a scalar, which must match one of them; `undefined` when no scalar is listed. */
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
  /** Whether the list contains the path; only the value is outside then. */
  readonly known: boolean;
}

/** A value of a command, for messages. */
export interface ShownValue {
  /** The value as JSON, cut if it is long; the brackets of an object or an array. */
  readonly text: string;
  /** The text of a scalar. */
  readonly scalar: string | undefined;
}

/** An argument that is outside a list, with its value. */
export interface OutsideValue extends Outside {
  /** The value. */
  readonly value: ShownValue;
}

type Entry = readonly [Path, readonly string[]];

/** A list of arguments. */
export class ArgumentList {
  /** The paths, each with the globs of its values. */
  readonly entries: readonly (readonly [Path, readonly string[]])[];
  readonly #root: Node;

  /** Compiles a list of paths, each with the globs of its values. */
  constructor(entries: Iterable<readonly [Path, readonly string[]]>) {
    this.entries = [...entries];
    this.#root = nodeOf(this.entries, 0);
  }

  /**
   * Finds the first argument of a command that is outside the list.
   *
   * @param args a cursor at the beginning of the arguments; the search moves it
   * @param allows whether the list is of an allow rule, in which wildcards do not match `..`
   */
  firstOutside(args: Cursor, allows = false): Outside | undefined {
    return outside(this.#root, args, allows);
  }

  /** Yields every argument of a command that is outside the list; the parameters are as above. */
  everyOutside(args: Cursor, allows = false): Generator<OutsideValue> {
    return everyOutside(this.#root, args, [], allows);
  }

  /** Returns the globs that are listed for a path. */
  globsOf(path: Path): readonly string[] {
    const isHere = (each: Path): boolean =>
      each.length === path.length && each.every((step, index) => step === path[index]);
    return this.entries.findLast(([each]) => isHere(each))?.[1] ?? [];
  }
}

/** Compiles the node for paths that have their first `depth` steps in common. */
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

/** Finds the first part outside the list in the value at a cursor; moves past a value within the list. */
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
  // An empty container has no scalar to check, but matches no list of values.
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

/** Yields every part outside the list in the value at a cursor, and moves past the value. */
function* everyOutside(
  node: Node,
  cursor: Cursor,
  path: Path,
  allows: boolean,
): Generator<OutsideValue> {
  const value = valueAt(cursor);
  if (node.below || cursor.isScalar) {
    if (!node.below && !node.globs?.matches(cursor, allows)) yield { path, known: true, value };
    cursor.skip();
    return;
  }
  const { isObject } = cursor;
  if (!cursor.enter()) {
    if (!node.mayBeEmpty) yield { path, known: true, value };
    return;
  }
  do {
    const { at } = cursor;
    const step: Step = isObject ? cursor.key() : ELEMENTS;
    if (isObject) cursor.at = at;
    const next = isObject ? cursor.keyIn(node.members) : node.elements;
    const here: Path = [...path, step];
    if (next) yield* everyOutside(next, cursor, here, allows);
    else {
      yield { path: here, known: false, value: valueAt(cursor) };
      cursor.skip();
    }
  } while (cursor.next());
}

/** The most characters of a value that is shown. */
const VALUE_CHARS_LIMIT = 80;

/** Returns the value at a cursor for messages. */
export function valueAt(cursor: Cursor): ShownValue {
  if (!cursor.isScalar) return { text: cursor.isObject ? "{…}" : "[…]", scalar: undefined };
  const { scalar } = cursor;
  const text = shortened(scalar, VALUE_CHARS_LIMIT);
  return { text: cursor.isString ? JSON.stringify(text) : text, scalar };
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
