/**
 * Short types of TypeScript, on one line.
 *
 * @module
 */

import type { Marks } from "./introspection.ts";
import type { ObjectShape, Shape, TypeId } from "./type_graph.ts";

/** The type of an object without members. */
export const EMPTY = "Record<string, never>";

/** Returns a text as a literal of printable ASCII, whatever is in it. */
export function literal(text: string): string {
  return JSON.stringify(text).replace(
    /[^\x20-\x7e]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** Returns the type of a list. */
export function listText(element: string, isReadonly: boolean): string {
  const isJoined = / \| |^readonly /.test(element);
  return `${isReadonly ? "readonly " : ""}${isJoined ? `(${element})` : element}[]`;
}

/** Returns whether something is deprecated or unstable. */
export function isMarked({ isDeprecated, isUnstable }: Marks): boolean {
  return isDeprecated || isUnstable;
}

/** Returns the name of a member as it stands before its type. */
export function memberHead(name: string, isOptional: boolean): string {
  return `${literal(name)}${isOptional ? "?" : ""}: `;
}

/**
 * Returns a type on one line.
 *
 * @param room the most characters
 * @returns `undefined` if it is longer, has marks, or can only be written with names
 */
export function lineOf(shapes: readonly Shape[], type: TypeId, room: number): string | undefined {
  const text = room <= 0 ? undefined : shapeLine(shapes, shapes[type]!, room);
  return text === undefined || text.length > room ? undefined : text;
}

function shapeLine(shapes: readonly Shape[], shape: Shape, room: number): string | undefined {
  switch (shape.kind) {
    case "builtin":
      return shape.text;
    case "enum": {
      if (shape.deprecated.length + shape.unstable.length > 0) return undefined;
      return joined(
        shape.words,
        " | ",
        room,
        (word, left) => word.length > left ? undefined : literal(word),
      );
    }
    case "list": {
      const element = lineOf(shapes, shape.element, room - "[]".length);
      return element === undefined ? undefined : listText(element, shape.isReadonly);
    }
    case "one of": {
      if (isMarked(shape)) return undefined;
      return joined(shape.parts, " | ", room, ({ type }, left) =>
        // One character less ends chains of alternates.
        lineOf(shapes, type, shapes[type]!.kind === "one of" ? left - 1 : left));
    }
    case "all of":
      return undefined;
    case "object":
      return objectLine(shapes, shape, room);
  }
}

function objectLine(
  shapes: readonly Shape[],
  shape: ObjectShape,
  room: number,
): string | undefined {
  if (isMarked(shape) || shape.isOpen || shape.base !== undefined) return undefined;
  if (shape.members.length === 0) return EMPTY;
  const members = joined(shape.members, "; ", room - "{  }".length, (member, left) => {
    if (member.name.length > left) return undefined;
    const head = memberHead(member.name, member.isOptional);
    const text = isMarked(member) ? undefined : lineOf(shapes, member.type, left - head.length);
    return text === undefined ? undefined : head + text;
  });
  return members === undefined ? undefined : `{ ${members} }`;
}

/** Joins texts on a line, `never` if there are none; returns `undefined` if one of them is, or if there is no room. */
function joined<T>(
  parts: readonly T[],
  separator: string,
  room: number,
  textOf: (part: T, left: number) => string | undefined,
): string | undefined {
  const texts: string[] = [];
  let left = room;
  for (const part of parts) {
    const text = left <= 0 ? undefined : textOf(part, left);
    if (text === undefined) return undefined;
    texts.push(text);
    left -= text.length + separator.length;
  }
  return texts.length === 0 ? "never" : texts.join(separator);
}
