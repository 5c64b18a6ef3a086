/**
 * The names of events that a program asks for.
 *
 * @module
 */

import { EventFilter } from "../policy/event_filter.ts";

/**
 * Returns the filter of a list of globs.
 *
 * @throws TypeError if it is not a list of texts, as can be in JavaScript; RangeError if there are too many
 */
export function filterOf(globs: readonly string[]): EventFilter {
  if (!Array.isArray(globs)) {
    throw new TypeError(`Invalid event globs ${shown(globs)}: expected a list, such as ["STOP"]`);
  }
  for (const glob of globs) {
    if (typeof glob !== "string") {
      throw new TypeError(`Invalid event glob ${shown(glob)}: expected a string, such as "STOP"`);
    }
  }
  return new EventFilter(globs);
}

function shown(value: unknown): string {
  return value === undefined || value === null ? String(value) : `of type ${typeof value}`;
}
