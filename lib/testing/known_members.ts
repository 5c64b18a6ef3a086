/**
 * The check of objects that a test gives: JavaScript would take a member that is misspelt, without any effect.
 *
 * @module
 */

import { shortened } from "../wire/shortened.ts";

/** The most characters of a name in an error. */
const SHOWN_LENGTH = 60;

/**
 * Checks that an object has no other members than these.
 *
 * @param what the object, in the error
 * @throws TypeError if it has another, or if it is not an object
 */
export function checkMembers(what: string, value: object, known: readonly string[]): void {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new TypeError(`${what} is not an object with ${known.join(", ")}`);
  }
  const other = Object.keys(value).find((name) => !known.includes(name));
  if (other === undefined) return;
  const shown = JSON.stringify(shortened(other, SHOWN_LENGTH));
  throw new TypeError(`${what} cannot have ${shown}: expected ${known.join(", ")}`);
}

/**
 * Checks that a value is a list.
 *
 * @param what the value, in the error
 * @throws TypeError if it is not one
 */
export function checkList(what: string, value: readonly unknown[]): void {
  if (!Array.isArray(value)) throw new TypeError(`${what} is not a list`);
}
