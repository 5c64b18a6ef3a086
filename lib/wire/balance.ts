/**
 * QEMU's output, cut into messages.
 *
 * QEMU writes one object a message and a line end behind it. Where its brackets
 * balance is found by counting alone: what is inside belongs to the client that
 * asked, `inf` and all. What does not begin with a brace is no QMP.
 *
 * @module
 */

import type { Damage } from "./frame.ts";
import { shown } from "./text.ts";

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const CARRIAGE_RETURN = 0x0d;
const NEWLINE = 0x0a;
const CLOSE_BRACE = 0x7d;

/** A message may have this many bytes; QEMU's largest known, its schema, has some 300 kB. */
export const MESSAGE_BYTES_LIMIT = 256 << 20;

/** Splits the stream from QEMU; `load` a chunk, then take what is in it with `next`. */
export class MessageSplitter {
  #chunk: Uint8Array = new Uint8Array(0);
  #at = 0;
  #depth = 0;
  #inString = false;
  #escaped = false;
  #carry: Uint8Array = new Uint8Array(0);
  #carried = 0;

  /** Gives it the next bytes; only after `next` has returned `undefined`. The chunk may be reused then. */
  load(chunk: Uint8Array): void {
    this.#chunk = chunk;
    this.#at = 0;
  }

  /** The next message, `{…}` and CR LF, in bytes of its own; `undefined` when it needs more. */
  next(): Uint8Array | Damage | undefined {
    const chunk = this.#chunk;
    const end = chunk.length;
    let at = this.#at;
    let depth = this.#depth;
    if (depth === 0) {
      while (at < end && isSpace(chunk[at]!)) at++;
      this.#at = at;
      if (at === end) return undefined;
      if (chunk[at] !== 0x7b) return { damage: shown(chunk, at, Math.min(end, at + 80)) };
    }
    const start = at;
    let inString = this.#inString;
    let escaped = this.#escaped;
    while (at < end) {
      const byte = chunk[at++]!;
      if (inString) {
        if (escaped) escaped = false;
        else if (byte === BACKSLASH) escaped = true;
        else if (byte === QUOTE) inString = false;
      } else if (byte === QUOTE) inString = true;
      else if (byte === 0x7b || byte === 0x5b) depth++;
      else if (byte === 0x7d || byte === 0x5d) {
        if (--depth === 0) {
          this.#at = at;
          this.#depth = 0;
          this.#inString = false;
          this.#escaped = false;
          // What another bracket closes is no object.
          if (byte !== CLOSE_BRACE) {
            return { damage: shown(chunk, start, Math.min(at, start + 80)) };
          }
          return this.#message(start, at);
        }
      }
    }
    this.#at = at;
    this.#depth = depth;
    this.#inString = inString;
    this.#escaped = escaped;
    if (this.#carried + at - start > MESSAGE_BYTES_LIMIT) {
      return { damage: `a message of more than ${MESSAGE_BYTES_LIMIT} bytes` };
    }
    this.#keep(start, at);
    return undefined;
  }

  #message(start: number, end: number): Uint8Array {
    const message = new Uint8Array(this.#carried + end - start + 2);
    message.set(this.#carry.subarray(0, this.#carried));
    message.set(this.#chunk.subarray(start, end), this.#carried);
    message[message.length - 2] = CARRIAGE_RETURN;
    message[message.length - 1] = NEWLINE;
    this.#carried = 0;
    if (this.#carry.length > 65536) this.#carry = new Uint8Array(0);
    return message;
  }

  #keep(start: number, end: number): void {
    const length = this.#carried + end - start;
    if (length > this.#carry.length) {
      const grown = new Uint8Array(length * 2);
      grown.set(this.#carry.subarray(0, this.#carried));
      this.#carry = grown;
    }
    this.#carry.set(this.#chunk.subarray(start, end), this.#carried);
    this.#carried = length;
  }
}

function isSpace(byte: number): boolean {
  return byte === NEWLINE || byte === CARRIAGE_RETURN || byte === 0x20 || byte === 0x09;
}
