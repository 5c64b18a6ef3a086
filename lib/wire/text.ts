/**
 * The reader of strings as QEMU reads them: modified UTF-8, escapes, and malformed sequences.
 *
 * Modified UTF-8 encodes NUL as `C0 80`. Surrogates, non-characters and overlong forms are
 * malformed. The rules were measured on QEMU 7.2 to 11.1.
 *
 * @module
 */

import { endOfString } from "./scan.ts";

const BACKSLASH = 0x5c;
const SLASH = 0x2f;
const LETTER_U = 0x75;
const DOUBLE_QUOTE = 0x22;
const REPLACEMENT = 0xfffd;
const DECODER = new TextDecoder();
const UTF16_DECODER = new TextDecoder("utf-16le", { ignoreBOM: true });
const ENCODER = new TextEncoder();

/** The code of a malformed sequence or escape. */
const NO_CHARACTER = 0xffffff;

/** The length of the longest escape, which a UTF-16 unit or a byte can become. */
export const ESCAPE_BYTES = 6;

/** The smallest code point that needs 2, 3, … 6 bytes. */
const SMALLEST = [0x80, 0x800, 0x10000, 0x200000, 0x4000000];

function isCharacter(code: number): boolean {
  if (code > 0x10ffff) return false;
  if (code >= 0xd800 && code <= 0xdfff) return false;
  if (code >= 0xfdd0 && code <= 0xfdef) return false;
  return (code & 0xfffe) !== 0xfffe;
}

/**
 * Reads the character at `at` and returns `length * 2 ** 24 + code`.
 *
 * The code of a malformed sequence is `0xffffff`, and its length is the number of bytes that
 * QEMU skips.
 */
export function characterAt(bytes: Uint8Array, at: number, end: number): number {
  const first = bytes[at]!;
  if (first < 0x80) return 0x1000000 + first;
  if (first >= 0xfe || (first & 0x40) === 0) return 0x1ffffff;
  if (first >= 0xc2 && first < 0xe0 && at + 1 < end && (bytes[at + 1]! & 0xc0) === 0x80) {
    return 0x2000000 + ((first & 0x1f) << 6 | bytes[at + 1]! & 0x3f);
  }
  let length = 2;
  let mask = 0x20;
  for (; first & mask; mask >>= 1) length++;
  let code = first & (mask - 1);
  for (let i = 1; i < length; i++) {
    const next = at + i < end ? bytes[at + i]! : 0;
    if ((next & 0xc0) !== 0x80) return i * 0x1000000 + NO_CHARACTER;
    code = code * 64 + (next & 0x3f);
  }
  const overlong = code < SMALLEST[length - 2]! && !(code === 0 && length === 2);
  if (overlong || !isCharacter(code)) code = NO_CHARACTER;
  return length * 0x1000000 + code;
}

/** The value of each hexadecimal digit; 0xff for other bytes. */
const HEX = new Uint8Array(256).fill(0xff);
for (const [index, digit] of [..."0123456789abcdefABCDEF"].entries()) {
  HEX[digit.charCodeAt(0)] = index < 16 ? index : index - 6;
}

/** The character that a backslash and each byte encode; 0 if they are not an escape. */
const SIMPLE_ESCAPES = new Uint8Array(256);
for (const [index, letter] of [..."\"'\\/bfnrt"].entries()) {
  SIMPLE_ESCAPES[letter.charCodeAt(0)] = "\"'\\/\b\f\n\r\t".charCodeAt(index);
}

/** Reads four hexadecimal digits; returns -1 if they are not digits. */
function hex4(bytes: Uint8Array, at: number, end: number): number {
  if (at + 4 > end) return -1;
  const a = HEX[bytes[at]!]!;
  const b = HEX[bytes[at + 1]!]!;
  const c = HEX[bytes[at + 2]!]!;
  const d = HEX[bytes[at + 3]!]!;
  return (a | b | c | d) > 15 ? -1 : (a << 12) | (b << 8) | (c << 4) | d;
}

/** Reads the escape, or pair of escaped surrogates, at `at`; returns it like {@linkcode characterAt}. */
export function escapedAt(bytes: Uint8Array, at: number, end: number): number {
  const escape = bytes[at + 1]!;
  if (escape !== LETTER_U) {
    const unescaped = SIMPLE_ESCAPES[escape]!;
    return unescaped === 0 ? 0x2ffffff : 0x2000000 + unescaped;
  }
  const code = hex4(bytes, at + 2, end);
  if (code >= 0 && code < 0xd800) return 0x6000000 + code;
  if (code >= 0 && code <= 0xdbff && bytes[at + 6] === BACKSLASH && bytes[at + 7] === LETTER_U) {
    const low = hex4(bytes, at + 8, end);
    if (low >= 0xdc00 && low <= 0xdfff) {
      const pair = 0x10000 + ((code & 0x3ff) << 10) + (low & 0x3ff);
      return 0xc000000 + (isCharacter(pair) ? pair : NO_CHARACTER);
    }
  }
  return 0x6000000 + (code > 0xdfff && isCharacter(code) ? code : NO_CHARACTER);
}

/** A buffer for the UTF-16 units of the present text; a large one is freed. */
let units = new Uint16Array(1024);
const KEPT_UNITS = 32768;

/** Makes room for this many units. */
function unitsFor(length: number): Uint16Array {
  if (units.length < length) units = new Uint16Array(length);
  return units;
}

/** Returns this many units of the buffer as text. */
function textOfUnits(length: number): string {
  const text = length <= 4096
    ? String.fromCharCode.apply(null, units.subarray(0, length) as unknown as number[])
    : UTF16_DECODER.decode(units.subarray(0, length));
  if (units.length > KEPT_UNITS) units = new Uint16Array(1024);
  return text;
}

/** Writes a character at `at`; returns the offset after it. */
function putUnits(out: Uint16Array, at: number, code: number): number {
  if (code < 0x10000) {
    out[at] = code;
    return at + 1;
  }
  out[at] = 0xd800 + ((code - 0x10000) >> 10);
  out[at + 1] = 0xdc00 + (code & 0x3ff);
  return at + 2;
}

/** Decodes bytes as QEMU shows them in a message: up to a NUL, with U+FFFD for each malformed sequence. */
export function shown(bytes: Uint8Array, start: number, end: number): string {
  const out = unitsFor(end - start);
  let length = 0;
  for (let at = start; at < end;) {
    const byte = bytes[at]!;
    if (byte === 0) break;
    if (byte < 0x80) {
      out[length++] = byte;
      at++;
      continue;
    }
    const packed = characterAt(bytes, at, end);
    const code = packed & 0xffffff;
    length = putUnits(out, length, code === NO_CHARACTER ? REPLACEMENT : code);
    at += packed >> 24;
  }
  return textOfUnits(length);
}

/** Returns ASCII bytes as text. */
export function asciiText(bytes: Uint8Array, start: number, end: number): string {
  const part = start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end);
  if (part.length > 4096) return DECODER.decode(part);
  return String.fromCharCode.apply(null, part as unknown as number[]);
}

/** Returns ASCII text as bytes. */
export function asciiBytes(text: string): Uint8Array {
  if (text.length > 256) return ENCODER.encode(text);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/** Writes ASCII text at `at`; the bytes must have room for it. */
export function putAscii(text: string, bytes: Uint8Array, at: number): void {
  if (text.length > 256) ENCODER.encodeInto(text, bytes.subarray(at));
  else for (let i = 0; i < text.length; i++) bytes[at + i] = text.charCodeAt(i);
}

/** Joins pieces of bytes. */
export function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

/**
 * Tells whether a string token has double quotes, only printable ASCII and no escapes.
 *
 * The bytes between the quotes of such a token are its text.
 */
export function isPlain(bytes: Uint8Array, start: number, end: number): boolean {
  if (bytes[start] !== DOUBLE_QUOTE) return false;
  for (let at = start + 1; at < end - 1; at++) {
    const byte = bytes[at]!;
    if (byte === BACKSLASH || byte >= 0x7f) return false;
  }
  return true;
}

/**
 * Returns the text of a string token of a frame, quotes included.
 *
 * @throws Error when the token is malformed, which no frame contains
 */
export function stringAt(bytes: Uint8Array, start: number, end: number): string {
  if (isPlain(bytes, start, end)) return asciiText(bytes, start + 1, end - 1);
  const length = readUnits(bytes, start, end);
  if (typeof length === "string") throw damaged(length);
  return textOfUnits(length);
}

/** Returns the error for a malformed string in a frame. */
export function damaged(problem: string): Error {
  return new Error(`A frame holds a damaged string: ${problem}`);
}

/** Tells whether the string that begins at `start` of a frame is this text. */
export function isString(bytes: Uint8Array, start: number, text: string): boolean {
  for (let i = 0, at = start + 1; i <= text.length; i++, at++) {
    const byte = bytes[at]!;
    if (byte === BACKSLASH || byte >= 0x80) return isDecoded(bytes, start, text);
    if (i === text.length) return byte === DOUBLE_QUOTE;
    if (byte === DOUBLE_QUOTE || byte !== text.charCodeAt(i)) return false;
  }
  return false;
}

function isDecoded(bytes: Uint8Array, start: number, text: string): boolean {
  const end = endOfString(bytes, start);
  return end - start - 2 <= ESCAPE_BYTES * text.length && stringAt(bytes, start, end) === text;
}

/** Tells whether a string token contains an ASCII text, or escapes that could encode it. */
export function canContain(bytes: Uint8Array, start: number, end: number, text: string): boolean {
  if (end - start - 2 < text.length) return false;
  const first = text.charCodeAt(0);
  for (let at = start + 1; at < end - 1; at++) {
    const byte = bytes[at]!;
    if (byte === BACKSLASH) {
      const escape = bytes[++at]!;
      if (escape === LETTER_U || escape === SLASH) return true;
    } else if (byte === first && isAscii(bytes, at, text)) return true;
  }
  return false;
}

/** Tells whether an ASCII text is at `at`. */
export function isAscii(bytes: Uint8Array, at: number, text: string): boolean {
  for (let i = 0; i < text.length; i++) if (bytes[at + i] !== text.charCodeAt(i)) return false;
  return true;
}

/** Returns QEMU's error text for a malformed string token; `undefined` for a valid one. */
export function wrongString(bytes: Uint8Array, start: number, end: number): string | undefined {
  const length = readUnits(bytes, start, end);
  if (units.length > KEPT_UNITS) units = new Uint16Array(1024);
  return typeof length === "string" ? length : undefined;
}

/** Decodes a string token into `units`; returns the number of units, or QEMU's error text. */
function readUnits(bytes: Uint8Array, start: number, end: number): number | string {
  const close = end - 1;
  const out = unitsFor(end - start);
  let length = 0;
  for (let at = start + 1; at < close;) {
    const byte = bytes[at]!;
    if (byte < 0x80 && byte !== BACKSLASH) {
      out[length++] = byte;
      at++;
      continue;
    }
    if (byte === BACKSLASH && bytes[at + 1] !== LETTER_U) {
      const unescaped = SIMPLE_ESCAPES[bytes[at + 1]!]!;
      if (unescaped === 0) return "invalid escape sequence in string";
      out[length++] = unescaped;
      at += 2;
      continue;
    }
    const packed = byte === BACKSLASH ? escapedAt(bytes, at, end) : characterAt(bytes, at, close);
    const code = packed & 0xffffff;
    if (code === NO_CHARACTER) {
      if (byte !== BACKSLASH) return "invalid UTF-8 sequence in string";
      return `${
        shown(bytes, at, Math.min(at + (packed >> 24), end))
      } is not a valid Unicode character`;
    }
    length = putUnits(out, length, code);
    at += packed >> 24;
  }
  return length;
}
