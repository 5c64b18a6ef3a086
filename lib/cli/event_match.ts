/**
 * `--match PATH=VALUE`: a choice among events by a value in them.
 *
 * @module
 */

import { parseExact } from "../client/exact_json.ts";
import type { QmpEvent } from "../client/schema.ts";
import { UsageError } from "../policy/usage_error.ts";

/** A value that an event must have. */
export interface EventMatch {
  /** The path to the value, without `data.`: names of members and indices, with dots between them. */
  readonly path: string;
  /** The value as it was given. */
  readonly text: string;
  /** The value as JSON; `undefined` if it is not JSON. */
  readonly value: unknown;
}

/** The first member of every path: the only one in which events of a name differ. */
const ROOT = "data.";

/** The most characters of a path. */
const PATH_LIMIT = 1024;

/**
 * Reads a match.
 *
 * @param command the subcommand, for messages
 * @param word `data.PATH=VALUE`
 * @throws UsageError
 */
export function readMatch(command: string, word: string): EventMatch {
  const wrong = (expected: string): UsageError =>
    new UsageError(`${command}: invalid value "${word}" for --match: expected ${expected}`);
  const [, path, text] = /^([^=]+)=(.*)$/s.exec(word) ?? [];
  if (path === undefined || text === undefined) throw wrong("PATH=VALUE");
  if (path.length > PATH_LIMIT) throw wrong(`a path of at most ${PATH_LIMIT} characters`);
  if (!path.startsWith(ROOT) || path === ROOT) {
    throw wrong("a path of a member of data, such as data.device=disk0");
  }
  if (/^\s*[[{]/.test(text)) {
    throw wrong("a string, a number, true, false or null; name a member of the object or list");
  }
  return { path: path.slice(ROOT.length), text, value: jsonIn(text) };
}

/** Returns whether an event has all of the values. */
export function hasAll(event: QmpEvent, matches: readonly EventMatch[]): boolean {
  return matches.every(({ path, text, value }) =>
    valuesAt(event.data, path).some((found) => found === value || found === text)
  );
}

/** Returns the value of a text that is JSON; otherwise `undefined`. */
function jsonIn(text: string): unknown {
  try {
    return parseExact(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Returns the values at a path; there can be several, because names may have dots. */
function valuesAt(value: unknown, path: string): readonly unknown[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([name, member]) => {
    if (name === path) return [member];
    return path.startsWith(`${name}.`) ? valuesAt(member, path.slice(name.length + 1)) : [];
  });
}
