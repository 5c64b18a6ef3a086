/**
 * A buffer that grows on writing.
 *
 * @module
 */

import { asciiText, putAscii } from "./text.ts";

const SPACE = 0x20;
const CARRIAGE_RETURN = 0x0d;
const NEWLINE = 0x0a;

/** The number of spaces for each indentation level of pretty text. */
const INDENT = 4;

/** The longest buffer that is kept for the next text. */
const KEPT_BYTES = 65536;

/** The number of bytes up to which a loop copies faster than `TypedArray.set`. */
const FEW = 64;

/** A growing buffer. */
export class Output {
  readonly #least: number;
  #bytes: Uint8Array;
  #length = 0;

  /** Creates an empty buffer with room for this many bytes. */
  constructor(room: number) {
    this.#least = room;
    this.#bytes = new Uint8Array(room);
  }

  /** The number of bytes written. */
  get length(): number {
    return this.#length;
  }

  /** The bytes written; valid until the next write. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  /** The bytes written, followed by unused room; valid until the next write. */
  get buffer(): Uint8Array {
    return this.#bytes;
  }

  /** The bytes written, which must be ASCII, as text. */
  get text(): string {
    return asciiText(this.#bytes, 0, this.#length);
  }

  /** Writes a byte. */
  put(byte: number): void {
    if (this.#length === this.#bytes.length) this.#grow(1);
    this.#bytes[this.#length++] = byte;
  }

  /** Copies the bytes from `from` to `to`, exclusive. */
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

  /** Begins a line of pretty text at this indentation level. */
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
   * Calls a function that writes at most `length` bytes.
   *
   * @param write receives the buffer and the offset to write at, and returns the end of its output
   */
  within(length: number, write: (bytes: Uint8Array, at: number) => number): void {
    this.#room(length);
    this.#length = write(this.#bytes, this.#length);
  }

  /** Removes the bytes written; `buffer` still contains them until the next write. */
  clear(): void {
    this.#length = 0;
    // Free the memory of a large text.
    if (this.#bytes.length > KEPT_BYTES) this.#bytes = new Uint8Array(this.#least);
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
