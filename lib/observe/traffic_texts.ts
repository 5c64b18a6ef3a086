/**
 * The texts of messages for a recording, without secrets.
 *
 * A mark takes the place of each secret. It is random, so that no client can have sent it. What is
 * recorded twice, at QEMU and at a client, is made once.
 *
 * @module
 */

import { FrameSplitter } from "../wire/frame.ts";
import { type Command, type Event, type Id, isPretty, type Reply } from "../wire/message.ts";
import { Output } from "../wire/output.ts";
import { partsWithId } from "../wire/reply.ts";
import { printable } from "../wire/printable.ts";
import { quoted as quotedByQemu } from "../wire/qemu_json.ts";
import { joined } from "../wire/text.ts";
import { HUMAN_COMMAND } from "./human_line.ts";
import {
  asksForSecret,
  isSuspect,
  isSuspectMessage,
  messageWithoutSecrets,
  withoutSecrets,
} from "./secrets.ts";

/** The longest message that is recorded; writing a longer one would take too much time. */
const MESSAGE_BYTES_LIMIT = 1 << 20;

/** The most bytes of a brief text: people see less of a value. */
const BRIEF_BYTES_LIMIT = 512;

/** Settings of the texts. */
export interface TextOptions {
  /** The text that replaces a secret. */
  readonly mark: string;
  /** Whether secrets are kept. */
  readonly keepsSecrets: boolean;
  /** Whether the values of long replies are cut, and replies have no ids. */
  readonly isBrief: boolean;
  /** Returns whether the meaning of a command's arguments is known. */
  readonly isKnown: (command: string) => boolean;
}

/** A command without secrets. */
interface Cleaned {
  /** Its arguments as JSON; `undefined` if nothing was removed. */
  readonly args: string | undefined;
  /**
   * The texts that were removed; `all` if any text may be one, and `line` if a part of one may be
   * repeated: in a line of the human monitor.
   */
  readonly removed: readonly string[] | "all" | "line";
}

/** The room for the members of most lines. */
const LINE_BYTES = 1024;

const CLEAN: Cleaned = { args: undefined, removed: [] };

const DECODER = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
/** The most texts that are remembered because `qom-set` has set them, and the fewest characters of one. */
const SET_LIMIT = 256;
const SET_CHARS = 4;

/** A decoder of bytes that may not be UTF-8, or may be cut in the middle of a character. */
const LENIENT_DECODER = new TextDecoder();

/** The members that were made last of bytes of a kind; the same bytes often pass twice. */
class LastText {
  #bytes: Uint8Array | undefined;
  /** The members. */
  readonly members = new Output(LINE_BYTES);

  /** Returns whether the members are those of these bytes; if they are not, they have to be written. */
  isOf(bytes: Uint8Array): boolean {
    if (bytes === this.#bytes) return true;
    this.#bytes = bytes;
    this.members.clear();
    return false;
  }
}

/**
 * Writes the texts of messages: the members of a line that have the text, without braces.
 *
 * Most texts are quoted byte by byte, and never become strings.
 */
export class TrafficTexts {
  readonly #options: TextOptions;
  readonly #cleaned = new WeakMap<Command, Cleaned>();
  /** The command that was looked at last, because up to four messages in a row belong to one. */
  #command: Command | undefined;
  #commandCleaned = CLEAN;
  /** The last texts that were removed from `qom-set`, and from lines: `qom-get` may return them. */
  readonly #set = new Set<string>();
  readonly #commands = new LastText();
  readonly #replies = new LastText();
  readonly #events = new LastText();

  /** Creates a writer. */
  constructor(options: TextOptions) {
    this.#options = options;
  }

  /**
   * Writes the text of a command.
   *
   * @param bytes the command as it is recorded
   * @param id the id in these bytes, as JSON
   */
  command(out: Output, command: Command, bytes: Uint8Array, id: Id): void {
    out.append(this.#commandMembers(command, bytes, id));
  }

  /** Writes the text of a command as a JSON string; a command that is too long has only its name. */
  commandValue(out: Output, command: Command, bytes: Uint8Array): void {
    const members = this.#commandMembers(command, bytes, command.id);
    if (members.startsWith(TEXT_NAME)) out.append(members, TEXT_NAME.length);
    else out.utf8(jsonOf(`{"execute":${JSON.stringify(command.name)}}`));
  }

  #commandMembers(command: Command, bytes: Uint8Array, id: Id): Output {
    const { members } = this.#commands;
    if (this.#commands.isOf(bytes)) return members;
    const { args } = this.#clean(command);
    if (args === undefined) plain(members, bytes);
    else {
      const verb = command.oob ? "exec-oob" : "execute";
      const end = id === undefined ? "" : `,"id":${id}`;
      const text = `{"${verb}":${JSON.stringify(command.name)},"arguments":${args}${end}}`;
      members.utf8(textMember(text));
    }
    return members;
  }

  /**
   * Writes the text of a reply.
   *
   * @param command the command that it answers, if it is known
   */
  reply(out: Output, reply: Reply, id: Id, command: Command | undefined): void {
    const { members } = this.#replies;
    if (!this.#replies.isOf(reply.bytes)) this.#bare(members, reply, command);
    if (this.#options.isBrief || id === undefined && reply.data === undefined) {
      return out.append(members);
    }
    if (reply.data === undefined && !isPretty(reply.bytes)) {
      if (appendWithMember(out, members, reply.kind, id!)) return;
    }
    const parts = partsWithId(reply, id);
    const length = parts.reduce((sum, part) => sum + part.length, 0);
    // The parts of a long reply are not joined, which would take time.
    if (length > MESSAGE_BYTES_LIMIT) return lengthMember(out, length);
    this.#cleanReply(out, joined(parts), reply.kind === "error", command);
  }

  /** Writes the text of the reply to malformed input: the error may repeat the input. */
  damageReply(out: Output, { bytes }: Reply): void {
    const { keepsSecrets, mark } = this.#options;
    if (keepsSecrets || isTooLong(bytes)) plain(out, bytes);
    else out.utf8(withoutValue(LENIENT_DECODER.decode(bytes), mark));
  }

  /** Writes the text of an event. */
  event(out: Output, { bytes }: Event): void {
    const { members } = this.#events;
    if (!this.#events.isOf(bytes)) this.#withoutForms(members, bytes, "");
    out.append(members);
  }

  /** Writes the text of a reply without an id. */
  #bare(out: Output, { bytes, kind }: Reply, command: Command | undefined): void {
    const isLong = this.#options.isBrief && bytes.length > BRIEF_BYTES_LIMIT;
    if (!isLong || kind === "error") {
      return this.#cleanReply(out, bytes, kind === "error", command);
    }
    const { mark, keepsSecrets } = this.#options;
    // A part is not JSON, so that a secret in it cannot be replaced alone.
    const isSecret = !keepsSecrets &&
      (isSuspectMessage(bytes, command?.name ?? "", BRIEF_BYTES_LIMIT) ||
        this.#tellsSecret(bytes, false, command));
    if (isSecret) return out.utf8(withoutValue("{}", mark));
    lengthMember(out, bytes.length);
    out.ascii(",");
    out.ascii(TEXT_NAME);
    if (out.quoted(bytes, BRIEF_BYTES_LIMIT)) return;
    out.utf8(jsonOf(LENIENT_DECODER.decode(bytes.slice(0, BRIEF_BYTES_LIMIT)).trimEnd()));
  }

  #cleanReply(
    out: Output,
    bytes: Uint8Array,
    isError: boolean,
    command: Command | undefined,
  ): void {
    const { mark, keepsSecrets } = this.#options;
    if (keepsSecrets || isTooLong(bytes)) return plain(out, bytes);
    if (this.#tellsSecret(bytes, isError, command)) {
      return out.utf8(withoutValue(LENIENT_DECODER.decode(bytes), mark));
    }
    this.#withoutForms(out, bytes, command?.name ?? "");
  }

  /** Returns whether a reply repeats what was removed from its command, or is what a command asks for. */
  #tellsSecret(bytes: Uint8Array, isError: boolean, command: Command | undefined): boolean {
    if (command === undefined) return false;
    const asks = !isError && asksForSecret(command);
    const { removed } = this.#clean(command);
    const isGet = !isError && command.name === "qom-get" && this.#set.size > 0;
    // Most replies need not be decoded.
    if (!asks && !isGet && removed.length === 0) return false;
    const text = LENIENT_DECODER.decode(bytes);
    if (asks) return !BOOLEAN_RETURN.test(text);
    if (removed === "all") return isError && !isNotFound(text, command.name);
    if (removed === "line") return !EMPTY_LINE.test(text);
    const repeats = (each: string): boolean => echoes(text, each);
    if (isGet && this.#set.values().some(repeats)) return true;
    return (isError || !EMPTY_RETURN.test(text)) && removed.some(repeats);
  }

  #withoutForms(out: Output, bytes: Uint8Array, command: string): void {
    const { mark, keepsSecrets } = this.#options;
    if (keepsSecrets || isTooLong(bytes) || !isSuspectMessage(bytes, command)) {
      return plain(out, bytes);
    }
    const text = LENIENT_DECODER.decode(bytes);
    out.utf8(textMember(messageWithoutSecrets(text, framed(bytes), mark)));
  }

  #clean(command: Command): Cleaned {
    const { keepsSecrets, isKnown } = this.#options;
    if (keepsSecrets || command.argumentBytes === undefined) return CLEAN;
    if (command === this.#command) return this.#commandCleaned;
    let cleaned = isKnown(command.name) && !isSuspect(command) ? CLEAN : this.#cleaned.get(command);
    if (cleaned === undefined) this.#cleaned.set(command, cleaned = this.#cleanNow(command));
    this.#command = command;
    this.#commandCleaned = cleaned;
    return cleaned;
  }

  #cleanNow(command: Command): Cleaned {
    const { mark, isKnown } = this.#options;
    const removed: string[] = [];
    const shown = withoutSecrets(command, isKnown(command.name), {
      mark,
      removed: (text) => removed.push(text),
    });
    if (shown === undefined) return CLEAN;
    if ("names" in shown) {
      if (shown.names.length === 0) return CLEAN;
      const marks = shown.names.map((name) => [name, mark]);
      return { args: JSON.stringify(Object.fromEntries(marks)), removed: "all" };
    }
    if (removed.length === 0) return CLEAN;
    const isLine = command.name === HUMAN_COMMAND;
    if (isLine || command.name === "qom-set") this.#remember(removed);
    return { args: shown.arguments, removed: isLine ? "line" : removed };
  }

  #remember(texts: readonly string[]): void {
    for (const text of texts) if (text.length >= SET_CHARS) this.#set.add(text);
    for (const text of this.#set) {
      if (this.#set.size <= SET_LIMIT) return;
      this.#set.delete(text);
    }
  }
}

/** Returns whether an error says only that QEMU has no such command, and so repeats no argument. */
function isNotFound(text: string, name: string): boolean {
  return text.includes(`"desc": "The command ${name} has not been found"}`);
}

/** A reply that returns nothing. */
const EMPTY_RETURN = /^\{\s*"return": \{\}/;

/** A reply that returns a boolean, which reveals nothing whatever its name is. */
const BOOLEAN_RETURN = /^\{\s*"return": (?:true|false)/;

/** A reply to a line of the human monitor that has printed nothing. */
const EMPTY_LINE = /^\{\s*"return": ""/;

/** Writes the text of a message that has no secrets. */
export function plain(out: Output, bytes: Uint8Array): void {
  if (isTooLong(bytes)) return lengthMember(out, bytes.length);
  const before = out.length;
  out.ascii(TEXT_NAME);
  if (quoted(out, bytes)) return;
  out.truncate(before);
  out.ascii(`"base64":"${base64Of(bytes)}"`);
}

/** Writes a message as a JSON string; returns `false`, with nothing written, if it is not UTF-8. */
export function quoted(out: Output, bytes: Uint8Array): boolean {
  if (out.quoted(bytes)) return true;
  let text: string;
  try {
    text = DECODER.decode(bytes);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return false;
  }
  out.utf8(jsonOf(text.trimEnd()));
  return true;
}

function isTooLong(bytes: Uint8Array): boolean {
  return bytes.length > MESSAGE_BYTES_LIMIT;
}

/** The size of a part of bytes that is converted at a time. */
const PART_BYTES = 4096;

function base64Of(bytes: Uint8Array): string {
  const parts: string[] = [];
  for (let at = 0; at < bytes.length; at += PART_BYTES) {
    parts.push(String.fromCharCode(...bytes.slice(at, at + PART_BYTES)));
  }
  return btoa(parts.join(""));
}

/** The name of the member with a text. */
const TEXT_NAME = '"text":';
/** The beginning of the text of an object. */
const TEXT_HEAD = `${TEXT_NAME}"{`;
/** The end of the text of an object. */
const TEXT_END = '}"';

/** Returns the member with a text. */
function textMember(text: string): string {
  return `${TEXT_NAME}${jsonOf(text.trimEnd())}`;
}

function lengthMember(out: Output, length: number): void {
  out.ascii('"length":');
  out.integer(length);
}

/** Characters that a terminal may interpret although JSON allows them in a string. */
const UNSEEN = /[^ -~]/;

/** Returns a text as JSON without characters that a terminal interprets. */
export function jsonOf(text: string): string {
  const json = JSON.stringify(text);
  return UNSEEN.test(json) ? printable(json) : json;
}

/**
 * Writes the text of a reply with an id where QEMU prints it.
 *
 * @returns `false`, with nothing written, if the text is not that of an object
 */
function appendWithMember(out: Output, members: Output, kind: Reply["kind"], id: string): boolean {
  if (!members.startsWith(TEXT_HEAD) || !members.endsWith(TEXT_END)) return false;
  const member = jsonOf(`"id": ${id}`).slice(1, -1);
  if (kind === "error") {
    out.ascii(TEXT_HEAD);
    out.utf8(`${member}, `);
    out.append(members, TEXT_HEAD.length);
  } else {
    out.append(members, 0, members.length - TEXT_END.length);
    out.utf8(`, ${member}`);
    out.ascii(TEXT_END);
  }
  return true;
}

/** Returns whether a message of QEMU's repeats a text, as it is or escaped. */
function echoes(message: string, text: string): boolean {
  return message.includes(text) || message.includes(quotedByQemu(text).slice(1, -1));
}

/** Returns a message of one object as a frame; `undefined` if it is malformed. */
function framed(bytes: Uint8Array): Uint8Array | undefined {
  const splitter = new FrameSplitter();
  splitter.load(bytes);
  const frame = splitter.next();
  return frame === undefined || "damage" in frame ? undefined : frame.bytes;
}

/** Returns a reply with the mark as its value, or as the text of its error. */
function withoutValue(text: string, mark: string): string {
  const { error, id } = objectOf(text) as { error?: { class?: unknown }; id?: unknown };
  const value = error === undefined
    ? { return: mark, id }
    : { id, error: { class: error.class, desc: mark } };
  return textMember(JSON.stringify(value));
}

/** Decodes an object; returns an empty one if the text is not JSON, as with QEMU's `inf`. */
function objectOf(text: string): object {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return {};
  }
}
