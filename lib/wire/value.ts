/**
 * A value inside a frame, looked at only as far as somebody asks.
 *
 * Nothing is built: a large value costs a scan for its end. Names and texts are
 * decoded, numbers are as QEMU prints them back, so that they differ where they
 * differ for QEMU; zero has no sign.
 *
 * @module
 */

import { canonical } from "./format.ts";
import { asciiText, isPlain, readString } from "./text.ts";

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_SQUARE = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_SQUARE = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/** A member's name and value. */
export type Part = readonly [name: string, value: Value];

/** A scalar inside a value, and what it is called. */
export interface Leaf {
  /** Of the nearest member that it is in; empty where it is in none. */
  readonly name: string;
  /** Of how many objects and arrays it is a part. */
  readonly depth: number;
  /** Whether the innermost of these is an array. */
  readonly inArray: boolean;
  /** It itself. */
  readonly value: Value;
}

/** A part of a frame's bytes that is one value. */
export class Value {
  readonly #bytes: Uint8Array;
  /** Its first byte's offset. */
  readonly start: number;
  /** The offset behind its last byte. */
  readonly end: number;
  /** The parts found so far, in their order; those of an array have no name. */
  readonly #parts: Part[] = [];
  /** Where the next part begins, or the closing bracket stands. */
  #next: number;

  /** The value between these offsets of re-spelled bytes. */
  constructor(bytes: Uint8Array, start = 0, end: number = bytes.length) {
    this.#bytes = bytes;
    this.start = start;
    this.end = end;
    this.#next = start + 1;
  }

  /** Is it an object? */
  get isObject(): boolean {
    return this.#bytes[this.start] === OPEN_BRACE;
  }

  /** Is it an array? */
  get isArray(): boolean {
    return this.#bytes[this.start] === OPEN_SQUARE;
  }

  /** Is it a string? */
  get isString(): boolean {
    return this.#bytes[this.start] === QUOTE;
  }

  /** Its bytes as they stand; for what is known to be ASCII. */
  get raw(): string {
    return asciiText(this.#bytes, this.start, this.end);
  }

  /** What is no object and no array: a decoded string, a number, or `true`, `false`, `null`. */
  get scalar(): string | undefined {
    if (this.isObject || this.isArray) return undefined;
    const [bytes, start, end] = [this.#bytes, this.start, this.end];
    if (bytes[start] !== QUOTE) {
      const text = canonical(bytes, start, end);
      return text === "-0" ? "0" : text;
    }
    if (isPlain(bytes, start, end)) return asciiText(bytes, start + 1, end - 1);
    const read = readString(bytes, start, end);
    if ("wrong" in read) throw new Error(`A frame holds a damaged string: ${read.wrong}`);
    return read.text;
  }

  /** The members of an object, or nothing. */
  *members(): Generator<Part> {
    if (this.isObject) {
      for (let i = 0, part = this.#part(i); part; part = this.#part(++i)) yield part;
    }
  }

  /** The elements of an array, or nothing. */
  *elements(): Generator<Value> {
    if (this.isArray) {
      for (let i = 0, part = this.#part(i); part; part = this.#part(++i)) yield part[1];
    }
  }

  /** A part by its number: found when it is first asked for, and kept for the next who asks. */
  #part(index: number): Part | undefined {
    const known = this.#parts[index];
    if (known || this.#next === this.end - 1) return known;
    const bytes = this.#bytes;
    const start = this.#next;
    const colon = this.isObject ? endOf(bytes, start) : start - 1;
    const end = endOf(bytes, colon + 1);
    const name = this.isObject ? new Value(bytes, start, colon).scalar! : "";
    this.#next = bytes[end] === COMMA ? end + 1 : end;
    const part: Part = [name, new Value(bytes, colon + 1, end)];
    this.#parts.push(part);
    return part;
  }

  /** All scalars that are in it, or itself; names of members are none. */
  *scalars(): Generator<string> {
    for (const { value } of this.leaves()) yield value.scalar!;
  }

  /**
   * All scalars that are in it, or itself, with what they are called: one look at
   * each byte, however deep they are.
   *
   * @param prunes of the name of an array: are its elements to be left out?
   */
  *leaves(prunes: (name: string) => boolean = never): Generator<Leaf> {
    const bytes = this.#bytes;
    /** What the objects and arrays are called that are open. */
    const open: string[] = [];
    /** Which of them are arrays. */
    const arrays: boolean[] = [];
    let name = "";
    /** As many are open where something is left out. */
    let pruned = Infinity;
    for (let at = this.start; at < this.end;) {
      const byte = bytes[at]!;
      if (isPunctuation(byte)) {
        at++;
        if (byte === OPEN_BRACE || byte === OPEN_SQUARE) {
          open.push(name);
          arrays.push(byte === OPEN_SQUARE);
          if (byte === OPEN_SQUARE && pruned === Infinity && prunes(name)) pruned = open.length;
        } else if (byte === CLOSE_BRACE || byte === CLOSE_SQUARE) {
          if (open.length === pruned) pruned = Infinity;
          name = open.pop()!;
          arrays.pop();
        }
        continue;
      }
      const end = endOf(bytes, at);
      const value = new Value(bytes, at, end);
      if (bytes[end] === COLON) name = value.scalar!;
      else if (pruned === Infinity) {
        yield { name, depth: open.length, inArray: arrays.at(-1) === true, value };
      }
      at = end;
    }
  }
}

function never(): boolean {
  return false;
}

function isPunctuation(byte: number): boolean {
  return byte === COMMA || byte === COLON || byte === OPEN_BRACE || byte === CLOSE_BRACE ||
    byte === OPEN_SQUARE || byte === CLOSE_SQUARE;
}

/** Where the value ends that begins at `at`. */
function endOf(bytes: Uint8Array, at: number): number {
  let depth = 0;
  do {
    const byte = bytes[at]!;
    if (byte === QUOTE) {
      for (at++; bytes[at] !== QUOTE; at++) if (bytes[at] === BACKSLASH) at++;
      at++;
    } else if (byte === OPEN_BRACE || byte === OPEN_SQUARE) {
      depth++;
      at++;
    } else if (byte === CLOSE_BRACE || byte === CLOSE_SQUARE) {
      depth--;
      at++;
    } else if (isPunctuation(byte)) at++;
    else while (at < bytes.length && !isPunctuation(bytes[at]!)) at++;
  } while (depth > 0);
  return at;
}
