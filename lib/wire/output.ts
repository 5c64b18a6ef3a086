/**
 * A buffer that grows on writing.
 *
 * @module
 */

import { asciiText, isAscii, putAscii } from "./text.ts";

const SPACE = 0x20;
const CARRIAGE_RETURN = 0x0d;
const NEWLINE = 0x0a;

/** The number of spaces for each indentation level of pretty text. */
const INDENT = 4;

/** The longest buffer that is kept for the next text. */
const KEPT_BYTES = 65536;

/** The number of bytes up to which a loop copies faster than `TypedArray.set`. */
const FEW = 64;

const ENCODER = new TextEncoder();
/** The most bytes of a UTF-16 unit in UTF-8. */
const UNIT_BYTES = 3;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const DOT = 0x2e;
const ZERO = 0x30;

/**
 * Each byte in a JSON string: in the low byte the byte itself, or the letter of its escape; above it
 * `ESCAPED` for an escape, and `LONG` for a byte that needs more than a letter.
 */
const QUOTED = new Uint16Array(256).map((_, byte) => byte);
const ESCAPED = 0x100;
const LONG = 0x200;
for (let byte = 0; byte < 256; byte++) if (byte < SPACE || byte >= 0x7f) QUOTED[byte] = LONG;
for (const pair of ['""', "\\\\", "\bb", "\ff", "\nn", "\rr", "\tt"]) {
  QUOTED[pair.charCodeAt(0)] = ESCAPED | pair.charCodeAt(1);
}

/** The number of millionths in 1. */
const MILLION = 1e6;

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

  /** Copies what another buffer has from `from` to `to`, exclusive. */
  append(other: Output, from = 0, to: number = other.#length): void {
    this.copy(other.#bytes, from, to);
  }

  /** Returns whether it begins with an ASCII text. */
  startsWith(text: string): boolean {
    return text.length <= this.#length && isAscii(this.#bytes, 0, text);
  }

  /** Returns whether it ends with an ASCII text. */
  endsWith(text: string): boolean {
    return text.length <= this.#length && isAscii(this.#bytes, this.#length - text.length, text);
  }

  /** Removes the bytes behind the first ones. */
  truncate(length: number): void {
    this.#length = length;
  }

  /** Writes ASCII text. */
  ascii(text: string): void {
    this.#room(text.length);
    putAscii(text, this.#bytes, this.#length);
    this.#length += text.length;
  }

  /** Writes text in UTF-8. */
  utf8(text: string): void {
    this.#room(UNIT_BYTES * text.length);
    const { written } = ENCODER.encodeInto(text, this.#bytes.subarray(this.#length));
    this.#length += written;
  }

  /**
   * Writes bytes before `end` as a JSON string of printable ASCII, without white space at its end.
   *
   * @returns `false`, with nothing written, if a byte is not ASCII, or has no short escape
   */
  quoted(bytes: Uint8Array, end: number = bytes.length): boolean {
    while (end > 0 && isWhiteSpace(bytes[end - 1]!)) end--;
    this.#room(2 * end + 2);
    const out = this.#bytes;
    let length = this.#length;
    out[length++] = QUOTE;
    let at = 0;
    // Four at a time, which takes less time: most need no escape.
    for (; at + 3 < end; at += 4) {
      const first = QUOTED[bytes[at]!]!;
      const second = QUOTED[bytes[at + 1]!]!;
      const third = QUOTED[bytes[at + 2]!]!;
      const fourth = QUOTED[bytes[at + 3]!]!;
      const all = first | second | third | fourth;
      if (all < ESCAPED) {
        out[length] = first;
        out[length + 1] = second;
        out[length + 2] = third;
        out[length + 3] = fourth;
        length += 4;
        continue;
      }
      if (all & LONG) return false;
      if (first & ESCAPED) out[length++] = BACKSLASH;
      out[length++] = first;
      if (second & ESCAPED) out[length++] = BACKSLASH;
      out[length++] = second;
      if (third & ESCAPED) out[length++] = BACKSLASH;
      out[length++] = third;
      if (fourth & ESCAPED) out[length++] = BACKSLASH;
      out[length++] = fourth;
    }
    for (; at < end; at++) {
      const quoted = QUOTED[bytes[at]!]!;
      if (quoted & LONG) return false;
      if (quoted & ESCAPED) out[length++] = BACKSLASH;
      out[length++] = quoted;
    }
    out[length++] = QUOTE;
    this.#length = length;
    return true;
  }

  /** Writes a whole number, not negative, in digits. */
  integer(value: number): void {
    let digits = 1;
    for (let rest = value; rest >= 10; rest = Math.floor(rest / 10)) digits++;
    this.#room(digits);
    for (let at = this.#length + digits - 1, rest = value; at >= this.#length; at--) {
      const tens = Math.floor(rest / 10);
      this.#bytes[at] = ZERO + rest - 10 * tens;
      rest = tens;
    }
    this.#length += digits;
  }

  /** Writes a whole number of millionths, not negative, as a decimal fraction without zeros at its end. */
  millionths(value: number): void {
    const whole = Math.floor(value / MILLION);
    this.integer(whole);
    let rest = value - MILLION * whole;
    if (rest === 0) return;
    this.put(DOT);
    for (let unit = MILLION / 10; rest > 0; unit /= 10) {
      const digit = Math.floor(rest / unit);
      this.put(ZERO + digit);
      rest -= digit * unit;
    }
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

function isWhiteSpace(byte: number): boolean {
  return byte === SPACE || byte === NEWLINE || byte === CARRIAGE_RETURN;
}

/** Returns a buffer with a text. */
export function outputOf(text: string): Output {
  const out = new Output(text.length);
  out.utf8(text);
  return out;
}
