/**
 * Paths in a command's arguments, and the values at them.
 *
 * `target.driver` is a member of a member, `actions[*].type` a member of each element of an
 * array, `"a.b"` in quotes one name with a dot, and `**` at the end a value and all below it.
 * A step is a whole decoded name.
 *
 * @module
 */

import type { Cursor } from "../wire/cursor.ts";
import { number } from "../wire/qemu_json.ts";

/** All elements of an array. */
export const ELEMENTS = Symbol("[*]");
/** The value here and all below it. */
export const BELOW = Symbol("**");

/** A step of a path. */
export type Step = string | typeof ELEMENTS | typeof BELOW;
/** The steps from a command's arguments to a value. */
export type Path = readonly Step[];

/** Returns the text of a value that a rule names; @throws RangeError for an integer that is not exact */
export function valueText(value: string | number | bigint | boolean): string {
  if (typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value)) {
    throw new RangeError(`${value} is not exact: expected digits in quotes for so large a number`);
  }
  return typeof value === "number" ? number(String(value)) : String(value);
}

const STEP = /(?<any>\*\*)$|(?<bare>[^.[\]"*]+)|(?<quoted>"(?:[^"\\]|\\.)*")/y;

/** Reads a path; @throws RangeError where the text is malformed */
export function readPath(text: string): Path {
  const wrong = new RangeError(
    `invalid argument ${JSON.stringify(text)}: expected names joined by ".", [*] after an array, ` +
      '"…" around a name with other characters, or ** at the end',
  );
  const steps: Step[] = [];
  for (let at = 0;;) {
    STEP.lastIndex = at;
    const found = STEP.exec(text)?.groups;
    if (found === undefined) throw wrong;
    steps.push(found.any ? BELOW : found.bare ?? unquoted(found.quoted!, wrong));
    at = STEP.lastIndex;
    for (; text.startsWith("[*]", at); at += 3) steps.push(ELEMENTS);
    if (at === text.length) return steps;
    if (text[at++] !== ".") throw wrong;
  }
}

function unquoted(text: string, wrong: RangeError): string {
  try {
    return JSON.parse(text);
  } catch {
    throw wrong;
  }
}

/** Returns a path in the spelling that {@linkcode readPath} reads. */
export function pathText(path: Path): string {
  let text = "";
  for (const step of path) {
    if (step === ELEMENTS) text += "[*]";
    else {
      const name = step === BELOW
        ? "**"
        : /^[^.[\]"*\s]+$/.test(step)
        ? step
        : JSON.stringify(step);
      text += text === "" ? name : `.${name}`;
    }
  }
  return text;
}

/** A visitor of the value at an end of a path, `undefined` when it is absent; returns whether to continue. */
export type Visit = (end: Cursor | undefined) => boolean;

/**
 * Visits the values at a path, in each branch, until a visit returns false.
 *
 * Otherwise the cursor ends after its value. A visit may move the cursor that it gets.
 *
 * @param from the index of the step that follows the value at the cursor
 * @returns whether every visit returned true
 */
export function visitEnds(cursor: Cursor, path: Path, visit: Visit, from = 0): boolean {
  const step = path[from];
  if (step === undefined) return visitHere(cursor, visit);
  if (step === BELOW) return visitScalars(cursor, visit);
  if (step !== ELEMENTS) {
    if (!cursor.member(step)) return visit(undefined);
    if (!visitEnds(cursor, path, visit, from + 1)) return false;
    cursor.leaveObject();
    return true;
  }
  if (!cursor.isArray) {
    cursor.skip();
    return visit(undefined);
  }
  if (!cursor.enter()) return true;
  const inner = path[from + 1];
  return typeof inner === "string"
    ? visitInner(cursor, inner, path, visit, from + 2)
    : visitEach(cursor, path, visit, from + 1);
}

/** Visits the ends in this element and all that follow. */
function visitEach(cursor: Cursor, path: Path, visit: Visit, from: number): boolean {
  do if (!visitEnds(cursor, path, visit, from)) return false; while (cursor.next());
  return true;
}

/** Visits the ends in a member of this element and of all that follow. */
function visitInner(
  cursor: Cursor,
  member: string,
  path: Path,
  visit: Visit,
  from: number,
): boolean {
  /** Whether one absent value was visited, which is enough. */
  let lacks = false;
  do {
    const { isObject } = cursor;
    if (!isObject) cursor.skip();
    else if (cursor.member(member)) {
      if (!visitEnds(cursor, path, visit, from)) return false;
      cursor.leaveObject();
      continue;
    }
    if (!lacks && !visit(undefined)) return false;
    lacks = true;
  } while (cursor.next());
  return true;
}

function visitHere(cursor: Cursor, visit: Visit): boolean {
  const { at } = cursor;
  if (!visit(cursor)) return false;
  cursor.at = at;
  cursor.skip();
  return true;
}

/** Visits all scalars in the value at a cursor, or the value itself, and moves past it. */
function visitScalars(cursor: Cursor, visit: Visit): boolean {
  if (cursor.isScalar) return visitHere(cursor, visit);
  const { isObject } = cursor;
  if (!cursor.enter()) return true;
  do {
    if (isObject) cursor.skipKey();
    if (!visitScalars(cursor, visit)) return false;
  } while (cursor.next());
  return true;
}
