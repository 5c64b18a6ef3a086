/**
 * The splitter of QEMU's output into messages.
 *
 * A message is one object and a line end. The splitter finds its end by counting brackets. It
 * does not check the content, which is for the client that sent the command and may contain
 * QEMU's `inf`. Anything that does not begin with a brace is not QMP.
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

/** The most bytes of a message by default. */
export const MESSAGE_BYTES_LIMIT = 64 << 20;

/** The length above which a message is collected in a resizable buffer, to avoid copies. */
const LONG_BYTES = 1 << 20;

/** Input of QEMU's that is not a message. */
export interface NoMessage extends Damage {
  /** The most bytes of a message, if it has more; the splitter cannot be used any more. */
  readonly limit?: number;
}

/** A splitter of QEMU's stream. Call `load` with a chunk, then `next` until it returns `undefined`. */
export class MessageSplitter {
  readonly #limit: number;
  #chunk: Uint8Array = new Uint8Array(0);
  #at = 0;
  #depth = 0;
  #inString = false;
  #escaped = false;
  /** The bytes of the present message from earlier chunks, and their number. */
  #carry: Uint8Array = new Uint8Array(0);
  #carried = 0;

  /**
   * Creates a splitter at the beginning of a stream.
   *
   * @param limit the most bytes of a message
   */
  constructor(limit: number = MESSAGE_BYTES_LIMIT) {
    this.#limit = limit;
  }

  /**
   * Loads the next chunk; call it only after `next` has returned `undefined`.
   *
   * The buffer of the earlier chunk may be reused then.
   */
  load(chunk: Uint8Array): void {
    this.#chunk = chunk;
    this.#at = 0;
  }

  /** Returns the next message, `{…}` and CR LF, in its own buffer; `undefined` if it needs more bytes. */
  next(): Uint8Array | NoMessage | undefined {
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
          // Only a brace closes an object; a square bracket is malformed.
          if (byte !== CLOSE_BRACE) {
            return { damage: shown(chunk, start, Math.min(at, start + 80)) };
          }
          if (this.#carried + at - start > this.#limit) return this.#tooLong();
          return this.#message(start, at);
        }
      }
    }
    this.#at = at;
    this.#depth = depth;
    this.#inString = inString;
    this.#escaped = escaped;
    if (this.#carried + at - start > this.#limit) return this.#tooLong();
    this.#keep(start, at);
    return undefined;
  }

  #tooLong(): NoMessage {
    return { damage: `a message of more than ${this.#limit} bytes`, limit: this.#limit };
  }

  #message(start: number, end: number): Uint8Array {
    const length = this.#carried + end - start + 2;
    if (this.#carried > LONG_BYTES) return this.#longMessage(start, end, length);
    const message = new Uint8Array(length);
    message.set(this.#carry.subarray(0, this.#carried));
    message.set(this.#chunk.subarray(start, end), this.#carried);
    endLine(message);
    this.#carried = 0;
    if (this.#carry.length > 65536) this.#carry = new Uint8Array(0);
    return message;
  }

  /** Returns the buffer in which a long message was collected; a copy would delay all clients. */
  #longMessage(start: number, end: number, length: number): Uint8Array {
    this.#keep(start, end);
    if (length > this.#carry.length) this.#grow(length);
    const message = this.#carry.subarray(0, length);
    endLine(message);
    this.#carry = new Uint8Array(0);
    this.#carried = 0;
    return message;
  }

  #keep(start: number, end: number): void {
    const length = this.#carried + end - start;
    if (length > this.#carry.length) this.#grow(length);
    this.#carry.set(this.#chunk.subarray(start, end), this.#carried);
    this.#carried = length;
  }

  /** Makes room for this many bytes. */
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
    grown.set(this.#carry.subarray(0, this.#carried));
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
