/**
 * QEMU's strings: modified UTF-8, its escapes, and what it makes of damage.
 *
 * Modified UTF-8 spells NUL as `C0 80`; surrogates, non-characters and overlong
 * forms are no characters. Rules measured on QEMU 7.2 to 11.1.
 *
 * @module
 */

const BACKSLASH = 0x5c;
const DOUBLE_QUOTE = 0x22;
const SINGLE_QUOTE = 0x27;
const REPLACEMENT = 0xfffd;

/** The smallest code point that needs 2, 3, … 6 bytes. */
const SMALLEST = [0x80, 0x800, 0x10000, 0x200000, 0x4000000];

const SIMPLE_ESCAPES = new Map([...`"'\\/bfnrt`].map((char) => [char.charCodeAt(0), char]));

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

/** Bytes as QEMU shows them in a message: C string, each damaged sequence one U+FFFD. */
export function shown(bytes: Uint8Array, start: number, end: number): string {
  let text = "";
  for (let at = start; at < end;) {
    if (bytes[at] === 0) break;
    const packed = characterAt(bytes, at, end);
    const code = packed % 0x1000000;
    text += String.fromCodePoint(code === 0xffffff ? REPLACEMENT : code);
    at += Math.floor(packed / 0x1000000);
  }
  return text;
}

function hex4(bytes: Uint8Array, at: number, end: number): number {
  let value = 0;
  for (let i = at; i < at + 4; i++) {
    const digit = i < end ? parseInt(String.fromCharCode(bytes[i]!), 16) : NaN;
    if (Number.isNaN(digit)) return -1;
    value = value * 16 + digit;
  }
  return value;
}

/** Bytes known to be ASCII, as text. */
export function asciiText(bytes: Uint8Array, start: number, end: number): string {
  if (end - start > 4096) return new TextDecoder().decode(bytes.subarray(start, end));
  return String.fromCharCode.apply(null, bytes.subarray(start, end) as unknown as number[]);
}

/** ASCII text as bytes. */
export function asciiBytes(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
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
  const close = end - 1;
  let text = "";
  let at = start + 1;
  while (at < close) {
    const byte = bytes[at]!;
    if (byte !== BACKSLASH) {
      const packed = characterAt(bytes, at, close);
      const code = packed % 0x1000000;
      if (code === 0xffffff) return { wrong: "invalid UTF-8 sequence in string" };
      text += String.fromCodePoint(code);
      at += Math.floor(packed / 0x1000000);
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
        return { wrong: `${escaped} is not a valid Unicode character` };
      }
      text += String.fromCodePoint(code);
      continue;
    }
    const simple = SIMPLE_ESCAPES.get(escape);
    if (simple === undefined) return { wrong: "invalid escape sequence in string" };
    text += UNESCAPED[simple] ?? simple;
    at += 2;
  }
  return { text };
}

const UNESCAPED: Record<string, string> = { b: "\b", f: "\f", n: "\n", r: "\r", t: "\t" };

/** Is this string token plain: in double quotes, printable ASCII, no escape? Then its bytes are its text. */
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

const NUL_ESCAPE = new TextEncoder().encode("\\u0000");
