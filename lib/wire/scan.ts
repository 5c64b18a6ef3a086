/**
 * Functions that find the ends of strings, values and members in a frame, and the elements of an
 * array in a message of QEMU.
 *
 * @module
 */

const SPACE = 0x20;
const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const BACKSLASH = 0x5c;
const OPEN_BRACE = 0x7b;
const CLOSE_SQUARE = 0x5d;
const CLOSE_BRACE = 0x7d;

/** The bit that a brace has and a square bracket does not. */
export const BRACE_BIT = 0x20;

/** The kinds of bytes outside strings; 0 is a byte of a number or word. */
const SEPARATES = 1;
const QUOTES = 2;
const OPENS = 3;
const CLOSES = 4;
const KINDS = kinds();

function kinds(): Uint8Array {
  const kinds = new Uint8Array(256);
  kinds[COMMA] = kinds[COLON] = SEPARATES;
  kinds[QUOTE] = QUOTES;
  kinds[OPEN_BRACE] = kinds[OPEN_BRACE & ~BRACE_BIT] = OPENS;
  kinds[CLOSE_BRACE] = kinds[CLOSE_BRACE & ~BRACE_BIT] = CLOSES;
  return kinds;
}

/** Returns the end, exclusive, of the string that begins at `at` of a frame. */
export function endOfString(bytes: Uint8Array, at: number): number {
  const { length } = bytes;
  at++;
  while (at < length) {
    const byte = bytes[at]!;
    if (byte === QUOTE) return at + 1;
    at += byte === BACKSLASH ? 2 : 1;
  }
  return length;
}

/** Returns the end, exclusive, of the value that begins at `at` of a frame. */
export function endOfValue(bytes: Uint8Array, at: number): number {
  const { length } = bytes;
  const first = KINDS[bytes[at]!]!;
  if (first === QUOTES) return endOfString(bytes, at);
  if (first !== OPENS) {
    do at++; while (at < length && KINDS[bytes[at]!] === 0);
    return at;
  }
  for (let depth = 0; at < length;) {
    const kind = KINDS[bytes[at]!]!;
    if (kind <= SEPARATES) at++;
    else if (kind === QUOTES) at = endOfString(bytes, at);
    else {
      at++;
      depth += kind === OPENS ? 1 : -1;
      if (depth === 0) break;
    }
  }
  return at;
}

/** The offsets of the members of an object, three for each: its key, its value, and the value's end. */
export type Offsets = readonly number[];

/** Finds the members of the object that begins at `at` of a frame. */
export function membersAt(bytes: Uint8Array, at: number): Offsets {
  const offsets: number[] = [];
  at++;
  while (bytes[at] === QUOTE) {
    const start = endOfString(bytes, at) + 1;
    const end = endOfValue(bytes, start);
    offsets.push(at, start, end);
    at = end + 1;
  }
  return offsets;
}

/** The bytes of a value, from `start` up to `end`, exclusive. */
export interface Span {
  /** The offset of its first byte. */
  readonly start: number;
  /** The offset after its last byte. */
  readonly end: number;
}

/**
 * Finds the elements of an array that may have white space around them.
 *
 * @param at the offset of the first element, or of the closing bracket
 * @returns the elements, and the offset of the closing bracket or of the end of the bytes
 */
export function elementsAt(
  bytes: Uint8Array,
  at: number,
): { readonly spans: readonly Span[]; readonly close: number } {
  const spans: Span[] = [];
  while (at < bytes.length && bytes[at] !== CLOSE_SQUARE) {
    const start = at;
    at = endOfValue(bytes, at);
    // The end of a number or word includes the white space after it.
    let end = at;
    while (bytes[end - 1]! <= SPACE) end--;
    spans.push({ start, end });
    at = afterSpace(bytes, at);
    if (bytes[at] === COMMA) at = afterSpace(bytes, at + 1);
  }
  return { spans, close: at };
}

function afterSpace(bytes: Uint8Array, at: number): number {
  while (bytes[at]! <= SPACE) at++;
  return at;
}

const OPENING: readonly number[] = [0x5b, 0x7b];

/** Tells whether bytes have more than this many `[` and `{`; fewer cannot nest deeper. */
export function hasMoreBrackets(bytes: Uint8Array, most: number): boolean {
  let count = 0;
  for (const bracket of OPENING) {
    for (let at = bytes.indexOf(bracket); at >= 0; at = bytes.indexOf(bracket, at + 1)) {
      if (++count > most) return true;
    }
  }
  return false;
}
