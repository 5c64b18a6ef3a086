/**
 * A command's arguments, less what is nobody else's business.
 *
 * Secrets are known by a list: by the names of arguments, by the commands they
 * belong to, and by what texts look like. Of a command that is not known nothing
 * is shown but the names of its arguments: nobody can tell what they carry.
 *
 * @module
 */

import type { Command } from "../wire/message.ts";
import { Value } from "../wire/value.ts";

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

/** A text that carries a secret by the look of it: `password=…`, a file name in JSON, a PEM key. */
const SECRET_TEXT =
  /(?:pass\w*|secret|token|credential|cookie|keys?|data|auth\w*)["']?\s*[=:]|^\s*json:|-----BEGIN/i;

/** Programs that QEMU runs, as lists: what they are given may be secret, and is not shown. */
const PROGRAMS: ReadonlySet<string> = new Set(["args", "cpr-exec-command"]);

/** A program that QEMU runs, behind other words: what it is given is not shown. */
const PROGRAM_TEXT = /(?:^|[-"\s])(?:cmd|exec):/;

/** The user and password in an address. */
const USER_INFO = /:\/\/[^/\s]*@/g;

/** Lines of the human monitor that carry a secret, or may. */
const SECRET_LINE =
  /pass|secret|token|credential|cookie|key|data=|auth|ringbuf_write|qom-set|\bchange\b.*\bvnc\b|[\n\r]|:\/\/[^/\s]*@|json:|\b(?:exec|cmd):/i;

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
  const args = new Value(argumentBytes);
  if (!isKnown || argumentBytes.length > ARGUMENT_BYTES_LIMIT) return { names: namesOf(args) };
  return { arguments: objectText(args, command.name, 0) };
}

function namesOf(args: Value): string[] {
  const names: string[] = [];
  for (const [name] of args.members()) {
    if (names.length === NAMES_LIMIT) break;
    names.push(shortened(name));
  }
  return names;
}

/** A client chose it: a long one is cut. */
function shortened(name: string): string {
  return name.length > NAME_CHARS_LIMIT ? `${name.slice(0, NAME_CHARS_LIMIT - 1)}…` : name;
}

function objectText(object: Value, command: string, depth: number): string {
  const isSecret = isSecretObject(object);
  const members: string[] = [];
  for (const [name, value] of object.members()) {
    const hidden = SECRET_COMMANDS.has(command) && !WELL_KNOWN.test(value.scalar ?? "") ||
      isSecret && !SHOWN_OF_SECRETS.has(name) ||
      SECRET_NAME.test(name) || SECRET_OF.get(command)?.has(name);
    const text = hidden ? REMOVED : memberText(name, value, command, depth);
    members.push(`${JSON.stringify(name)}:${text}`);
  }
  return `{${members.join(",")}}`;
}

/** Is it what `object-add` makes a secret of? */
function isSecretObject(object: Value): boolean {
  for (const [name, value] of object.members()) {
    if (name === "qom-type" && value.scalar?.startsWith("secret")) return true;
  }
  return false;
}

function memberText(name: string, value: Value, command: string, depth: number): string {
  // A property can be anything, whatever it is called.
  if (command === "qom-set" && name === "value" && !isNumber(value)) return REMOVED;
  if (name === "command-line" && value.isString) return JSON.stringify(lineText(value.scalar!));
  if (PROGRAMS.has(name) && value.isArray) return programText(value);
  return valueText(value, command, depth + 1);
}

/** What is run, without what it is given. */
function programText(words: Value): string {
  const [program, ...rest] = words.elements();
  if (program === undefined) return "[]";
  const first = program.isString ? stringText(program.scalar!) : REMOVED;
  return rest.length > 0 ? `[${first},${REMOVED}]` : `[${first}]`;
}

/** A number, `true`, `false` or `null`. */
function isNumber(value: Value): boolean {
  return value.scalar !== undefined && !value.isString;
}

function valueText(value: Value, command: string, depth: number): string {
  if (depth > DEPTH_LIMIT) return REMOVED;
  if (value.isObject) return objectText(value, command, depth);
  if (value.isArray) {
    return `[${
      [...value.elements()].map((each) => valueText(each, command, depth + 1)).join(",")
    }]`;
  }
  const text = value.scalar!;
  if (value.isString) return stringText(text);
  // QEMU would print 1e400 as `inf`.
  return /inf/.test(text) ? JSON.stringify(text) : text;
}

function stringText(text: string): string {
  if (SECRET_TEXT.test(text)) return REMOVED;
  const shown = PROGRAM_TEXT.test(text) ? firstWord(text) : text;
  return JSON.stringify(shown.replace(USER_INFO, "://(removed)@"));
}

function lineText(line: string): string {
  return SECRET_LINE.test(line) ? firstWord(line) : line;
}

/** What is run, without what it is given. */
function firstWord(text: string): string {
  const [first = ""] = text.trim().split(/\s/, 1);
  return `${SECRET_TEXT.test(first) ? "" : shortened(first)} (removed)`;
}
