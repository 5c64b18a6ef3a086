/**
 * A cursor that moves through a frame's value from front to back.
 *
 * It creates no objects, and decodes a string only on request. Half a million small elements
 * take a few milliseconds.
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
  /** The offset of the value or key here. Assign only earlier values of this field. */
  at: number;

  /** Creates a cursor at the value that begins at `at`. */
  constructor(bytes: Uint8Array, at = 0) {
    this.#bytes = bytes;
    this.at = at;
  }

  /** Whether the value here is an object. */
  get isObject(): boolean {
    return this.#bytes[this.at] === OPEN_BRACE;
  }

  /** Whether the value here is an array. */
  get isArray(): boolean {
    return this.#bytes[this.at] === OPEN_SQUARE;
  }

  /** Whether the value here is a string. */
  get isString(): boolean {
    return this.#bytes[this.at] === QUOTE;
  }

  /** Whether the value here is a number. */
  get isNumber(): boolean {
    const byte = this.#bytes[this.at]!;
    return byte === MINUS || (byte >= 0x30 && byte <= 0x39);
  }

  /** Whether the value here is a string, number, `true`, `false` or `null`. */
  get isScalar(): boolean {
    return (this.#bytes[this.at]! | BRACE_BIT) !== OPEN_BRACE;
  }

  /** The scalar here: a string decoded, others as QEMU prints them (a zero without its sign). */
  get scalar(): string {
    const bytes = this.#bytes;
    const { at } = this;
    const end = endOfValue(bytes, at);
    if (bytes[at] === QUOTE) return stringAt(bytes, at, end);
    const text = canonical(bytes, at, end);
    return text === "-0" ? "0" : text;
  }

  /** The scalar here in the client's spelling; it must not be a string. */
  get raw(): string {
    return asciiText(this.#bytes, this.at, endOfValue(this.#bytes, this.at));
  }

  /** The bytes of the value here. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(this.at, endOfValue(this.#bytes, this.at));
  }

  /** Looks up the string here in a table; returns `undefined` if the value here is not a string. */
  stringIn<T>(table: NameTable<T>): T | undefined {
    const { at } = this;
    return this.isString ? table.at(this.#bytes, at, endOfString(this.#bytes, at)) : undefined;
  }

  /** Tells whether the string here can have at least this many UTF-16 units. */
  mayHaveLength(units: number): boolean {
    return endOfString(this.#bytes, this.at) - this.at - 2 >= units;
  }

  /** Tells whether the string here contains an ASCII text, or escapes that could encode it. */
  canContain(text: string): boolean {
    return canContain(this.#bytes, this.at, endOfString(this.#bytes, this.at), text);
  }

  /** Moves to the first key or element and returns true; moves past an empty container and returns false. */
  enter(): boolean {
    this.at++;
    if ((this.#bytes[this.at]! | BRACE_BIT) !== CLOSE_BRACE) return true;
    this.at++;
    return false;
  }

  /**
   * Moves from the end of a value to the next key or element.
   *
   * @returns false after the last one; the cursor is then past the container
   */
  next(): boolean {
    return this.#bytes[this.at++] === COMMA;
  }

  /** Moves past the value. */
  skip(): void {
    this.at = endOfValue(this.#bytes, this.at);
  }

  /** Moves from a key to its value and looks up the key in a table. */
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

  /** Moves to the value of a member of the object here; if there is no such member, past the value here. */
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
