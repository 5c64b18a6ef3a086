/**
 * A buffer that grows with what is written into it.
 *
 * @module
 */

import { asciiText, putAscii } from "./text.ts";

const SPACE = 0x20;
const CARRIAGE_RETURN = 0x0d;
const NEWLINE = 0x0a;

/** A level of pretty text is so many spaces. */
const INDENT = 4;

/** Fewer bytes are copied one by one, which takes less time than a call. */
const FEW = 64;

/** Bytes that are written one behind the other. */
export class Output {
  #bytes: Uint8Array;
  #length = 0;

  /** Creates an empty buffer with room for so many bytes. */
  constructor(room: number) {
    this.#bytes = new Uint8Array(room);
  }

  /** The number of bytes written. */
  get length(): number {
    return this.#length;
  }

  /** The bytes written; valid until more are. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  /** The text written, where it is ASCII. */
  get text(): string {
    return asciiText(this.#bytes, 0, this.#length);
  }

  /** Writes a byte. */
  put(byte: number): void {
    if (this.#length === this.#bytes.length) this.#grow(1);
    this.#bytes[this.#length++] = byte;
  }

  /** Writes bytes from `from` to `to`. */
  copy(bytes: Uint8Array, from: number, to: number): void {
    this.#room(to - from);
    if (to - from > FEW) this.#bytes.set(bytes.subarray(from, to), this.#length);
    else {
      const out = this.#bytes;
      for (let at = from, i = this.#length; at < to;) out[i++] = bytes[at++]!;
    }
    this.#length += to - from;
  }

  /** Writes ASCII text. */
  ascii(text: string): void {
    this.#room(text.length);
    putAscii(text, this.#bytes, this.#length);
    this.#length += text.length;
  }

  /** Begins a new line of pretty text, so many levels in. */
  line(depth: number): void {
    const spaces = INDENT * depth;
    this.#room(2 + spaces);
    const at = this.#length + 2;
    this.#bytes[at - 2] = CARRIAGE_RETURN;
    this.#bytes[at - 1] = NEWLINE;
    this.#bytes.fill(SPACE, at, at + spaces);
    this.#length = at + spaces;
  }

  /**
   * Writes with a function that needs room for at most so many bytes.
   *
   * @param write is given the buffer and where to write, and returns where it has come to
   */
  within(length: number, write: (bytes: Uint8Array, at: number) => number): void {
    this.#room(length);
    this.#length = write(this.#bytes, this.#length);
  }

  #room(length: number): void {
    if (this.#length + length > this.#bytes.length) this.#grow(length);
  }

  #grow(length: number): void {
    const grown = new Uint8Array(2 * (this.#length + length));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
  }
}
