/**
 * Equal types of a graph.
 *
 * Two types are equal if nothing tells them apart, however deep one looks. Recursive types are compared
 * as well: all begin as equal, and are told apart round by round.
 *
 * @module
 */

import type { Shape, TypeId } from "./type_graph.ts";

/** The most rounds; the types of QEMU need a tenth of them. Beyond it, no types count as equal. */
const ROUNDS_LIMIT = 100;

/** The most characters that are compared; those of QEMU are a tenth of them. Beyond it, no types count as equal. */
const CHARS_LIMIT = 20_000_000;

/** Returns for each type the first one that is equal to it. */
export function equalTypes(shapes: readonly Shape[]): readonly TypeId[] {
  let first: readonly TypeId[] = shapes.map(() => 0);
  let count = 1;
  let chars = 0;
  for (let round = 0; round < ROUNDS_LIMIT && chars < CHARS_LIMIT; round++) {
    const found = new Map<string, TypeId>();
    const next = shapes.map((shape, id) => {
      const text = described(shape, first);
      chars += text.length;
      const known = found.get(text) ?? id;
      found.set(text, known);
      return known;
    });
    if (found.size === count) return first;
    [first, count] = [next, found.size];
  }
  return [...shapes.keys()];
}

/** Returns a text that is the same for types whose parts count as equal. */
function described(shape: Shape, first: readonly TypeId[]): string {
  switch (shape.kind) {
    case "builtin":
    case "enum":
      return JSON.stringify(shape);
    case "list":
      return JSON.stringify({ ...shape, element: first[shape.element] });
    case "one of":
    case "all of": {
      const parts = shape.parts.map(({ type }) => first[type]);
      const base = shape.base === undefined ? undefined : first[shape.base];
      return JSON.stringify({ ...shape, parts, base });
    }
    case "object": {
      const members = shape.members.map((each) => ({ ...each, type: first[each.type] }));
      const base = shape.base === undefined ? undefined : first[shape.base];
      return JSON.stringify({ ...shape, members, base });
    }
  }
}
