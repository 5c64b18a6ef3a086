/**
 * A command's arguments, less what is nobody else's business.
 *
 * Secrets are known by a list: by the names of arguments, by the commands they
 * belong to, and by what texts look like. Of a command that is not known nothing
 * is shown but the names of its arguments: nobody can tell what they carry.
 *
 * @module
 */

import { argumentsOf, type Command } from "../wire/message.ts";
import type { Cursor } from "../wire/cursor.ts";
import { shortened } from "../wire/shortened.ts";

/** What stands for what was removed. */
const REMOVED = '"(removed)"';

/** Longer arguments are named only: it takes time to look at them, and room to keep them. */
const ARGUMENT_BYTES_LIMIT = 16384;

/** Deeper values are removed: no command of QEMU comes near. */
const DEPTH_LIMIT = 24;

/** So many names of arguments are shown, and so much of each. */
const NAMES_LIMIT = 32;
const NAME_CHARS_LIMIT = 64;

/** Arguments that carry a secret wherever they are: passwords, secret data, keys, credentials. */
const SECRET_NAME =
  /pass(?:w|phrase|code)|secret|token|credential|cookie|private|auth-?key|(?:^|[-_.])keys?$/i;

/** Arguments of one command that carry a secret there. */
const SECRET_OF: ReadonlyMap<string, ReadonlySet<string>> = new Map([
  // What is typed into a guest may be its password.
  ["send-key", new Set(["keys"])],
  ["input-send-event", new Set(["events"])],
  ["ringbuf-write", new Set(["data"])],
  ["object-add", new Set(["data"])],
]);

/** Commands about secrets: of these only what is well known is shown, whatever it is called. */
const SECRET_COMMANDS: ReadonlySet<string> = new Set([
  "block_passwd",
  "change-vnc-password",
  "expire_password",
  "set_password",
  "sev-inject-launch-secret",
]);
const WELL_KNOWN = /^(?:vnc|spice|keep|fail|disconnect)$/;

/** Of an object that is a secret only these are shown. */
const SHOWN_OF_SECRETS: ReadonlySet<string> = new Set(["qom-type", "id", "format"]);

/**
 * A text that carries a secret by the look of it: `password=…`, a file name in JSON, a PEM key.
 *
 * The sign behind a name is looked for first: from each name on, the time would grow with the
 * square of the text.
 */
const SECRET_TEXT =
  /(?<=(?:pass\w*|secret|token|credential|cookie|keys?|data|auth\w*)["']?\s*)[=:]|^\s*json:|-----BEGIN/i;

/** Programs that QEMU runs, as lists: what they are given may be secret, and is not shown. */
const PROGRAMS: ReadonlySet<string> = new Set(["args", "cpr-exec-command"]);

/** A program that QEMU runs, behind other words: what it is given is not shown. */
const PROGRAM_TEXT = /(?:^|[-"\s])(?:cmd|exec):/;

/** The user and password in an address. */
const USER_INFO = /:\/\/[^/\s]*@/g;

/** Lines of the human monitor that carry a secret, or may. */
const SECRET_LINE =
  /pass|secret|token|credential|cookie|key|data=|auth|ringbuf_write|qom-set|[\n\r]|:\/\/[^/\s]*@|json:|\b(?:exec|cmd):/i;

/** `change DEVICE TARGET` carries a secret where the device is `vnc`. */
const CHANGE = /\bchange\b/i;
const VNC = /\bvnc\b/i;

/** What is shown of a command's arguments. */
export type Shown =
  /** All of them as JSON, without secrets. */
  | { readonly arguments: string }
  /** Only what they are called. */
  | { readonly names: readonly string[] };

/**
 * A command's arguments without secrets; `undefined` where it has none.
 *
 * @param isKnown is it a command whose arguments are known?
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

// The methods below move a cursor behind its value.

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

/** Tells whether the object at a cursor is what `object-add` makes a secret of; stays there. */
function isSecretObject(object: Cursor): boolean {
  const { at } = object;
  const isSecret = object.member("qom-type") && object.isScalar &&
    object.scalar.startsWith("secret");
  object.at = at;
  return isSecret;
}

function memberText(name: string, value: Cursor, command: string, depth: number): string {
  // A property can be anything, whatever it is called.
  if (command === "qom-set" && name === "value" && (value.isString || !value.isScalar)) {
    return removed(value);
  }
  if (name === "command-line" && value.isString) return JSON.stringify(lineText(taken(value)));
  if (PROGRAMS.has(name) && value.isArray) return programText(value);
  return valueText(value, command, depth + 1);
}

/** The scalar at a cursor. */
function taken(value: Cursor): string {
  const { scalar } = value;
  value.skip();
  return scalar;
}

/** The command without its arguments. */
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
  // QEMU would print 1e400 as `inf`.
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

/** The command without its arguments. */
function firstWord(text: string): string {
  const [first = ""] = text.trim().split(/\s/, 1);
  return `${SECRET_TEXT.test(first) ? "" : shortened(first, NAME_CHARS_LIMIT)} (removed)`;
}
