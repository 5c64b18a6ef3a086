/**
 * Paths in a command's arguments, and the values at them.
 *
 * `target.driver` is a member of a member, and `actions[*].type` is a member of each element of an
 * array. `"a.b"` in quotes is one name with a dot. `**` at the end is a value and all values
 * below it. A step is a whole decoded name.
 *
 * @module
 */

import type { Cursor } from "../wire/cursor.ts";
import { number } from "../wire/qemu_json.ts";

/** The step to all elements of an array. */
export const ELEMENTS = Symbol("[*]");
/** The last step, to a value and all values below it. */
export const BELOW = Symbol("**");

/** A step of a path. */
export type Step = string | typeof ELEMENTS | typeof BELOW;
/** The steps from a command's arguments to a value. */
export type Path = readonly Step[];

/**
 * Returns the text of a value in a rule.
 *
 * @throws RangeError for an integer that is too large to be exact
 */
export function valueText(value: string | number | bigint | boolean): string {
  if (typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value)) {
    throw new RangeError(`${value} is too large to be exact; write its digits in quotes`);
  }
  return typeof value === "number" ? number(String(value)) : String(value);
}

const STEP = /(?<any>\*\*)$|(?<bare>[^.[\]"*]+)|(?<quoted>"(?:[^"\\]|\\.)*")/y;

/**
 * Reads a path.
 *
 * @throws RangeError when the text is malformed
 */
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

/** Returns a path in the form that {@linkcode readPath} reads. */
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

/** A visitor of a value at a path, which is `undefined` if absent; returns whether to continue. */
export type Visit = (end: Cursor | undefined) => boolean;

/**
 * Visits all values at a path until a visit returns false.
 *
 * If all visits return true, the cursor is then past the value where it began. A visit may move
 * the cursor.
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

/** Visits the values at the rest of a path, in this array element and all later ones. */
function visitEach(cursor: Cursor, path: Path, visit: Visit, from: number): boolean {
  do if (!visitEnds(cursor, path, visit, from)) return false; while (cursor.next());
  return true;
}

/** Visits the values at the rest of a path, in a member of this array element and of all later ones. */
function visitInner(
  cursor: Cursor,
  member: string,
  path: Path,
  visit: Visit,
  from: number,
): boolean {
  /** Whether an absent value was already visited; further ones are not visited. */
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

/** Visits all scalars at and below the value at a cursor, and moves past the value. */
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
