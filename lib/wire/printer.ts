/**
 * The printer of values as QEMU prints them, plain or as with `pretty=on`.
 *
 * It works in steps, because a client may choose a value that takes a hundred milliseconds.
 * A survey first finds QEMU's order of the members, so that the printer writes each part once.
 *
 * @module
 */

import { number } from "./number.ts";
import { bucketAt, orderOf } from "./order.ts";
import { Output } from "./output.ts";
import { endOfString } from "./scan.ts";
import { printString } from "./spelling.ts";
import { asciiText, ESCAPE_BYTES, isPlain } from "./text.ts";

const QUOTE = 0x22;
const COMMA = 0x2c;
const MINUS = 0x2d;
const COLON = 0x3a;
const OPEN_SQUARE = 0x5b;
const CLOSE_SQUARE = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const SPACE = 0x20;

/** The most digits of an integer that is copied without conversion. */
const COPIED_DIGITS = 15;

/** The style in which a value is printed. */
export interface PrintStyle {
  /** The indentation level of the value in its message; `undefined` prints it plain, in one line. */
  readonly depth?: number | undefined;
  /** The most bytes of the output. */
  readonly limit?: number;
}

/** An object or array that is being printed. */
interface Open {
  readonly close: number;
  /** The number of an object; -1 for an array. */
  readonly object: number;
  /** The index of its next member in the survey; -1 when its members are in QEMU's order. */
  place: number;
  /** The number of remaining members, if they are not in QEMU's order. */
  left: number;
}

/** A printer of one value. */
export class Printer {
  readonly #bytes: Uint8Array;
  readonly #end: number;
  readonly #limit: number;
  readonly #out: Output;
  /** The indentation level of the present value in its message; -1 for plain output. */
  #depth: number;
  #at: number;
  readonly #survey: Survey;
  #surveyed = false;
  readonly #open: Open[] = [];
  /** The number of objects that begin before `#at`. */
  #objects = 0;
  /** Whether a value begins at `#at`; otherwise one ends there. */
  #begins = true;
  #done = false;

  /**
   * Creates a printer at the beginning of a value.
   *
   * @param bytes the bytes of a frame: valid, without white space
   * @param start the beginning of the value
   * @param end its end
   */
  constructor(
    bytes: Uint8Array,
    start: number,
    end: number,
    { depth = -1, limit = Infinity }: PrintStyle = {},
  ) {
    this.#bytes = bytes;
    this.#end = end;
    this.#limit = limit;
    this.#depth = depth;
    this.#at = start;
    this.#out = new Output(Math.max(64, end - start));
    this.#survey = new Survey(bytes, start, end);
  }

  /** The text, in ASCII; `undefined` when it is longer than the limit. */
  get text(): string | undefined {
    return this.#out.length > this.#limit ? undefined : this.#out.text;
  }

  /**
   * Prints about this many bytes of the value; stops only between tokens.
   *
   * @returns whether the value is complete, or too long
   */
  step(bytes: number): boolean {
    if (!this.#surveyed) {
      this.#surveyed = this.#survey.step(bytes);
      return false;
    }
    let left = bytes;
    while (!this.#done && left > 0) {
      const before = this.#at;
      if (this.#begins) this.#value();
      else this.#next();
      // The next member may be at an earlier offset.
      left -= Math.max(1, this.#at - before);
      if (this.#out.length > this.#limit) this.#done = true;
    }
    return this.#done;
  }

  /** Prints a scalar, or begins an object or array. */
  #value(): void {
    const byte = this.#bytes[this.#at]!;
    if (byte === OPEN_BRACE) this.#openUp(CLOSE_BRACE);
    else if (byte === OPEN_SQUARE) this.#openUp(CLOSE_SQUARE);
    else {
      if (byte === QUOTE) this.#string();
      else this.#word();
      this.#begins = false;
    }
  }

  #openUp(close: number): void {
    const isObject = close === CLOSE_BRACE;
    const object = isObject ? this.#objects++ : -1;
    const list = isObject ? this.#survey.listOf[object]! : -1;
    const isEmpty = this.#bytes[this.#at + 1] === close;
    this.#out.put(this.#bytes[this.#at]!);
    this.#at++;
    if (this.#depth >= 0) this.#depth++;
    const [place, left] = list < 0 ? [-1, 0] : [list + 1, this.#survey.members[list]!];
    this.#open.push({ close, object, place, left });
    this.#begins = !isEmpty;
    if (isEmpty) return;
    if (this.#depth >= 0) this.#out.line(this.#depth);
    if (isObject) this.#member();
  }

  /** Continues after a value: moves to the next one in its object or array, or ends that container. */
  #next(): void {
    const open = this.#open.at(-1);
    if (open === undefined) {
      this.#done = true;
      return;
    }
    if (this.#isLast(open)) return this.#closeUp(open);
    this.#out.put(COMMA);
    if (this.#depth >= 0) this.#out.line(this.#depth);
    else this.#out.put(SPACE);
    if (open.place < 0) this.#at++;
    if (open.close === CLOSE_BRACE) this.#member();
    this.#begins = true;
  }

  /** Tells whether the present member or element is the last one. */
  #isLast({ close, place, left }: Open): boolean {
    return place < 0 ? this.#bytes[this.#at] === close : left === 0;
  }

  #closeUp(open: Open): void {
    this.#open.pop();
    if (this.#depth >= 0) {
      this.#depth--;
      this.#out.line(this.#depth);
    }
    this.#out.put(open.close);
    if (open.place < 0) this.#at++;
    else {
      this.#at = this.#survey.endOf[open.object]!;
      this.#objects = this.#survey.nextOf[open.object]!;
    }
  }

  /** Moves to the next member of the innermost object and prints its key. */
  #member(): void {
    const open = this.#open.at(-1)!;
    if (open.place >= 0) {
      this.#at = this.#survey.members[open.place++]!;
      this.#objects = this.#survey.members[open.place++]!;
      open.left--;
    }
    this.#string();
    this.#at++;
    this.#out.put(COLON);
    this.#out.put(SPACE);
  }

  #string(): void {
    const bytes = this.#bytes;
    const start = this.#at;
    const end = endOfString(bytes, start);
    this.#at = end;
    if (isPlain(bytes, start, end)) return this.#out.copy(bytes, start, end);
    this.#out.within(
      ESCAPE_BYTES * (end - start),
      (out, at) => printString(bytes, start, end, out, at),
    );
  }

  /** Prints a number, `true`, `false` or `null`. */
  #word(): void {
    const bytes = this.#bytes;
    const start = this.#at;
    let at = start;
    const first = bytes[at]!;
    if (first === MINUS) at++;
    const digits = at;
    while (at < this.#end && isDigit(bytes[at]!)) at++;
    const isInteger = at === this.#end || isDelimiter(bytes[at]!);
    while (at < this.#end && !isDelimiter(bytes[at]!)) at++;
    this.#at = at;
    const isNumber = first === MINUS || isDigit(first);
    // QEMU prints a zero without its sign.
    const isExact = isInteger && at - digits <= COPIED_DIGITS && bytes[digits] !== 0x30;
    if (!isNumber || isExact) this.#out.copy(bytes, start, at);
    else this.#out.ascii(number(asciiText(bytes, start, at)));
  }
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

function isDelimiter(byte: number): boolean {
  return byte === COMMA || byte === CLOSE_SQUARE || byte === CLOSE_BRACE;
}

/** A survey of the objects of a value, which finds those whose members are not in QEMU's order. */
class Survey {
  readonly #bytes: Uint8Array;
  readonly #end: number;
  #at: number;
  /** The index in `members` of each object's list, by number of the object; -1 if its members are in order. */
  readonly listOf: number[] = [];
  /** The end of each object, exclusive. */
  readonly endOf: number[] = [];
  /** The number of objects that begin before the end of each object. */
  readonly nextOf: number[] = [];
  /**
   * The lists of members of objects that are not in order. A list begins with the number of
   * members. For each member, in QEMU's order, the offset of its key and the number of objects
   * that begin before the key follow.
   */
  readonly members: number[] = [];
  /** The members of the open objects: their keys, the numbers of objects before them, their buckets. */
  readonly #keys: number[] = [];
  readonly #before: number[] = [];
  readonly #buckets: number[] = [];
  /** The open objects, and the number of members in `#keys` before each. */
  readonly #open: number[] = [];
  readonly #bases: number[] = [];

  constructor(bytes: Uint8Array, start: number, end: number) {
    this.#bytes = bytes;
    this.#end = end;
    const isContainer = bytes[start] === OPEN_BRACE || bytes[start] === OPEN_SQUARE;
    const brace = isContainer ? bytes.indexOf(OPEN_BRACE, start) : -1;
    // A value without a brace has no objects.
    this.#at = brace < 0 || brace >= end ? end : start;
  }

  /** Surveys about this many bytes; returns whether the survey is complete. */
  step(count: number): boolean {
    const bytes = this.#bytes;
    const until = Math.min(this.#end, this.#at + count);
    let at = this.#at;
    while (at < until) {
      const byte = bytes[at]!;
      if (byte === QUOTE) {
        const end = endOfString(bytes, at);
        if (bytes[end] === COLON) this.#member(at, end);
        at = end;
        continue;
      }
      if (byte === OPEN_BRACE) this.#openUp();
      else if (byte === CLOSE_BRACE) this.#closeUp(at + 1);
      at++;
    }
    this.#at = at;
    return at >= this.#end;
  }

  #member(start: number, end: number): void {
    this.#keys.push(start);
    this.#before.push(this.listOf.length);
    this.#buckets.push(bucketAt(this.#bytes, start, end));
  }

  #openUp(): void {
    this.#open.push(this.listOf.length);
    this.#bases.push(this.#keys.length);
    this.listOf.push(-1);
    this.endOf.push(0);
    this.nextOf.push(0);
  }

  #closeUp(end: number): void {
    const object = this.#open.pop()!;
    const base = this.#bases.pop()!;
    this.endOf[object] = end;
    this.nextOf[object] = this.listOf.length;
    if (!this.#isInOrder(base)) {
      this.listOf[object] = this.members.push(this.#keys.length - base) - 1;
      for (const member of orderOf(this.#buckets, base)) {
        this.members.push(this.#keys[base + member]!, this.#before[base + member]!);
      }
    }
    this.#keys.length = this.#before.length = this.#buckets.length = base;
  }

  #isInOrder(base: number): boolean {
    const buckets = this.#buckets;
    for (let i = base + 1; i < buckets.length; i++) {
      if (buckets[i - 1]! >= buckets[i]!) return false;
    }
    return true;
  }
}
