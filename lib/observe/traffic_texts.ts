/**
 * The texts of messages for a recording, without secrets.
 *
 * A mark takes the place of each secret. It is random, so that no client can have sent it.
 *
 * @module
 */

import { FrameSplitter } from "../wire/frame.ts";
import type { Command, Event } from "../wire/message.ts";
import { joined } from "../wire/text.ts";
import { asksForSecret, messageWithoutSecrets, withoutSecrets } from "./secrets.ts";

/** The longest message that is recorded; writing a longer one would take too much time. */
const MESSAGE_BYTES_LIMIT = 1 << 20;

/** The text of a message: as JSON members of a line, without braces. */
export type TextMembers = string;

/** Settings of the texts. */
export interface TextOptions {
  /** The text that replaces a secret. */
  readonly mark: string;
  /** Whether secrets are kept. */
  readonly keepsSecrets: boolean;
  /** Returns whether the meaning of a command's arguments is known. */
  readonly isKnown: (command: string) => boolean;
}

/** A command without secrets. */
interface Cleaned {
  /** Its arguments as JSON; `undefined` if nothing was removed. */
  readonly args: string | undefined;
  /** The texts that were removed; `all` if any text may be one. */
  readonly removed: readonly string[] | "all";
}

const CLEAN: Cleaned = { args: undefined, removed: [] };

const DECODER = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Writes the texts of messages. */
export class TrafficTexts {
  readonly #options: TextOptions;
  readonly #cleaned = new WeakMap<Command, Cleaned>();
  /** The event that was written last: it is sent to many clients. */
  #event: Uint8Array | undefined;
  #eventText: TextMembers = "";

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
  command(command: Command, bytes: Uint8Array, id: string | undefined): TextMembers {
    const { args } = this.#clean(command);
    if (args === undefined) return plain(bytes);
    const verb = command.oob ? "exec-oob" : "execute";
    const end = id === undefined ? "" : `,"id":${id}`;
    return textMember(`{"${verb}":${JSON.stringify(command.name)},"arguments":${args}${end}}`);
  }

  /**
   * Returns the text of a reply.
   *
   * @param parts the bytes of the reply
   * @param command the command that it answers, if it is known
   */
  reply(parts: readonly Uint8Array[], command: Command | undefined): TextMembers {
    const bytes = parts.length === 1 ? parts[0]! : joined(parts);
    const text = this.#textOf(bytes);
    if (text === undefined || this.#options.keepsSecrets) return plain(bytes);
    const { mark } = this.#options;
    const { removed } = command ? this.#clean(command) : CLEAN;
    const isError = /^\{\s*(?:"id": [^]*?)?"error": /.test(text);
    if (!isError && command && asksForSecret(command)) return withoutValue(text, mark);
    if (removed === "all" ? isError : removed.some((each) => echoes(text, each))) {
      return withoutValue(text, mark);
    }
    return textMember(this.#withoutForms(text, bytes, command?.name ?? ""));
  }

  /** Returns the text of the reply to malformed input: the error may repeat the input. */
  damageReply(parts: readonly Uint8Array[]): TextMembers {
    const bytes = joined(parts);
    const text = this.#textOf(bytes);
    const { keepsSecrets, mark } = this.#options;
    return text === undefined || keepsSecrets ? plain(bytes) : withoutValue(text, mark);
  }

  /** Returns the text of an event. */
  event(event: Event): TextMembers {
    const { bytes } = event;
    if (bytes === this.#event) return this.#eventText;
    const text = this.#textOf(bytes);
    const isPlain = text === undefined || this.#options.keepsSecrets;
    this.#event = bytes;
    this.#eventText = isPlain ? plain(bytes) : textMember(this.#withoutForms(text, bytes, ""));
    return this.#eventText;
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
      const marks = shown.names.map((name) => [name, mark]);
      return { args: JSON.stringify(Object.fromEntries(marks)), removed: "all" };
    }
    return removed.length > 0 ? { args: shown.arguments, removed } : CLEAN;
  }
}

/** Returns the text of a message that has no secrets. */
export function plain(bytes: Uint8Array): TextMembers {
  const { length } = bytes;
  if (length > MESSAGE_BYTES_LIMIT) return `"length":${length}`;
  const text = decoded(bytes);
  return text === undefined ? `"base64":"${base64Of(bytes)}"` : textMember(text);
}

function decoded(bytes: Uint8Array): string | undefined {
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

function textMember(text: string): TextMembers {
  return `"text":${JSON.stringify(text.trimEnd())}`;
}

/** Returns whether a message repeats a text, as it is or escaped. */
function echoes(message: string, text: string): boolean {
  return message.includes(text) || message.includes(JSON.stringify(text).slice(1, -1));
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
