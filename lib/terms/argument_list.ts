/**
 * The arguments a rule knows: a list of paths, kept as a tree.
 *
 * A command is within the list when each of its scalars stands at a listed path,
 * with a listed value where values are listed. An argument nobody has thought of
 * is therefore outside.
 *
 * @module
 */

import type { Value } from "../wire/value.ts";
import { BELOW, ELEMENTS, type Path, type Step } from "./argument_path.ts";
import { globMatches } from "./glob.ts";

/** One place of the tree. */
interface Place {
  readonly below: Map<Step, Place>;
  /** The globs one of which a scalar here must match; `undefined` where none may stand here. */
  globs: readonly string[] | undefined;
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

/** A list of arguments. */
export class ArgumentList {
  /** Each path, and the globs its values must match. */
  readonly entries: readonly (readonly [Path, readonly string[]])[];
  readonly #root: Place = { below: new Map(), globs: undefined };

  /** A list of paths, each with the globs its values must match. */
  constructor(entries: Iterable<readonly [Path, readonly string[]]>) {
    this.entries = [...entries];
    for (const [path, globs] of this.entries) {
      let place = this.#root;
      for (const step of path) {
        let next = place.below.get(step);
        if (next === undefined) {
          place.below.set(step, next = { below: new Map(), globs: undefined });
        }
        place = next;
      }
      place.globs = globs;
    }
  }

  /**
   * Finds the first argument of a command that is outside the list.
   *
   * @param matches tells whether a scalar matches a glob
   */
  firstOutside(args: Value, matches: Matching = globMatches): Outside | undefined {
    return outside(this.#root, args, [], matches);
  }
}

/** Does a text match a glob? */
export type Matching = (glob: string, text: string) => boolean;

function outside(place: Place, value: Value, path: Path, matches: Matching): Outside | undefined {
  if (place.below.has(BELOW)) return undefined;
  const { scalar } = value;
  if (scalar !== undefined) {
    const inside = place.globs?.some((glob) => matches(glob, scalar)) ?? false;
    return inside ? undefined : { path, known: true };
  }
  let empty = true;
  for (const [step, inner] of parts(value)) {
    empty = false;
    const here: Path = [...path, step];
    const next = place.below.get(step);
    const found = next ? outside(next, inner, here, matches) : { path: here, known: false };
    if (found) return found;
  }
  // An empty container has nothing to check, but where the list has values it matches none of them.
  const fits = !empty || path.length === 0 || place.below.size > 0 || place.globs?.includes("*");
  return fits ? undefined : { path, known: true };
}

function* parts(value: Value): Generator<readonly [Step, Value]> {
  yield* value.members();
  for (const element of value.elements()) yield [ELEMENTS, element];
}
