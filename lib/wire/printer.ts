/**
 * A value as QEMU prints it back, plain or as with `pretty=on`.
 *
 * It is written into one buffer, in steps: a client may choose a value that takes a
 * hundred milliseconds. Members are put in QEMU's order first, by one look at the
 * value, so that no part of it is written twice.
 *
 * @module
 */

import { number } from "./number.ts";
import { bucketAt, orderOf } from "./order.ts";
import { Output } from "./output.ts";
import { endOfString } from "./scan.ts";
import { asciiText, isPlain, PRINTED_BYTES, printString } from "./text.ts";

const QUOTE = 0x22;
const COMMA = 0x2c;
const MINUS = 0x2d;
const COLON = 0x3a;
const OPEN_SQUARE = 0x5b;
const CLOSE_SQUARE = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const SPACE = 0x20;

/** Integers with at most so many digits are printed as they are. */
const COPIED_DIGITS = 15;

/** The style of a value that is printed. */
export interface PrintStyle {
  /** Levels of the message that it stands in; `undefined` prints it plain, in one line. */
  readonly depth?: number | undefined;
  /** Bytes that it may have. */
  readonly limit?: number;
}

/** An object or array that is being printed. */
interface Open {
  readonly close: number;
  /** The number of an object; -1 for an array. */
  readonly object: number;
  /** The place of its next member, where they are not in order; else -1. */
  place: number;
  /** How many are left then. */
  left: number;
}

/** Prints one value, in steps. */
export class Printer {
  readonly #bytes: Uint8Array;
  readonly #end: number;
  readonly #limit: number;
  readonly #out: Output;
  /** Levels of the message around the present value; -1 where it is printed plain. */
  #depth: number;
  #at: number;
  readonly #survey: Survey;
  #surveyed = false;
  readonly #open: Open[] = [];
  /** How many objects have begun before `#at`. */
  #objects = 0;
  /** Whether a value begins at `#at`; otherwise one has ended there. */
  #begins = true;
  #done = false;

  /**
   * Begins to print a value.
   *
   * @param bytes a frame's bytes: valid, without white space
   * @param start where the value begins
   * @param end where it ends
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

  /** Whether all of it has been printed, or more than the limit. */
  get done(): boolean {
    return this.#done;
  }

  /** The text, ASCII; `undefined` where it has more bytes than the limit. */
  get text(): string | undefined {
    return this.#out.length > this.#limit ? undefined : this.#out.text;
  }

  /**
   * Goes on for some bytes of the value, and the string or number that it is in then.
   *
   * @returns whether it is done
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
      // The place of a member may be anywhere.
      left -= Math.max(1, this.#at - before);
      if (this.#out.length > this.#limit) this.#done = true;
    }
    return this.#done;
  }

  /** Prints a string, number or word, or begins an object or array. */
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

  /** A value has ended: goes on with the next of its object or array, or ends that. */
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

  /** Whether the member or element that has ended is the last one. */
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

  /** Goes to the next member of the innermost object, and prints its key. */
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
      PRINTED_BYTES * (end - start),
      (out, at) => printString(bytes, start, end, out, at),
    );
  }

  /** A number, `true`, `false` or `null`. */
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
    // A zero loses its sign.
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

/** A look at a value: which of its objects have their members in another order than QEMU. */
class Survey {
  readonly #bytes: Uint8Array;
  readonly #end: number;
  #at: number;
  /** The offset in `members` of those of each object; -1 where the text has them in order. Objects are numbered from 0. */
  readonly listOf: number[] = [];
  /** The end of each object, exclusive. */
  readonly endOf: number[] = [];
  /** How many objects have begun before that. */
  readonly nextOf: number[] = [];
  /**
   * The lists of members of the objects that are not in order: how many there are, then for
   * each in QEMU's order where its key begins, and how many objects have begun before.
   */
  readonly members: number[] = [];
  /** The members of the objects that are open: where their keys begin, how many objects before, the bucket. */
  readonly #keys: number[] = [];
  readonly #before: number[] = [];
  readonly #buckets: number[] = [];
  /** The objects that are open, and how many members were known when each began. */
  readonly #open: number[] = [];
  readonly #bases: number[] = [];

  constructor(bytes: Uint8Array, start: number, end: number) {
    this.#bytes = bytes;
    this.#end = end;
    const isContainer = bytes[start] === OPEN_BRACE || bytes[start] === OPEN_SQUARE;
    const brace = isContainer ? bytes.indexOf(OPEN_BRACE, start) : -1;
    // Without a brace there is no object.
    this.#at = brace < 0 || brace >= end ? end : start;
  }

  /** Looks at some more bytes; returns whether that were the last. */
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
