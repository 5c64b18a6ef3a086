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
import { partsWithId } from "../wire/reply.ts";
import { printable } from "../wire/printable.ts";
import { quoted } from "../wire/qemu_json.ts";
import { asciiText, joined } from "../wire/text.ts";
import { HUMAN_COMMAND } from "./human_line.ts";
import { asksForSecret, messageWithoutSecrets, withoutSecrets } from "./secrets.ts";

/** The longest message that is recorded; writing a longer one would take too much time. */
const MESSAGE_BYTES_LIMIT = 1 << 20;

/** The most bytes of a brief text: people see less of a value. */
const BRIEF_BYTES_LIMIT = 512;

/** The text of a message: as JSON members of a line, without braces. */
export type TextMembers = string;

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

const CLEAN: Cleaned = { args: undefined, removed: [] };

const DECODER = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
/** The most texts that are remembered because `qom-set` has set them, and the fewest characters of one. */
const SET_LIMIT = 256;
const SET_CHARS = 4;

/** A decoder of bytes that may be cut in the middle of a character. */
const CUT_DECODER = new TextDecoder();

/** The text that was made last of bytes of a kind; the same bytes often pass twice. */
class LastText {
  #bytes: Uint8Array | undefined;
  #members: TextMembers = "";

  /** Returns the text of bytes; makes it if it is not the last. */
  of(bytes: Uint8Array, make: () => TextMembers): TextMembers {
    if (bytes !== this.#bytes) {
      this.#members = make();
      this.#bytes = bytes;
    }
    return this.#members;
  }
}

/** Writes the texts of messages. */
export class TrafficTexts {
  readonly #options: TextOptions;
  readonly #cleaned = new WeakMap<Command, Cleaned>();
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
   * Returns the text of a command.
   *
   * @param bytes the command as it is recorded
   * @param id the id in these bytes, as JSON
   */
  command(command: Command, bytes: Uint8Array, id: Id): TextMembers {
    const { args } = this.#clean(command);
    if (args === undefined) return this.#commands.of(bytes, () => plain(bytes));
    const verb = command.oob ? "exec-oob" : "execute";
    const end = id === undefined ? "" : `,"id":${id}`;
    return textMember(`{"${verb}":${JSON.stringify(command.name)},"arguments":${args}${end}}`);
  }

  /** Returns the text of a command as a JSON string; a command that is too long has only its name. */
  commandValue(command: Command, bytes: Uint8Array): string {
    const members = this.command(command, bytes, command.id);
    return members.startsWith(TEXT_NAME)
      ? members.slice(TEXT_NAME.length)
      : jsonOf(`{"execute":${JSON.stringify(command.name)}}`);
  }

  /**
   * Returns the text of a reply.
   *
   * @param command the command that it answers, if it is known
   */
  reply(reply: Reply, id: Id, command: Command | undefined): TextMembers {
    const members = this.#replies.of(reply.bytes, () => this.#bare(reply, command));
    if (this.#options.isBrief || id === undefined && reply.data === undefined) return members;
    if (reply.data === undefined && !isPretty(reply.bytes)) {
      const whole = withMember(members, reply.kind, id!);
      if (whole !== undefined) return whole;
    }
    const parts = partsWithId(reply, id);
    const length = parts.reduce((sum, part) => sum + part.length, 0);
    // The parts of a long reply are not joined, which would take time.
    if (length > MESSAGE_BYTES_LIMIT) return `"length":${length}`;
    return this.#cleanReply(joined(parts), reply.kind === "error", command);
  }

  /** Returns the text of the reply to malformed input: the error may repeat the input. */
  damageReply(reply: Reply): TextMembers {
    const text = this.#textOf(reply.bytes);
    const { keepsSecrets, mark } = this.#options;
    return text === undefined || keepsSecrets ? plain(reply.bytes) : withoutValue(text, mark);
  }

  /** Returns the text of an event. */
  event({ bytes }: Event): TextMembers {
    return this.#events.of(bytes, () => {
      const text = this.#textOf(bytes);
      return text === undefined || this.#options.keepsSecrets
        ? plain(bytes)
        : textMember(this.#withoutForms(text, bytes, ""));
    });
  }

  /** Returns the text of a reply without an id. */
  #bare({ bytes, kind }: Reply, command: Command | undefined): TextMembers {
    const isLong = this.#options.isBrief && bytes.length > BRIEF_BYTES_LIMIT;
    if (!isLong || kind === "error") return this.#cleanReply(bytes, kind === "error", command);
    const { mark, keepsSecrets } = this.#options;
    const text = CUT_DECODER.decode(bytes.slice(0, BRIEF_BYTES_LIMIT));
    // A part is not JSON, so that a secret in it cannot be replaced alone.
    const cleaned = keepsSecrets
      ? text
      : messageWithoutSecrets(text, () => undefined, command?.name ?? "", mark);
    const isSecret = cleaned !== text ||
      !keepsSecrets && this.#tellsSecret(() => decoded(bytes) ?? text, false, command);
    return isSecret ? withoutValue("{}", mark) : `"length":${bytes.length},${textMember(text)}`;
  }

  #cleanReply(bytes: Uint8Array, isError: boolean, command: Command | undefined): TextMembers {
    const text = this.#textOf(bytes);
    if (text === undefined || this.#options.keepsSecrets) return plain(bytes);
    const isSecret = this.#tellsSecret(() => text, isError, command);
    if (isSecret) return withoutValue(text, this.#options.mark);
    return textMember(this.#withoutForms(text, bytes, command?.name ?? ""));
  }

  /** Returns whether a reply repeats what was removed from its command, or is what a command asks for. */
  #tellsSecret(text: () => string, isError: boolean, command: Command | undefined): boolean {
    if (command === undefined) return false;
    if (!isError && asksForSecret(command)) return !BOOLEAN_RETURN.test(text());
    const { removed } = this.#clean(command);
    if (removed === "all") return isError && !isNotFound(text(), command.name);
    if (removed === "line") return !EMPTY_LINE.test(text());
    const repeats = (each: string): boolean => echoes(text(), each);
    if (!isError && command.name === "qom-get" && this.#set.values().some(repeats)) return true;
    return removed.length > 0 && (isError || !EMPTY_RETURN.test(text())) && removed.some(repeats);
  }

  #withoutForms(text: string, bytes: Uint8Array, command: string): string {
    return messageWithoutSecrets(text, () => framed(bytes), command, this.#options.mark);
  }

  /** Returns a message as text; `undefined` if it is too long, or not UTF-8. */
  #textOf(bytes: Uint8Array): string | undefined {
    return bytes.length > MESSAGE_BYTES_LIMIT ? undefined : decoded(bytes);
  }

  #clean(command: Command): Cleaned {
    if (this.#options.keepsSecrets || command.argumentBytes === undefined) return CLEAN;
    let cleaned = this.#cleaned.get(command);
    if (cleaned === undefined) this.#cleaned.set(command, cleaned = this.#cleanNow(command));
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

/** A reply that returns a boolean, which is no secret whatever its name is. */
const BOOLEAN_RETURN = /^\{\s*"return": (?:true|false)/;

/** A reply to a line of the human monitor that has printed nothing. */
const EMPTY_LINE = /^\{\s*"return": ""/;

/** Returns the text of a message that has no secrets. */
export function plain(bytes: Uint8Array): TextMembers {
  const { length } = bytes;
  if (length > MESSAGE_BYTES_LIMIT) return `"length":${length}`;
  const text = decoded(bytes);
  return text === undefined ? `"base64":"${base64Of(bytes)}"` : textMember(text);
}

/** The most bytes that are read as ASCII first, which takes less time. */
const SHORT_BYTES = 1024;
const NOT_ASCII = /[^\0-\x7f]/;

function decoded(bytes: Uint8Array): string | undefined {
  if (bytes.length <= SHORT_BYTES) {
    const text = asciiText(bytes, 0, bytes.length);
    if (!NOT_ASCII.test(text)) return text;
  }
  try {
    return DECODER.decode(bytes);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return undefined;
  }
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

function textMember(text: string): TextMembers {
  return `${TEXT_NAME}${jsonOf(text.trimEnd())}`;
}

/** Characters that a terminal may interpret although JSON allows them in a string. */
const UNSEEN = /[^ -~]/;

/** Returns a text as JSON without characters that a terminal interprets. */
export function jsonOf(text: string): string {
  const json = JSON.stringify(text);
  return UNSEEN.test(json) ? printable(json) : json;
}

/**
 * Returns the text of a reply with an id where QEMU prints it.
 *
 * @returns `undefined` if the text is not that of an object
 */
function withMember(members: TextMembers, kind: Reply["kind"], id: string): string | undefined {
  if (!members.startsWith(TEXT_HEAD) || !members.endsWith(TEXT_END)) return undefined;
  const member = JSON.stringify(`"id": ${id}`).slice(1, -1);
  return kind === "error"
    ? `${TEXT_HEAD}${member}, ${members.slice(TEXT_HEAD.length)}`
    : `${members.slice(0, -TEXT_END.length)}, ${member}${TEXT_END}`;
}

/** Returns whether a message of QEMU's repeats a text, as it is or escaped. */
function echoes(message: string, text: string): boolean {
  return message.includes(text) || message.includes(quoted(text).slice(1, -1));
}

/** Returns a message of one object as a frame; `undefined` if it is malformed. */
function framed(bytes: Uint8Array): Uint8Array | undefined {
  const splitter = new FrameSplitter();
  splitter.load(bytes);
  const frame = splitter.next();
  return frame === undefined || "damage" in frame ? undefined : frame.bytes;
}

/** Returns a reply with the mark as its value, or as the text of its error. */
function withoutValue(text: string, mark: string): TextMembers {
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
