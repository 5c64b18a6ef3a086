/**
 * QEMU's lexer, which splits bytes into tokens.
 *
 * It reads JSON's tokens and QEMU's extensions: strings in single quotes and keywords of any
 * lower-case letters. After a stray byte it skips to the next structural or control byte, as
 * QEMU does. Like QEMU's lexer, it uses a table of states.
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
/** A number without a decimal point or an exponent. */
export const INTEGER = 7;
/** A number with a decimal point or an exponent. */
export const FLOAT = 8;
/** A word of lower-case letters. */
export const KEYWORD = 9;
/** A string in single or double quotes. */
export const STRING = 10;
/** Stray bytes, which form no token; the last one is the byte that does not fit. */
export const STRAY = 11;
/**
 * A token that is too long. At QEMU's own limit, {@linkcode TOKEN_BYTES_LIMIT}, the rest is read as
 * new input, as in QEMU. At a lower limit the rest is one more token.
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

/** The flag of a step that ends a token before the present byte. */
const STAY = 0x80;

const NEWLINE = 0x0a;

const STEPS = steps();

/** Builds the table `STEPS[state << 8 | byte]`: the next state, or the token that ends; by default `STRAY`. */
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

  // A string may contain any byte but controls, 0xFE and 0xFF; the parser checks escapes and UTF-8.
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
  // QEMU refuses `0e0`: after a leading zero, a number continues only with a decimal point.
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
 * Call `load` with a chunk, then `next` until it returns `NONE`; each call returns the kind of a
 * token. A token may begin in one chunk and end in another. `bytes`, `start` and `end` locate the last token
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
   * The column in which the last token began, as QEMU 11.1 counts it: in bytes, from 1. It is one
   * too high directly after a number, a word or skipped bytes.
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
  /** The offset of the present chunk in the stream; then that of the present line. */
  #before = 0;
  #lineBegan = 0;
  #tokenLine = 1;
  #tokenColumn = 1;
  /** The offset in the stream at which an oversized token was cut off. */
  #cut = -1;
  /** Whether the next byte was already read, to find the end of a token. */
  #peeked = false;
  /** Whether the rest of a token is skipped that exceeded a limit lower than QEMU's. */
  #cutting = false;

  /** Loads the next chunk. Call it only after `next` has returned `NONE`. */
  load(chunk: Uint8Array): void {
    this.#before += this.#chunk.length;
    this.#chunk = chunk;
    this.#at = 0;
  }

  /** Returns the kind of the next token, or `NONE` if it needs more bytes. */
  next(): number {
    const chunk = this.#chunk;
    const steps = STEPS;
    let at = this.#at;
    let start = at;
    let state = this.#state;
    let peeked = this.#peeked;
    let offset = 0;
    // Stop at the byte with which a token exceeds the limit.
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
      // A line end among stray bytes is part of the stray token.
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
    // QEMU reports a token that directly follows an oversized one at the position of that one.
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
