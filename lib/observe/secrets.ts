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
import type { Cursor } from "../wire/cursor.ts";
import { shortened } from "../wire/shortened.ts";

/** The text that replaces a secret. */
const REMOVED = '"(removed)"';

/** The longest arguments that are shown with their values: longer ones take too much time and memory. */
const ARGUMENT_BYTES_LIMIT = 16384;

/** The depth below which values are removed; no command of QEMU needs more. */
const DEPTH_LIMIT = 24;

/** The number of argument names that are shown, and the characters of each. */
const NAMES_LIMIT = 32;
const NAME_CHARS_LIMIT = 64;

/** The names of arguments that carry a secret in every command: passwords, secret data, keys, credentials. */
const SECRET_NAME =
  /pass(?:w|phrase|code)|secret|token|credential|cookie|private|auth-?key|(?:^|[-_.])keys?$/i;

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
  /(?<=(?:pass\w*|secret|token|credential|cookie|keys?|data|auth\w*)["']?\s*)[=:]|^\s*json:|-----BEGIN/i;

/** The members that list a program for QEMU to run and its arguments. These may be secret, and are not shown. */
const PROGRAMS: ReadonlySet<string> = new Set(["args", "cpr-exec-command"]);

/** The form of a text with a program for QEMU to run. The program's arguments are not shown. */
const PROGRAM_TEXT = /(?:^|[-"\s])(?:cmd|exec):/;

/** The user and password in an address. */
const USER_INFO = /:\/\/[^/\s]*@/g;

/** The form of a line of the human monitor that may carry a secret. */
const SECRET_LINE =
  /pass|secret|token|credential|cookie|key|data=|auth|ringbuf_write|qom-set|[\n\r]|:\/\/[^/\s]*@|json:|\b(?:exec|cmd):/i;

/** The command `change DEVICE TARGET`, which carries a secret if the device is `vnc`. */
const CHANGE = /\bchange\b/i;
const VNC = /\bvnc\b/i;

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
export function withoutSecrets(command: Command, isKnown: boolean): Shown | undefined {
  const { argumentBytes } = command;
  if (argumentBytes === undefined) return undefined;
  const args = argumentsOf(command);
  if (!isKnown || argumentBytes.length > ARGUMENT_BYTES_LIMIT) return { names: namesOf(args) };
  return { arguments: objectText(args, command.name, 0) };
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

function objectText(object: Cursor, command: string, depth: number): string {
  const isSecret = isSecretObject(object);
  const members: string[] = [];
  if (!object.enter()) return "{}";
  do {
    const name = object.key();
    const hidden = SECRET_COMMANDS.has(command) && !isWellKnown(object) ||
      isSecret && !SHOWN_OF_SECRETS.has(name) ||
      SECRET_NAME.test(name) || SECRET_OF.get(command)?.has(name);
    const text = hidden ? removed(object) : memberText(name, object, command, depth);
    members.push(`${JSON.stringify(name)}:${text}`);
  } while (object.next());
  return `{${members.join(",")}}`;
}

function removed(value: Cursor): string {
  value.skip();
  return REMOVED;
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

function memberText(name: string, value: Cursor, command: string, depth: number): string {
  // The value of a property can be anything, whatever its name.
  if (command === "qom-set" && name === "value" && (value.isString || !value.isScalar)) {
    return removed(value);
  }
  if (name === "command-line" && value.isString) return JSON.stringify(lineText(taken(value)));
  if (PROGRAMS.has(name) && value.isArray) return programText(value);
  return valueText(value, command, depth + 1);
}

/** Returns the scalar at a cursor, and moves past it. */
function taken(value: Cursor): string {
  const { scalar } = value;
  value.skip();
  return scalar;
}

/** Returns a program without its arguments. */
function programText(words: Cursor): string {
  if (!words.enter()) return "[]";
  const first = words.isString ? stringText(taken(words)) : removed(words);
  let others = false;
  while (words.next()) {
    others = true;
    words.skip();
  }
  return others ? `[${first},${REMOVED}]` : `[${first}]`;
}

function valueText(value: Cursor, command: string, depth: number): string {
  if (depth > DEPTH_LIMIT) return removed(value);
  if (value.isObject) return objectText(value, command, depth);
  if (value.isArray) {
    const elements: string[] = [];
    if (!value.enter()) return "[]";
    do elements.push(valueText(value, command, depth + 1)); while (value.next());
    return `[${elements.join(",")}]`;
  }
  if (value.isString) return stringText(taken(value));
  const text = taken(value);
  // QEMU prints 1e400 as `inf`.
  return text.endsWith("inf") ? JSON.stringify(text) : text;
}

function stringText(text: string): string {
  if (SECRET_TEXT.test(text)) return REMOVED;
  const shown = PROGRAM_TEXT.test(text) ? firstWord(text) : text;
  return JSON.stringify(shown.replace(USER_INFO, "://(removed)@"));
}

function lineText(line: string): string {
  return SECRET_LINE.test(line) || changesVnc(line) ? firstWord(line) : line;
}

function changesVnc(line: string): boolean {
  const change = line.search(CHANGE);
  return change >= 0 && VNC.test(line.slice(change));
}

/** Returns the first word of a command, without its arguments. */
function firstWord(text: string): string {
  const [first = ""] = text.trim().split(/\s/, 1);
  return `${SECRET_TEXT.test(first) ? "" : shortened(first, NAME_CHARS_LIMIT)} (removed)`;
}
