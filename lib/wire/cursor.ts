/**
 * A cursor that moves through a frame's value from front to back.
 *
 * It builds no objects, and only the texts that are asked for: half a million small
 * elements take a few milliseconds.
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

/** A position in a value. */
export class Cursor {
  readonly #bytes: Uint8Array;
  /** The offset of a value or of a member's key. Set it only to an offset that it has had. */
  at: number;

  /** Creates a cursor at the value that begins at `at`. */
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

  /** The string, number or word here: a string decoded, others as QEMU prints them, zero without a sign. */
  get scalar(): string {
    const bytes = this.#bytes;
    const { at } = this;
    const end = endOfValue(bytes, at);
    if (bytes[at] === QUOTE) return stringAt(bytes, at, end);
    const text = canonical(bytes, at, end);
    return text === "-0" ? "0" : text;
  }

  /** The spelling of the number or word here. */
  get raw(): string {
    return asciiText(this.#bytes, this.at, endOfValue(this.#bytes, this.at));
  }

  /** Returns a table's value for the string here; `undefined` when there is no string here. */
  stringIn<T>(table: NameTable<T>): T | undefined {
    const { at } = this;
    return this.isString ? table.at(this.#bytes, at, endOfString(this.#bytes, at)) : undefined;
  }

  /** Tells whether the string here can have this many UTF-16 units. */
  mayHaveLength(units: number): boolean {
    return endOfString(this.#bytes, this.at) - this.at - 2 >= units;
  }

  /** Tells whether the string here contains an ASCII text, or has escapes that could stand for it. */
  canContain(text: string): boolean {
    return canContain(this.#bytes, this.at, endOfString(this.#bytes, this.at), text);
  }

  /** Moves to the first key or element and returns true; past an empty container it returns false. */
  enter(): boolean {
    this.at++;
    if ((this.#bytes[this.at]! | BRACE_BIT) !== CLOSE_BRACE) return true;
    this.at++;
    return false;
  }

  /** Moves from the end of a value to the next key or element; past the container it returns false. */
  next(): boolean {
    return this.#bytes[this.at++] === COMMA;
  }

  /** Moves past the value. */
  skip(): void {
    this.at = endOfValue(this.#bytes, this.at);
  }

  /** Moves from a key to its value and returns a table's value for the key. */
  keyIn<T>(table: NameTable<T>): T | undefined {
    const { at } = this;
    this.skipKey();
    return table.at(this.#bytes, at, this.at - 1);
  }

  /** Moves from a key to its value. */
  skipKey(): void {
    this.at = endOfString(this.#bytes, this.at) + 1;
  }

  /** Moves from a key to its value and returns the key. */
  key(): string {
    const { at } = this;
    this.skipKey();
    return stringAt(this.#bytes, at, this.at - 1);
  }

  /** Moves from a key to its value and tells whether the key is this text. */
  keyIs(text: string): boolean {
    const { at } = this;
    this.skipKey();
    return isString(this.#bytes, at, text);
  }

  /** Moves to the value of a member of the object here; without such a member, past the value here. */
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

  /** Moves from the end of a member's value past its object. */
  leaveObject(): void {
    while (this.next()) {
      this.skipKey();
      this.skip();
    }
  }
}
