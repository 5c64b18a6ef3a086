/**
 * A way through a frame's value, from front to back.
 *
 * Nothing is built but the texts that are asked for: half a million small elements are
 * gone through in a few milliseconds.
 *
 * @module
 */

import { canonical } from "./qemu_json.ts";
import type { NameTable } from "./names.ts";
import { BRACE_BIT, endOfString, endOfValue } from "./scan.ts";
import { asciiText, canContain, isString, stringAt } from "./text.ts";

const QUOTE = 0x22;
const COMMA = 0x2c;
const MINUS = 0x2d;
const OPEN_SQUARE = 0x5b;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/** A place in a value, which moves on. */
export class Cursor {
  readonly #bytes: Uint8Array;
  /** Where it stands: at a value, or at a member's key. To be set only to where it has stood. */
  at: number;

  /** Stands at the value that begins at `at`. */
  constructor(bytes: Uint8Array, at = 0) {
    this.#bytes = bytes;
    this.at = at;
  }

  /** Whether an object is here. */
  get isObject(): boolean {
    return this.#bytes[this.at] === OPEN_BRACE;
  }

  /** Whether an array is here. */
  get isArray(): boolean {
    return this.#bytes[this.at] === OPEN_SQUARE;
  }

  /** Whether a string is here. */
  get isString(): boolean {
    return this.#bytes[this.at] === QUOTE;
  }

  /** Whether a number is here. */
  get isNumber(): boolean {
    const byte = this.#bytes[this.at]!;
    return byte === MINUS || (byte >= 0x30 && byte <= 0x39);
  }

  /** Whether a string, number or word is here. */
  get isScalar(): boolean {
    return (this.#bytes[this.at]! | BRACE_BIT) !== OPEN_BRACE;
  }

  /** The string, number or word here: a string decoded, all else as QEMU prints it; zero has no sign. */
  get scalar(): string {
    const bytes = this.#bytes;
    const { at } = this;
    const end = endOfValue(bytes, at);
    if (bytes[at] === QUOTE) return stringAt(bytes, at, end);
    const text = canonical(bytes, at, end);
    return text === "-0" ? "0" : text;
  }

  /** The text of the number or word here as it stands. */
  get raw(): string {
    return asciiText(this.#bytes, this.at, endOfValue(this.#bytes, this.at));
  }

  /** What a table has for the string here; for nothing else. */
  stringIn<T>(table: NameTable<T>): T | undefined {
    const { at } = this;
    return this.isString ? table.at(this.#bytes, at, endOfString(this.#bytes, at)) : undefined;
  }

  /** Whether the text of the string here can have so many UTF-16 units. */
  mayHaveLength(units: number): boolean {
    return endOfString(this.#bytes, this.at) - this.at - 2 >= units;
  }

  /** Whether the string here can contain some ASCII text: it does, or has escapes that could be it. */
  canContain(text: string): boolean {
    return canContain(this.#bytes, this.at, endOfString(this.#bytes, this.at), text);
  }

  /** Goes to the first member's key, or the first element; behind the value where there is none. */
  enter(): boolean {
    this.at++;
    if ((this.#bytes[this.at]! | BRACE_BIT) !== CLOSE_BRACE) return true;
    this.at++;
    return false;
  }

  /** Goes from the end of a value to the next key or element; behind the whole where there is none. */
  next(): boolean {
    return this.#bytes[this.at++] === COMMA;
  }

  /** Goes behind the value. */
  skip(): void {
    this.at = endOfValue(this.#bytes, this.at);
  }

  /** Goes from a member's key to its value; returns what a table has for the key. */
  keyIn<T>(table: NameTable<T>): T | undefined {
    const { at } = this;
    const end = endOfString(this.#bytes, at);
    this.at = end + 1;
    return table.at(this.#bytes, at, end);
  }

  /** Goes from a member's key to its value. */
  skipKey(): void {
    this.at = endOfString(this.#bytes, this.at) + 1;
  }

  /** Goes from a member's key to its value; returns the key. */
  key(): string {
    const { at } = this;
    const end = endOfString(this.#bytes, at);
    this.at = end + 1;
    return stringAt(this.#bytes, at, end);
  }

  /** Goes from a member's key to its value; returns whether the key is this text. */
  keyIs(text: string): boolean {
    const { at } = this;
    this.skipKey();
    return isString(this.#bytes, at, text);
  }

  /** Goes to the value of a member of the object here; behind the value here where it has none. */
  member(name: string): boolean {
    if (!this.isObject) {
      this.skip();
      return false;
    }
    if (!this.enter()) return false;
    do {
      if (this.keyIs(name)) return true;
      this.skip();
    } while (this.next());
    return false;
  }

  /** Goes from the end of a member's value behind its object. */
  leaveObject(): void {
    while (this.next()) {
      this.skipKey();
      this.skip();
    }
  }
}
