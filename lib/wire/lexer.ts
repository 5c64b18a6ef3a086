/**
 * QEMU's lexical grammar: bytes in, tokens out.
 *
 * It has JSON's tokens and QEMU's extensions: strings in single quotes and keywords of any
 * lower-case letters. After a stray byte it skips to the next structural or control byte,
 * as QEMU does. Like QEMU's lexer it is driven by a table.
 *
 * @module
 */

import { Output } from "./output.ts";

/** The end of the input, inside or between tokens. */
export const NONE = 0;
/** `{` */
export const LEFT_BRACE = 1;
/** `}` */
export const RIGHT_BRACE = 2;
/** `[` */
export const LEFT_SQUARE = 3;
/** `]` */
export const RIGHT_SQUARE = 4;
/** `:` */
export const COLON = 5;
/** `,` */
export const COMMA = 6;
/** A number without a point and an exponent. */
export const INTEGER = 7;
/** A number with a point or an exponent. */
export const FLOAT = 8;
/** Lower-case letters. */
export const KEYWORD = 9;
/** A string in single or double quotes. */
export const STRING = 10;
/** Bytes that are not a token; the last of them is the one that does not fit. */
export const STRAY = 11;
/**
 * A token past the limit. At QEMU's own limit, {@linkcode TOKEN_BYTES_LIMIT}, the next bytes are
 * read as fresh input, as in QEMU; at a lower limit the rest of the token follows as a token.
 */
export const OVERSIZE = 12;

/** The most bytes of a token in QEMU (measured). */
export const TOKEN_BYTES_LIMIT = 64 << 20;

const START = 16;
const RECOVERY = 17;
const DOUBLE_QUOTED = 18;
const DOUBLE_ESCAPE = 19;
const SINGLE_QUOTED = 20;
const SINGLE_ESCAPE = 21;
const MINUS = 22;
const ZERO = 23;
const DIGITS = 24;
const POINT = 25;
const FRACTION = 26;
const EXPONENT = 27;
const EXPONENT_SIGN = 28;
const EXPONENT_DIGITS = 29;
const WORD = 30;
const STATES = 31;

/** The flag of a step that ends a token without taking the byte. */
const STAY = 0x80;

const NEWLINE = 0x0a;

const STEPS = steps();

/** Builds `STEPS[state << 8 | byte]`: the next state, or the token that ends here; by default stray. */
function steps(): Uint8Array {
  const table = new Uint8Array(STATES << 8).fill(STRAY);
  const on = (state: number, bytes: string | [number, number], next: number) => {
    if (typeof bytes === "string") {
      for (const char of bytes) table[(state << 8) | char.charCodeAt(0)] = next;
    } else table.fill(next, (state << 8) | bytes[0], ((state << 8) | bytes[1]) + 1);
  };
  const digits: [number, number] = [0x30, 0x39];
  const any: [number, number] = [0x00, 0xff];

  on(START, " \t\r\n", START);
  on(START, '"', DOUBLE_QUOTED);
  on(START, "'", SINGLE_QUOTED);
  on(START, "-", MINUS);
  on(START, [0x31, 0x39], DIGITS);
  on(START, "0", ZERO);
  on(START, [0x61, 0x7a], WORD);
  on(START, "{", LEFT_BRACE);
  on(START, "}", RIGHT_BRACE);
  on(START, "[", LEFT_SQUARE);
  on(START, "]", RIGHT_SQUARE);
  on(START, ":", COLON);
  on(START, ",", COMMA);

  // A string takes all bytes but controls, 0xFE and 0xFF; the parser checks escapes and UTF-8.
  for (
    const [quoted, escape, quote] of [
      [DOUBLE_QUOTED, DOUBLE_ESCAPE, '"'],
      [SINGLE_QUOTED, SINGLE_ESCAPE, "'"],
    ] as const
  ) {
    on(quoted, [0x20, 0xfd], quoted);
    on(quoted, "\\", escape);
    on(quoted, quote, STRING);
    on(escape, [0x20, 0xfd], quoted);
  }

  on(MINUS, "0", ZERO);
  on(MINUS, [0x31, 0x39], DIGITS);
  // QEMU refuses `0e0`: after a leading zero only a point continues a number.
  on(ZERO, any, INTEGER | STAY);
  on(ZERO, digits, STRAY);
  on(ZERO, ".", POINT);
  on(DIGITS, any, INTEGER | STAY);
  on(DIGITS, digits, DIGITS);
  on(DIGITS, ".", POINT);
  on(DIGITS, "eE", EXPONENT);
  on(POINT, digits, FRACTION);
  on(FRACTION, any, FLOAT | STAY);
  on(FRACTION, digits, FRACTION);
  on(FRACTION, "eE", EXPONENT);
  on(EXPONENT, "+-", EXPONENT_SIGN);
  on(EXPONENT, digits, EXPONENT_DIGITS);
  on(EXPONENT_SIGN, digits, EXPONENT_DIGITS);
  on(EXPONENT_DIGITS, any, FLOAT | STAY);
  on(EXPONENT_DIGITS, digits, EXPONENT_DIGITS);
  on(WORD, any, KEYWORD | STAY);
  on(WORD, [0x61, 0x7a], WORD);

  on(RECOVERY, [0x20, 0xfd], RECOVERY);
  on(RECOVERY, "\t", RECOVERY);
  on(RECOVERY, [0x00, 0x08], START | STAY);
  on(RECOVERY, [0x0a, 0x1f], START | STAY);
  on(RECOVERY, [0xfe, 0xff], START | STAY);
  on(RECOVERY, "{}[]:,", START | STAY);
  return table;
}

/**
 * A lexer of a stream of bytes.
 *
 * `load` takes a chunk, and `next` returns the kinds of its tokens until `NONE`. A token may
 * begin in one chunk and end in another. `bytes`, `start` and `end` locate the last token
 * until the next call.
 */
export class Lexer {
  /** The buffer that holds the last token, from `start` to `end`. */
  bytes: Uint8Array = new Uint8Array(0);
  /** The beginning of the last token in `bytes`. */
  start = 0;
  /** The end of the last token in `bytes`, exclusive. */
  end = 0;
  /** The line in which the last token began, from 1. */
  line = 1;
  /**
   * The column in which the last token began, as QEMU 11.1 counts: from 1, in bytes, and one
   * too many when the byte before it belongs to a number, a word or skipped bytes.
   */
  column = 1;
  /** The most bytes of a token. */
  limit: number = TOKEN_BYTES_LIMIT;

  #chunk: Uint8Array = new Uint8Array(0);
  #at = 0;
  #state = START;
  /** The bytes of the present token from earlier chunks. */
  readonly #carry = new Output(0);
  #lines = 1;
  /** The number of bytes of the stream before this chunk, and before the present line. */
  #before = 0;
  #lineBegan = 0;
  #tokenLine = 1;
  #tokenColumn = 1;
  /** The place in the stream at which an oversized token was cut off. */
  #cut = -1;
  /** Whether the next byte was read before, to see that a token ended. */
  #peeked = false;
  /** Whether this is the rest of a token past a limit lower than QEMU's. */
  #cutting = false;

  /** Takes the next chunk; call it only after `next` has returned `NONE`. */
  load(chunk: Uint8Array): void {
    this.#before += this.#chunk.length;
    this.#chunk = chunk;
    this.#at = 0;
  }

  /** Returns the kind of the next token, or `NONE` when it needs more bytes. */
  next(): number {
    const chunk = this.#chunk;
    const steps = STEPS;
    let at = this.#at;
    let start = at;
    let state = this.#state;
    let peeked = this.#peeked;
    let offset = 0;
    // Stop at the byte with which a token passes the limit.
    const room = this.limit + 1 - this.#carry.length;
    const end = this.#cutting ? chunk.length : Math.min(chunk.length, at + room);
    while (at < end) {
      const byte = chunk[at]!;
      const step = steps[(state << 8) | byte]!;
      const next = step & ~STAY;
      if (state === START) {
        start = at;
        offset = peeked ? 1 : 0;
        peeked = false;
        if (byte === NEWLINE) this.#newline(at);
      }
      if (step < STAY) at++;
      else peeked = true;
      if (next >= START) {
        state = next;
        continue;
      }
      this.#began(start + offset);
      this.#at = at;
      this.#peeked = peeked;
      this.#state = next === STRAY ? RECOVERY : START;
      this.#cutting = false;
      this.#ended(start, at);
      // A line end that is among stray bytes has been taken with them.
      if (next === STRAY && byte === NEWLINE) this.#newline(at - 1);
      return next;
    }
    this.#at = at;
    this.#peeked = peeked;
    this.#state = state;
    if (state !== START && state !== RECOVERY && !this.#cutting) {
      this.#began(start + offset);
      this.#carry.copy(chunk, start, at);
      if (this.#carry.length > this.limit) {
        this.#ended(at, at);
        if (this.limit < TOKEN_BYTES_LIMIT) this.#cutting = true;
        else {
          this.#state = START;
          this.#cut = this.#before + at;
        }
        return OVERSIZE;
      }
    }
    return at < chunk.length ? this.next() : NONE;
  }

  #newline(at: number): void {
    this.#lines++;
    this.#lineBegan = this.#before + at + 1;
  }

  /** Stores the line and column of a token, unless it began in an earlier chunk. */
  #began(start: number): void {
    // For QEMU, a token directly after an oversized one has the position of that.
    if (this.#carry.length > 0 || this.#before + start === this.#cut) return;
    this.#tokenLine = this.#lines;
    this.#tokenColumn = this.#before + start - this.#lineBegan + 1;
  }

  #ended(start: number, end: number): void {
    this.line = this.#tokenLine;
    this.column = this.#tokenColumn;
    if (this.#carry.length === 0) {
      this.bytes = this.#chunk;
      this.start = start;
      this.end = end;
      return;
    }
    this.#carry.copy(this.#chunk, start, end);
    this.bytes = this.#carry.buffer;
    this.start = 0;
    this.end = this.#carry.length;
    this.#carry.clear();
  }
}
