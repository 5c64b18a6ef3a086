/**
 * Conversions of string tokens to JSON's spelling, QEMU's spelling and modified UTF-8, and edits of strings.
 *
 * @module
 */

import {
  asciiText,
  characterAt,
  damaged,
  ESCAPE_BYTES,
  escapedAt,
  joined,
  wrongString,
} from "./text.ts";

const BACKSLASH = 0x5c;
const DOUBLE_QUOTE = 0x22;
const SINGLE_QUOTE = 0x27;
const LETTER_U = 0x75;
const ENCODER = new TextEncoder();
const NO_CHARACTER = 0xffffff;
const NUL_ESCAPE = ENCODER.encode("\\u0000");
const UPPER_HEX = ENCODER.encode("0123456789ABCDEF");

/**
 * Copies a valid string token in JSON's spelling.
 *
 * The copy has double quotes, `'` instead of `\'`, and NUL as `\u0000`. All other escapes and
 * characters are unchanged.
 *
 * @param out must have room for `3 * (end - start)` bytes from `at`
 * @returns the end of the copy in `out`
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

/**
 * Decodes a valid string token into modified UTF-8, as QEMU stores it.
 *
 * @param out must have room for `end - start` bytes
 * @returns the number of bytes
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

/** Returns a text in modified UTF-8, as QEMU stores it. */
export function qemuBytes(text: string): Uint8Array {
  const bytes = ENCODER.encode(text);
  if (!text.includes("\0")) return bytes;
  const modified: number[] = [];
  for (const byte of bytes) modified.push(...(byte === 0 ? [0xc0, 0x80] : [byte]));
  return Uint8Array.from(modified);
}

/** Writes a character in modified UTF-8 at `at`; returns the offset after it. */
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

/**
 * Copies a valid string token in QEMU's spelling.
 *
 * A character that is not printable ASCII becomes a short escape if QEMU has one, else `\uXXXX`.
 *
 * @param out must have room for `ESCAPE_BYTES * (end - start)` bytes from `at`
 * @returns the end of the copy in `out`
 * @throws Error when the token is malformed, which no frame contains
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
    const code = packed & 0xffffff;
    if (code === NO_CHARACTER) throw damaged(wrongString(bytes, start, end)!);
    at = putPrinted(out, at, code);
    from += packed >> 24;
  }
  out[at++] = DOUBLE_QUOTE;
  return at;
}

/** Writes a character at `at` as QEMU prints it in a string; returns the offset after it. */
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
    out[at++] = LETTER_U;
    for (let shift = 12; shift >= 0; shift -= 4) out[at++] = UPPER_HEX[(code >> shift) & 15]!;
  }
  return at;
}

/** The byte after the backslash in QEMU's short escape of a character; 0 if it has none. */
const SHORT_ESCAPES = new Uint8Array(128);
for (const [index, letter] of ENCODER.encode(`"\\bfnrt`).entries()) {
  SHORT_ESCAPES['"\\\b\f\n\r\t'.charCodeAt(index)] = letter;
}

/** Returns a text as a JSON string in QEMU's spelling, quotes included, in ASCII. */
export function quoted(text: string): string {
  // deno-lint-ignore no-control-regex
  if (!/["\\\x00-\x1f\x7f-\uffff]/.test(text)) return `"${text}"`;
  const out = new Uint8Array(ESCAPE_BYTES * text.length + 2);
  let at = 0;
  out[at++] = DOUBLE_QUOTE;
  for (let i = 0; i < text.length; i++) at = putPrinted(out, at, text.charCodeAt(i));
  out[at++] = DOUBLE_QUOTE;
  return asciiText(out, 0, at);
}

/** An edit of a string in a frame. */
export interface StringEdit {
  /** The offset of the string in the frame. */
  readonly start: number;
  /** The end of the string in the frame, exclusive. */
  readonly end: number;
  /** The place in the string, in UTF-16 units, where the text is inserted; if absent, it replaces the string. */
  readonly at?: number;
  /** The text; to be inserted, it must be ASCII without quotes, backslashes and control characters. */
  readonly text: string;
}

/**
 * Returns the bytes of a frame with its strings edited.
 *
 * @param edits the edits, sorted by place
 */
export function withEdits(bytes: Uint8Array, edits: readonly StringEdit[]): Uint8Array {
  const pieces: Uint8Array[] = [];
  let copied = 0;
  /** The last edited string, the offset of the edit in it, and the number of UTF-16 units before the edit. */
  let string = -1;
  let [offset, units] = [0, 0];
  for (const { start, end, at, text } of edits) {
    if (at === undefined) {
      pieces.push(bytes.subarray(copied, start), ENCODER.encode(JSON.stringify(text)));
      copied = end;
      continue;
    }
    if (start !== string) [string, offset, units] = [start, start + 1, 0];
    offset = behind(bytes, offset, at - units);
    units = at;
    pieces.push(bytes.subarray(copied, offset), ENCODER.encode(text));
    copied = offset;
  }
  pieces.push(bytes.subarray(copied));
  return joined(pieces);
}

/** Returns the offset after this many UTF-16 units of a string's text. */
function behind(bytes: Uint8Array, offset: number, units: number): number {
  while (units > 0) {
    const byte = bytes[offset]!;
    // An escape encodes one unit; a character of four bytes has two.
    if (byte === BACKSLASH) offset += bytes[offset + 1] === LETTER_U ? 6 : 2;
    else offset += byte < 0x80 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
    units -= byte >= 0xf0 ? 2 : 1;
  }
  return offset;
}
