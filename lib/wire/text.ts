/**
 * QEMU's strings: modified UTF-8, its escapes, and what it makes of damage.
 *
 * Modified UTF-8 spells NUL as `C0 80`; surrogates, non-characters and overlong
 * forms are no characters. Rules measured on QEMU 7.2 to 11.1.
 *
 * @module
 */

import { endOfString } from "./scan.ts";

const BACKSLASH = 0x5c;
const SLASH = 0x2f;
const LETTER_U = 0x75;
const DOUBLE_QUOTE = 0x22;
const SINGLE_QUOTE = 0x27;
const REPLACEMENT = 0xfffd;

/** The smallest code point that needs 2, 3, … 6 bytes. */
const SMALLEST = [0x80, 0x800, 0x10000, 0x200000, 0x4000000];

function isCharacter(code: number): boolean {
  if (code > 0x10ffff) return false;
  if (code >= 0xd800 && code <= 0xdfff) return false;
  if (code >= 0xfdd0 && code <= 0xfdef) return false;
  return (code & 0xfffe) !== 0xfffe;
}

/**
 * The character at `at`, packed as `length * 2 ** 24 + code`; the code is
 * `0xffffff` where the bytes are no character, and the length then what QEMU skips.
 */
function characterAt(bytes: Uint8Array, at: number, end: number): number {
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
    if ((next & 0xc0) !== 0x80) return i * 0x1000000 + 0xffffff;
    code = code * 64 + (next & 0x3f);
  }
  const overlong = code < SMALLEST[length - 2]! && !(code === 0 && length === 2);
  if (overlong || !isCharacter(code)) code = 0xffffff;
  return length * 0x1000000 + code;
}

/** Room for the UTF-16 code units of a text that is being read; kept for the next one unless it is large. */
let units = new Uint16Array(1024);
const KEPT_UNITS = 32768;
const DECODER = new TextDecoder();
const UTF16_DECODER = new TextDecoder("utf-16le", { ignoreBOM: true });
const ENCODER = new TextEncoder();

/** Makes room for so many units. */
function unitsFor(length: number): Uint16Array {
  if (units.length < length) units = new Uint16Array(length);
  return units;
}

/** The text of the first so many units. */
function textOfUnits(length: number): string {
  const text = length <= 4096
    ? String.fromCharCode.apply(null, units.subarray(0, length) as unknown as number[])
    : UTF16_DECODER.decode(units.subarray(0, length));
  if (units.length > KEPT_UNITS) units = new Uint16Array(1024);
  return text;
}

/** Puts a character at `at`; returns where the next one goes. */
function putUnits(out: Uint16Array, at: number, code: number): number {
  if (code < 0x10000) {
    out[at] = code;
    return at + 1;
  }
  out[at] = 0xd800 + ((code - 0x10000) >> 10);
  out[at + 1] = 0xdc00 + (code & 0x3ff);
  return at + 2;
}

/** Bytes as QEMU shows them in a message: C string, each damaged sequence one U+FFFD. */
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
    length = putUnits(out, length, code === 0xffffff ? REPLACEMENT : code);
    at += packed >> 24;
  }
  return textOfUnits(length);
}

const HEX = hexDigits();

/** The value of each byte as a hexadecimal digit, 0xff where it is none. */
function hexDigits(): Uint8Array {
  const values = new Uint8Array(256).fill(0xff);
  for (let value = 0; value < 16; value++) {
    const digit = value.toString(16);
    values[digit.charCodeAt(0)] = value;
    values[digit.toUpperCase().charCodeAt(0)] = value;
  }
  return values;
}

/** Four hexadecimal digits as a number; -1 where they are not. */
export function hex4(bytes: Uint8Array, at: number, end: number): number {
  if (at + 4 > end) return -1;
  const a = HEX[bytes[at]!]!;
  const b = HEX[bytes[at + 1]!]!;
  const c = HEX[bytes[at + 2]!]!;
  const d = HEX[bytes[at + 3]!]!;
  return (a | b | c | d) > 15 ? -1 : (a << 12) | (b << 8) | (c << 4) | d;
}

/** Bytes known to be ASCII, as text. */
export function asciiText(bytes: Uint8Array, start: number, end: number): string {
  if (end - start > 4096) return DECODER.decode(bytes.subarray(start, end));
  return String.fromCharCode.apply(null, bytes.subarray(start, end) as unknown as number[]);
}

/** ASCII text as bytes. */
export function asciiBytes(text: string): Uint8Array {
  if (text.length > 256) return ENCODER.encode(text);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/** Writes ASCII text into bytes that have room for it. */
export function putAscii(text: string, bytes: Uint8Array, at: number): void {
  if (text.length > 256) ENCODER.encodeInto(text, bytes.subarray(at));
  else for (let i = 0; i < text.length; i++) bytes[at + i] = text.charCodeAt(i);
}

/**
 * Reads a string token, quotes included.
 *
 * @returns the decoded text, or what is wrong with it in QEMU's words
 */
export function readString(
  bytes: Uint8Array,
  start: number,
  end: number,
): { text: string } | { wrong: string } {
  const length = readUnits(bytes, start, end);
  return typeof length === "string" ? { wrong: length } : { text: textOfUnits(length) };
}

/**
 * The text of a string token of a frame, quotes included.
 *
 * @throws Error where the token is damaged: no frame holds such a one
 */
export function stringAt(bytes: Uint8Array, start: number, end: number): string {
  if (isPlain(bytes, start, end)) return asciiText(bytes, start + 1, end - 1);
  const length = readUnits(bytes, start, end);
  if (typeof length === "string") throw damaged(length);
  return textOfUnits(length);
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

/** Tells whether a string token of a frame can contain some ASCII text: it does, or has escapes that could be it. */
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

function isAscii(bytes: Uint8Array, at: number, text: string): boolean {
  for (let i = 0; i < text.length; i++) if (bytes[at + i] !== text.charCodeAt(i)) return false;
  return true;
}

function isDecoded(bytes: Uint8Array, start: number, text: string): boolean {
  const end = endOfString(bytes, start);
  // An escape has at most six bytes for each unit of the text.
  return end - start - 2 <= PRINTED_BYTES * text.length && stringAt(bytes, start, end) === text;
}

function damaged(problem: string): Error {
  return new Error(`A frame holds a damaged string: ${problem}`);
}

/** Returns the fault of a string token in QEMU's words; `undefined` where it has none. */
export function wrongString(bytes: Uint8Array, start: number, end: number): string | undefined {
  const length = readUnits(bytes, start, end);
  if (units.length > KEPT_UNITS) units = new Uint16Array(1024);
  return typeof length === "string" ? length : undefined;
}

/** Decodes a string token into `units`; returns how many there are, or what is wrong with it. */
function readUnits(bytes: Uint8Array, start: number, end: number): number | string {
  const close = end - 1;
  const out = unitsFor(end - start);
  let length = 0;
  let at = start + 1;
  while (at < close) {
    const byte = bytes[at]!;
    if (byte < 0x80 && byte !== BACKSLASH) {
      out[length++] = byte;
      at++;
      continue;
    }
    if (byte !== BACKSLASH) {
      const packed = characterAt(bytes, at, close);
      const code = packed & 0xffffff;
      if (code === 0xffffff) return "invalid UTF-8 sequence in string";
      length = putUnits(out, length, code);
      at += packed >> 24;
      continue;
    }
    const escape = bytes[at + 1]!;
    if (escape === 0x75) {
      const began = at;
      let code = hex4(bytes, at + 2, end);
      at += 6;
      if (code >= 0xd800 && code <= 0xdbff && bytes[at] === BACKSLASH && bytes[at + 1] === 0x75) {
        const low = hex4(bytes, at + 2, end);
        if (low >= 0xdc00 && low <= 0xdfff) {
          code = 0x10000 + ((code & 0x3ff) << 10) + (low & 0x3ff);
          at += 6;
        }
      }
      if (code < 0 || !isCharacter(code)) {
        const escaped = shown(bytes, began, Math.min(at, end));
        return `${escaped} is not a valid Unicode character`;
      }
      length = putUnits(out, length, code);
      continue;
    }
    const unescaped = SIMPLE_ESCAPES[escape]!;
    if (unescaped === 0) return "invalid escape sequence in string";
    out[length++] = unescaped;
    at += 2;
  }
  return length;
}

/** The character for each byte behind a backslash; 0 where there is none. */
const SIMPLE_ESCAPES = simpleEscapes();

function simpleEscapes(): Uint8Array {
  const unescaped = new Uint8Array(256);
  for (const char of `"'\\/`) unescaped[char.charCodeAt(0)] = char.charCodeAt(0);
  const letters = { b: "\b", f: "\f", n: "\n", r: "\r", t: "\t" };
  for (const [letter, char] of Object.entries(letters)) {
    unescaped[letter.charCodeAt(0)] = char.charCodeAt(0);
  }
  return unescaped;
}

/** Tells whether a string token is in double quotes, printable ASCII and without escapes: its bytes are its text then. */
export function isPlain(bytes: Uint8Array, start: number, end: number): boolean {
  if (bytes[start] !== DOUBLE_QUOTE) return false;
  for (let at = start + 1; at < end - 1; at++) {
    const byte = bytes[at]!;
    if (byte === BACKSLASH || byte >= 0x7f) return false;
  }
  return true;
}

/**
 * A valid string token in JSON's own spelling: double quotes, no `\'`, NUL as
 * `\u0000`; escapes and characters else untouched.
 *
 * @param out has room for `3 * (end - start)` bytes from `at`
 * @returns where the copy ends in `out`
 */
export function respellString(
  bytes: Uint8Array,
  start: number,
  end: number,
  out: Uint8Array,
  at: number,
): number {
  out[at++] = DOUBLE_QUOTE;
  for (let i = start + 1; i < end - 1; i++) {
    const byte = bytes[i]!;
    if (byte === BACKSLASH) {
      const escaped = bytes[++i]!;
      if (escaped !== SINGLE_QUOTE) out[at++] = BACKSLASH;
      out[at++] = escaped;
    } else if (byte === DOUBLE_QUOTE) {
      out[at++] = BACKSLASH;
      out[at++] = byte;
    } else if (byte === 0xc0) {
      i++;
      for (const char of NUL_ESCAPE) out[at++] = char;
    } else out[at++] = byte;
  }
  out[at++] = DOUBLE_QUOTE;
  return at;
}

const NUL_ESCAPE = ENCODER.encode("\\u0000");

/**
 * The text of a valid string token in modified UTF-8, as QEMU holds it.
 *
 * @param out has room for `end - start` bytes
 * @returns how many bytes it has
 */
export function decodeString(
  bytes: Uint8Array,
  start: number,
  end: number,
  out: Uint8Array,
): number {
  let length = 0;
  for (let at = start + 1; at < end - 1;) {
    const byte = bytes[at]!;
    if (byte !== BACKSLASH) {
      out[length++] = byte;
      at++;
      continue;
    }
    const packed = escapedAt(bytes, at, end);
    length = putUtf8(out, length, packed & 0xffffff);
    at += packed >> 24;
  }
  return length;
}

/** Text in modified UTF-8, as QEMU holds it. */
export function qemuBytes(text: string): Uint8Array {
  const bytes = ENCODER.encode(text);
  if (!text.includes("\0")) return bytes;
  const modified: number[] = [];
  for (const byte of bytes) modified.push(...(byte === 0 ? [0xc0, 0x80] : [byte]));
  return Uint8Array.from(modified);
}

/** The character that a valid escape stands for, packed as in `characterAt`. */
function escapedAt(bytes: Uint8Array, at: number, end: number): number {
  const escape = bytes[at + 1]!;
  if (escape !== 0x75) {
    const unescaped = SIMPLE_ESCAPES[escape]!;
    return unescaped === 0 ? 0x2ffffff : 0x2000000 + unescaped;
  }
  const code = hex4(bytes, at + 2, end);
  if (code < 0) return 0x6ffffff;
  if (code < 0xd800 || code > 0xdbff) return 0x6000000 + code;
  const low = hex4(bytes, at + 8, end);
  return 0xc000000 + 0x10000 + ((code & 0x3ff) << 10) + (low & 0x3ff);
}

/** Puts a character in modified UTF-8 at `at`; returns where the next one goes. */
function putUtf8(out: Uint8Array, at: number, code: number): number {
  if (code > 0 && code < 0x80) out[at++] = code;
  else if (code < 0x800) {
    out[at++] = 0xc0 | (code >> 6);
    out[at++] = 0x80 | (code & 0x3f);
  } else {
    if (code < 0x10000) out[at++] = 0xe0 | (code >> 12);
    else {
      out[at++] = 0xf0 | (code >> 18);
      out[at++] = 0x80 | ((code >> 12) & 0x3f);
    }
    out[at++] = 0x80 | ((code >> 6) & 0x3f);
    out[at++] = 0x80 | (code & 0x3f);
  }
  return at;
}

/** A byte of a string token becomes at most so many bytes in QEMU's spelling. */
export const PRINTED_BYTES = 6;

/**
 * A valid string token as QEMU prints it: short escapes where it has them, all else
 * but printable ASCII as `\uXXXX`.
 *
 * @param out has room for `PRINTED_BYTES * (end - start)` bytes from `at`
 * @returns where the copy ends in `out`
 * @throws Error where the token is damaged: no frame holds such a one
 */
export function printString(
  bytes: Uint8Array,
  start: number,
  end: number,
  out: Uint8Array,
  at: number,
): number {
  out[at++] = DOUBLE_QUOTE;
  for (let from = start + 1; from < end - 1;) {
    const byte = bytes[from]!;
    if (byte < 0x7f && byte !== BACKSLASH && byte !== DOUBLE_QUOTE) {
      out[at++] = byte;
      from++;
      continue;
    }
    const packed = byte === BACKSLASH
      ? escapedAt(bytes, from, end)
      : characterAt(bytes, from, end - 1);
    if ((packed & 0xffffff) === 0xffffff) throw damaged(wrongString(bytes, start, end)!);
    at = putPrinted(out, at, packed & 0xffffff);
    from += packed >> 24;
  }
  out[at++] = DOUBLE_QUOTE;
  return at;
}

/** Puts a character as QEMU prints it in a string; returns where the next one goes. */
function putPrinted(out: Uint8Array, at: number, code: number): number {
  if (code >= 0x10000) {
    at = putPrinted(out, at, 0xd800 + ((code - 0x10000) >> 10));
    return putPrinted(out, at, 0xdc00 + (code & 0x3ff));
  }
  const short = SHORT_ESCAPES[code];
  if (short !== undefined && short !== 0) {
    out[at++] = BACKSLASH;
    out[at++] = short;
  } else if (code >= 0x20 && code < 0x7f) out[at++] = code;
  else {
    out[at++] = BACKSLASH;
    out[at++] = 0x75;
    for (let shift = 12; shift >= 0; shift -= 4) out[at++] = UPPER_HEX[(code >> shift) & 15]!;
  }
  return at;
}

const UPPER_HEX = ENCODER.encode("0123456789ABCDEF");

/** Behind the backslash, of the characters that QEMU prints with a short escape; 0 of others. */
const SHORT_ESCAPES = shortEscapes();

function shortEscapes(): Uint8Array {
  const letters = new Uint8Array(128);
  for (const letter of `"\\bfnrt`) {
    const code = letter.charCodeAt(0);
    letters[SIMPLE_ESCAPES[code]!] = code;
  }
  return letters;
}

/** Text as a JSON string in QEMU's spelling, quotes included; pure ASCII. */
export function quoted(text: string): string {
  // deno-lint-ignore no-control-regex
  if (!/["\\\x00-\x1f\x7f-\uffff]/.test(text)) return `"${text}"`;
  const out = new Uint8Array(PRINTED_BYTES * text.length + 2);
  let at = 0;
  out[at++] = DOUBLE_QUOTE;
  for (let i = 0; i < text.length; i++) at = putPrinted(out, at, text.charCodeAt(i));
  out[at++] = DOUBLE_QUOTE;
  return asciiText(out, 0, at);
}
