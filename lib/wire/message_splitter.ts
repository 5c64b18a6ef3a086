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

/** The default limit of a message's bytes. */
export const MESSAGE_BYTES_LIMIT = 64 << 20;

/** A message that is longer than this grows in a buffer that need not be copied. */
const LONG_BYTES = 1 << 20;

/** Splits the stream from QEMU; `load` a chunk, then take what is in it with `next`. */
export class MessageSplitter {
  readonly #limit: number;
  #chunk: Uint8Array = new Uint8Array(0);
  #at = 0;
  #depth = 0;
  #inString = false;
  #escaped = false;
  #carry: Uint8Array = new Uint8Array(0);
  #fdsReceived = 0;

  /**
   * Creates a splitter at the beginning of a stream.
   *
   * @param limit bytes that a message may have
   */
  constructor(limit: number = MESSAGE_BYTES_LIMIT) {
    this.#limit = limit;
  }

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
          if (this.#fdsReceived + at - start > this.#limit) return this.#tooLong();
          return this.#message(start, at);
        }
      }
    }
    this.#at = at;
    this.#depth = depth;
    this.#inString = inString;
    this.#escaped = escaped;
    if (this.#fdsReceived + at - start > this.#limit) return this.#tooLong();
    this.#keep(start, at);
    return undefined;
  }

  #tooLong(): Damage {
    return { damage: `a message of more than ${this.#limit} bytes` };
  }

  #message(start: number, end: number): Uint8Array {
    const length = this.#fdsReceived + end - start + 2;
    if (this.#fdsReceived > LONG_BYTES) return this.#longMessage(start, end, length);
    const message = new Uint8Array(length);
    message.set(this.#carry.subarray(0, this.#fdsReceived));
    message.set(this.#chunk.subarray(start, end), this.#fdsReceived);
    endLine(message);
    this.#fdsReceived = 0;
    if (this.#carry.length > 65536) this.#carry = new Uint8Array(0);
    return message;
  }

  /** A long message is the buffer it has grown in: copying it would hold up everybody. */
  #longMessage(start: number, end: number, length: number): Uint8Array {
    this.#keep(start, end);
    if (length > this.#carry.length) this.#grow(length);
    const message = this.#carry.subarray(0, length);
    endLine(message);
    this.#carry = new Uint8Array(0);
    this.#fdsReceived = 0;
    return message;
  }

  #keep(start: number, end: number): void {
    const length = this.#fdsReceived + end - start;
    if (length > this.#carry.length) this.#grow(length);
    this.#carry.set(this.#chunk.subarray(start, end), this.#fdsReceived);
    this.#fdsReceived = length;
  }

  /** Makes room for so many bytes. */
  #grow(length: number): void {
    const { buffer } = this.#carry;
    const step = Math.ceil(length / LONG_BYTES + 1) * LONG_BYTES;
    if (buffer instanceof ArrayBuffer && buffer.resizable) {
      buffer.resize(Math.min(step, buffer.maxByteLength));
      this.#carry = new Uint8Array(buffer);
      return;
    }
    const grown = length > LONG_BYTES
      ? new Uint8Array(new ArrayBuffer(step, { maxByteLength: Math.max(step, this.#limit + 2) }))
      : new Uint8Array(length * 2);
    grown.set(this.#carry.subarray(0, this.#fdsReceived));
    this.#carry = grown;
  }
}

function endLine(message: Uint8Array): void {
  message[message.length - 2] = CARRIAGE_RETURN;
  message[message.length - 1] = NEWLINE;
}

function isSpace(byte: number): boolean {
  return byte === NEWLINE || byte === CARRIAGE_RETURN || byte === 0x20 || byte === 0x09;
}
