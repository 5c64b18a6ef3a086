/**
 * Kinds of values that a setting can have: how each is read, checked and printed.
 *
 * A value is text on the command line and a TOML value in the file. Both are read
 * into the same checked value.
 *
 * @module
 */

import { limitRange, type LimitRow, readLimit } from "../policy/limits.ts";

/** The kinds of completions that a shell offers for a value; a listener is an address with options. */
export type CompletionKind =
  | "file"
  | "address"
  | "listener"
  | "command"
  | "argument"
  | "event"
  | "job"
  | "client"
  | "role"
  | "vm";

/** A kind of value; `T` is the checked value. */
export interface ValueKind<T> {
  /** The placeholder for the value in the help; a switch has none. */
  readonly value?: string;
  /** The possible values, if they are few. */
  readonly words?: readonly string[];
  /** The kind of its completions. */
  readonly kind?: CompletionKind;
  /** The phrase behind `expected` in an error. */
  readonly expected: string;
  /**
   * Reads the text of a flag.
   *
   * @returns `undefined` for an invalid value
   * @throws UsageError for an invalid value that needs another message than `expected`
   */
  read(text: string): T | undefined;
  /** Reads a value of the file, as {@linkcode read} does. */
  readFile(value: unknown): T | undefined;
  /** Prints a value as TOML; `undefined` leaves it out. */
  print(value: T): string | undefined;
}

/** Writes text as TOML: as in JSON, but with DEL escaped, which TOML requires. */
export function quoted(text: string): string {
  return JSON.stringify(text).replaceAll("\x7f", "\\u007f");
}

/** Writes texts as a TOML array. */
export function list(texts: readonly string[]): string {
  return `[${texts.map(quoted).join(", ")}]`;
}

/** A switch: on if the flag is given, `true` or `false` in the file. */
export const SWITCH: ValueKind<boolean> = {
  expected: "true or false",
  read: () => true,
  readFile: (value) => typeof value === "boolean" ? value : undefined,
  print: String,
};

/** The longest time a setting can have, in seconds: a day. */
const SECONDS_LIMIT = 86400;

/** A time in seconds, above 0 and up to a day. */
export const SECONDS: ValueKind<number> = {
  value: "S",
  expected: `seconds above 0 and up to ${SECONDS_LIMIT}`,
  read: (text) => /^\d+(\.\d+)?$/.test(text) ? secondsOf(Number(text)) : undefined,
  readFile: (value) => typeof value === "number" ? secondsOf(value) : undefined,
  print: String,
};

function secondsOf(value: number): number | undefined {
  return value > 0 && value <= SECONDS_LIMIT ? value : undefined;
}

/** Returns the kind of a value that is one of these words. */
export function word<const W extends string>(...words: readonly W[]): ValueKind<W> {
  const read = (text: unknown): W | undefined => words.find((each) => each === text);
  return {
    value: words.join("|"),
    words,
    expected: `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`,
    read,
    readFile: read,
    print: quoted,
  };
}

/** Returns the kind of a number within a limit's bounds, with its default and help. Bytes may also be text such as `64K`. */
export function amount(
  row: LimitRow,
): ValueKind<number> & { readonly initial: number; readonly help: string } {
  return {
    initial: row.initial,
    help: row.help,
    value: row.unit === "bytes" ? "BYTES" : "N",
    expected: limitRange(row),
    read: (text) => readLimit(row, text),
    readFile: (value) => {
      const takesText = row.unit === "bytes" && typeof value === "string";
      return typeof value === "number" || takesText ? readLimit(row, String(value)) : undefined;
    },
    print: String,
  };
}

/** Returns the kind of a text that a function reads. */
export function text<T>(
  read: (text: string) => T | undefined,
  print: (value: T) => string,
  { value, ...rest }: Pick<ValueKind<T>, "value" | "words" | "kind"> & { expected?: string },
): ValueKind<T> {
  return {
    ...(value !== undefined && { value }),
    expected: "text in quotes",
    ...rest,
    read,
    readFile: (value) => typeof value === "string" ? read(value) : undefined,
    print: (value) => quoted(print(value)),
  };
}

/** The form of a host's name or address, as in a URL before the port. */
const HOST = /^(?:[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?|\[[0-9A-Fa-f:.]+\])$/;

/** Host names: separated by commas on the command line, a list of texts in the file. */
export const HOSTS: ValueKind<readonly string[]> = {
  value: "NAME,...",
  expected: "host names without a port",
  read: (text) => hostsOf(text.split(",")),
  readFile: (value) => Array.isArray(value) ? hostsOf(value) : undefined,
  print: list,
};

function hostsOf(names: readonly unknown[]): readonly string[] | undefined {
  const isHost = (name: unknown): name is string => typeof name === "string" && HOST.test(name);
  return names.length > 0 && names.every(isHost) ? names : undefined;
}

/** Returns a kind whose value may be left out. */
export function optional<T>(
  kind: ValueKind<T>,
): ValueKind<T | undefined> & { readonly initial: undefined } {
  const print = (value: T | undefined): string | undefined =>
    value === undefined ? undefined : kind.print(value);
  return { ...kind, print, initial: undefined };
}

/** A time limit for commands. */
export interface Deadline {
  /** A glob of command names. */
  readonly glob: string;
  /** Seconds after qmpmux has read the command. */
  readonly seconds: number;
}

/** A table of the file: globs of commands, each with its seconds. */
export const DEADLINES: ValueKind<readonly Deadline[]> = {
  expected: `a table of "GLOB" = SECONDS, each above 0 and up to ${SECONDS_LIMIT}`,
  read: () => undefined,
  readFile: (value) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
    const rows: Deadline[] = [];
    for (const [glob, each] of Object.entries(value)) {
      const seconds = SECONDS.readFile(each);
      if (seconds === undefined) return undefined;
      rows.push({ glob, seconds });
    }
    return rows;
  },
  print: (rows) => {
    if (rows.length === 0) return undefined;
    const pairs = rows.map(({ glob, seconds }) => `${quoted(glob)} = ${seconds}`);
    return `{ ${pairs.join(", ")} }`;
  },
};
