/**
 * The arguments of a command without secrets.
 *
 * Secrets are recognized by the names of arguments, by the commands that they
 * belong to, and by the form of texts. For an unknown command only the names of the
 * arguments are shown, because their values may be anything.
 *
 * @module
 */

import { argumentsOf, type Command } from "../wire/message.ts";
import { Cursor } from "../wire/cursor.ts";
import { hasMoreBrackets } from "../wire/scan.ts";
import { shortened } from "../wire/shortened.ts";
import { WordSearch } from "../wire/word_search.ts";
import { HUMAN_COMMAND, mayAskForSecret, mayCarrySecret } from "./human_line.ts";

/** The text that replaces a secret in a record for people. */
const REMOVED = "(removed)";

/** The treatment of secrets. */
export interface Treatment {
  /** The text that replaces a secret. */
  readonly mark: string;
  /** Called with each text that is removed. */
  readonly removed?: ((text: string) => void) | undefined;
}

/** A removal of secrets from one value. */
interface Removal extends Treatment {
  /** The name of the command. */
  readonly command: string;
}

/** The longest arguments that are shown with their values: longer ones take too much time and memory. */
const ARGUMENT_BYTES_LIMIT = 16384;

/** The depth below which values are removed; no command of QEMU needs more. */
const DEPTH_LIMIT = 24;

/** The number of argument names that are shown, and the characters of each. */
const NAMES_LIMIT = 32;
const NAME_CHARS_LIMIT = 64;

/**
 * The names of arguments that carry a secret in every command: passwords, secret data, keys, credentials,
 * and the text of a client's own beside a descriptor.
 */
const SECRET_NAME =
  /pass(?:w|phrase|code)|secret|token|credential|cookie|private|auth-?key|(?:^|[-_.]|api)keys?$|^opaque$/i;

/** The arguments that carry a secret in one command. */
const SECRET_OF: ReadonlyMap<string, ReadonlySet<string>> = new Map([
  // The keys typed into a guest may be its password.
  ["send-key", new Set(["keys"])],
  ["input-send-event", new Set(["events"])],
  ["ringbuf-write", new Set(["data"])],
  ["object-add", new Set(["data"])],
]);

/** Commands about secrets: only well-known values of their arguments are shown. */
const SECRET_COMMANDS: ReadonlySet<string> = new Set([
  "block_passwd",
  "change-vnc-password",
  "expire_password",
  "set_password",
  "sev-inject-launch-secret",
]);
const WELL_KNOWN = /^(?:vnc|spice|keep|fail|disconnect)$/;

/** The members of a secret object that are shown. */
const SHOWN_OF_SECRETS: ReadonlySet<string> = new Set(["qom-type", "id", "format"]);

/**
 * The form of a text that carries a secret: `password=…`, a file name in JSON, a PEM key.
 *
 * The sign after a name is matched first, and the name by lookbehind. Matching forward from
 * each name would take time that grows with the square of the text's length.
 */
const SECRET_TEXT =
  /(?<=(?:pass\w*|secret|token|credential|cookie|keys?|data|auth\w*|\bsig|signature)["']?\s*)[=:]|^\s*json:|-----BEGIN/i;

/** The members that list a program for QEMU to run and its arguments. These may be secret, and are not shown. */
const PROGRAMS: ReadonlySet<string> = new Set(["args", "cpr-exec-command"]);

/** The form of a text with a program for QEMU to run. The program's arguments are not shown. */
const PROGRAM_TEXT = /(?:^|[-"\s])(?:cmd|exec):/;

/** The user and password in an address. */
const USER_INFO = /:\/\/[^/\s]*@/g;

/** The part of a command's arguments that is shown. */
export type Shown =
  /** All arguments as JSON, without secrets. */
  | { readonly arguments: string }
  /** Only their names. */
  | { readonly names: readonly string[] };

/**
 * Returns a command's arguments without secrets; `undefined` if it has none.
 *
 * @param isKnown whether the meaning of the command's arguments is known
 */
export function withoutSecrets(
  command: Command,
  isKnown: boolean,
  treatment: Treatment = { mark: REMOVED },
): Shown | undefined {
  const { argumentBytes } = command;
  if (argumentBytes === undefined) return undefined;
  const args = argumentsOf(command);
  if (!isKnown || argumentBytes.length > ARGUMENT_BYTES_LIMIT) return { names: namesOf(args) };
  return { arguments: objectText(args, { ...treatment, command: command.name }, 0) };
}

/** The words without which a text has no name of a secret, no form of one, and no program. */
const SUSPECT_WORDS: readonly string[] = [
  "pass",
  "secret",
  "token",
  "credential",
  "cookie",
  "private",
  "key",
  "auth",
  "opaque",
  '"args"',
  "cpr-exec",
  "=",
  "@",
  "-----begin",
];

/** The same for arguments. A backslash may hide a word; what a property is set to may be anything. */
const SUSPECT_ARGUMENTS = new WordSearch([...SUSPECT_WORDS, "data", "command-line", "\\"], '":');

/**
 * Returns whether a known command's arguments may have a secret, or ask for one.
 *
 * It takes a fraction of the time that {@linkcode withoutSecrets} takes, and is right if it returns `false`.
 */
export function isSuspect({ name, argumentBytes }: Command): boolean {
  if (argumentBytes === undefined) return false;
  return name === "qom-set" || SECRET_OF.has(name) || SECRET_COMMANDS.has(name) ||
    argumentBytes.length > ARGUMENT_BYTES_LIMIT || SUSPECT_ARGUMENTS.finds(argumentBytes) ||
    hasMoreBrackets(argumentBytes, DEPTH_LIMIT);
}

/** The commands that return what may be a secret. */
const SECRET_RETURNS: ReadonlySet<string> = new Set(["qom-list-get", "ringbuf-read"]);

/** Returns whether a command asks for a secret: its whole return value may be one. */
export function asksForSecret(command: Command): boolean {
  if (SECRET_RETURNS.has(command.name)) return true;
  if (command.name === HUMAN_COMMAND) {
    return mayAskForSecret(textArgument(command, "command-line") ?? "");
  }
  if (command.name !== "qom-get" || !isSuspect(command)) return false;
  const property = textArgument(command, "property");
  return property !== undefined && (property === "data" || SECRET_NAME.test(property));
}

/** Returns an argument that is a string; `undefined` without such a one. */
function textArgument(command: Command, name: string): string | undefined {
  const value = argumentsOf(command);
  return value.member(name) && value.isString ? value.scalar : undefined;
}

/** The commands that return only names and types. */
const NAMES_ONLY: ReadonlySet<string> = new Set([
  "device-list-properties",
  "qom-list",
  "qom-list-properties",
  "qom-list-types",
  "query-command-line-options",
  "query-commands",
  "query-cpu-definitions",
  "query-machines",
  "query-qmp-schema",
]);

/** The same for messages of QEMU's, which prints a space behind the name of a member. */
const SUSPECT_TEXT = new WordSearch(SUSPECT_WORDS, ": ");

/**
 * Returns whether a message of QEMU's may have what has the form of a secret.
 *
 * @param command the name of the command that it answers; empty for an event
 * @param end the end of the part that is shown
 */
export function isSuspectMessage(bytes: Uint8Array, command: string, end?: number): boolean {
  return !NAMES_ONLY.has(command) && SUSPECT_TEXT.finds(bytes, end);
}

/**
 * Returns a suspect message of QEMU's without what has the form of a secret, as JSON.
 *
 * @param text the message
 * @param frame the message as a frame; `undefined` if it is malformed
 * @returns the text itself if it has no such form
 */
export function messageWithoutSecrets(
  text: string,
  frame: Uint8Array | undefined,
  mark: string,
): string {
  if (frame === undefined) return JSON.stringify(mark);
  const cleaned = valueText(new Cursor(frame), { command: "", mark }, 0);
  return cleaned.includes(mark) ? cleaned : text;
}

function namesOf(args: Cursor): string[] {
  const names: string[] = [];
  if (!args.enter()) return names;
  do {
    names.push(shortened(args.key(), NAME_CHARS_LIMIT));
    args.skip();
  } while (args.next() && names.length < NAMES_LIMIT);
  return names;
}

// The functions below move a cursor past its value.

function objectText(object: Cursor, removal: Removal, depth: number): string {
  const { command } = removal;
  const isSecret = isSecretObject(object);
  const members: string[] = [];
  if (!object.enter()) return "{}";
  do {
    const name = object.key();
    const hidden = SECRET_COMMANDS.has(command) && !isWellKnown(object) ||
      isSecret && !SHOWN_OF_SECRETS.has(name) ||
      SECRET_NAME.test(name) || SECRET_OF.get(command)?.has(name);
    const text = hidden ? removed(object, removal) : memberText(name, object, removal, depth);
    members.push(`${JSON.stringify(name)}:${text}`);
  } while (object.next());
  return `{${members.join(",")}}`;
}

function removed(value: Cursor, removal: Removal): string {
  if (removal.removed !== undefined) eachScalar(value.bytes, removal.removed);
  value.skip();
  return JSON.stringify(removal.mark);
}

/** Calls a function with each scalar in a value, as text. */
function eachScalar(value: Uint8Array, found: (text: string) => void): void {
  const cursor = new Cursor(value);
  const visit = (): void => {
    if (cursor.isScalar) return found(taken(cursor));
    const { isObject } = cursor;
    if (!cursor.enter()) return;
    do {
      if (isObject) cursor.skipKey();
      visit();
    } while (cursor.next());
  };
  visit();
}

function isWellKnown(value: Cursor): boolean {
  return value.isScalar && WELL_KNOWN.test(value.scalar);
}

/** Returns whether the object at a cursor describes a secret for `object-add`; the cursor stays. */
function isSecretObject(object: Cursor): boolean {
  const { at } = object;
  const isSecret = object.member("qom-type") && object.isScalar &&
    object.scalar.startsWith("secret");
  object.at = at;
  return isSecret;
}

function memberText(name: string, value: Cursor, removal: Removal, depth: number): string {
  const { command } = removal;
  // The value of a property can be anything, whatever its name.
  if (command === "qom-set" && name === "value" && (value.isString || !value.isScalar)) {
    return removed(value, removal);
  }
  if (name === "command-line" && value.isString) {
    return JSON.stringify(lineText(taken(value), removal));
  }
  if (PROGRAMS.has(name) && value.isArray) return programText(value, removal);
  return valueText(value, removal, depth + 1);
}

/** Returns the scalar at a cursor, and moves past it. */
function taken(value: Cursor): string {
  const { scalar } = value;
  value.skip();
  return scalar;
}

/** Returns a program without its arguments. */
function programText(words: Cursor, removal: Removal): string {
  if (!words.enter()) return "[]";
  const first = words.isString ? stringText(taken(words), removal) : removed(words, removal);
  let others = "";
  while (words.next()) others = `,${removed(words, removal)}`;
  return `[${first}${others}]`;
}

function valueText(value: Cursor, removal: Removal, depth: number): string {
  if (depth > DEPTH_LIMIT) return removed(value, removal);
  if (value.isObject) return objectText(value, removal, depth);
  if (value.isArray) {
    const elements: string[] = [];
    if (!value.enter()) return "[]";
    do elements.push(valueText(value, removal, depth + 1)); while (value.next());
    return `[${elements.join(",")}]`;
  }
  if (value.isString) return stringText(taken(value), removal);
  const text = taken(value);
  // QEMU prints 1e400 as `inf`.
  return text.endsWith("inf") ? JSON.stringify(text) : text;
}

function stringText(text: string, removal: Removal): string {
  const { mark } = removal;
  if (SECRET_TEXT.test(text)) {
    removal.removed?.(text);
    return JSON.stringify(mark);
  }
  const shown = PROGRAM_TEXT.test(text) ? firstWord(text, removal) : text;
  return JSON.stringify(shown.replace(USER_INFO, (userInfo) => {
    removal.removed?.(userInfo.slice("://".length, -1));
    return `://${mark}@`;
  }));
}

function lineText(line: string, removal: Removal): string {
  return mayCarrySecret(line) ? firstWord(line, removal) : line;
}

/** Returns the first word of a command, without its arguments. */
function firstWord(text: string, { mark, removed }: Removal): string {
  const [first = "", ...rest] = text.trim().split(/\s+/);
  rest.forEach((word) => removed?.(word));
  if (!SECRET_TEXT.test(first)) return `${shortened(first, NAME_CHARS_LIMIT)} ${mark}`;
  removed?.(first);
  return ` ${mark}`;
}
