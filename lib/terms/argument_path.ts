/**
 * Where in a command's arguments: a path of names, and what stands there.
 *
 * `target.driver` is a member of a member, `actions[*].type` of each element of
 * an array, `"a.b"` in quotes one name with a dot in it, `**` at the end the
 * value and all below it. A step is one decoded name, never a part of one.
 *
 * @module
 */

import { number } from "../wire/format.ts";
import type { Command } from "../wire/message.ts";
import { asciiBytes } from "../wire/text.ts";
import { Value } from "../wire/value.ts";

/** All elements of an array. */
export const ELEMENTS = Symbol("[*]");
/** The value here and all below it. */
export const BELOW = Symbol("**");

/** One step of a path. */
export type Step = string | typeof ELEMENTS | typeof BELOW;
/** The way from a command's arguments to a value. */
export type Path = readonly Step[];

/** The arguments of a command, decoded where they are looked at. */
export function argumentsOf({ argumentBytes }: Command): Value {
  return argumentBytes === undefined ? NO_ARGUMENTS : new Value(argumentBytes);
}

const NO_ARGUMENTS = new Value(asciiBytes("{}"));

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

/** A path as {@linkcode readPath} reads it. */
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

/**
 * What stands at a path: its value in each branch, a scalar's text, or that some
 * object or array is there (`true`); `false` for a branch where nothing is.
 */
export function* valuesAt(value: Value, path: Path, from = 0): Generator<string | boolean> {
  const step = path[from];
  if (step === undefined) yield value.scalar ?? true;
  else if (step === BELOW) yield* value.scalars();
  else if (step === ELEMENTS) {
    if (!value.isArray) yield false;
    else for (const element of value.elements()) yield* valuesAt(element, path, from + 1);
  } else {
    const member = memberOf(value, step);
    if (member === undefined) yield false;
    else yield* valuesAt(member, path, from + 1);
  }
}

function memberOf(value: Value, wanted: string): Value | undefined {
  for (const [name, member] of value.members()) if (name === wanted) return member;
  return undefined;
}
