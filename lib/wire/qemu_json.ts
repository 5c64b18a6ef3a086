/**
 * QEMU's spelling of a value, for qmpmux's own replies and for ids.
 *
 * Members are in the order of QEMU's hash table, doubles are printed as `%.17g`, and non-ASCII
 * characters as `\uXXXX`. Measured on QEMU 7.2 to 11.1.
 *
 * @module
 */

import { number } from "./number.ts";
import { Output } from "./output.ts";
import { Printer } from "./printer.ts";
import { quoted } from "./spelling.ts";
import { asciiBytes, asciiText } from "./text.ts";

export { number, quoted };

const LETTER_A = 0x61;
const QUOTE = 0x22;
const COMMA = 0x2c;
const SPACE = 0x20;
const ENCODER = new TextEncoder();

/**
 * Prints a value as QEMU does.
 *
 * @param bytes the bytes of a frame: valid, without white space
 * @param start the beginning of the value
 * @param end its end
 * @returns ASCII text; it may contain QEMU's `inf` and `-inf`, which are not JSON
 */
export function canonical(bytes: Uint8Array, start: number, end: number): string {
  const first = bytes[start]!;
  if (first !== QUOTE && first !== OPEN_BRACE && first !== OPEN_SQUARE) {
    const text = asciiText(bytes, start, end);
    return first >= LETTER_A ? text : number(text);
  }
  const printer = new Printer(bytes, start, end);
  while (!printer.step(end - start));
  return printer.text!;
}

/**
 * Returns a value as a monitor with `pretty=on` prints it.
 *
 * Each member, element and closing bracket begins a line, even the bracket of an empty container.
 *
 * @param text a value in QEMU's plain spelling
 * @param depth the indentation level of the value in the message
 */
export function prettied(text: string, depth = 0): string {
  const bytes = prettyBytes(asciiBytes(text), depth);
  return asciiText(bytes, 0, bytes.length);
}

const BACKSLASH = 0x5c;
const OPEN_SQUARE = 0x5b;
const CLOSE_SQUARE = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/** Converts bytes as {@linkcode prettied} does, and keeps a line end after the value. */
export function prettyBytes(bytes: Uint8Array, depth = 0): Uint8Array {
  const out = new Output(2 * bytes.length + 64);
  /** The offset of the first byte that is not copied yet. */
  let from = 0;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at]!;
    if (byte === QUOTE) {
      for (at++; at < bytes.length && bytes[at] !== QUOTE; at++) if (bytes[at] === BACKSLASH) at++;
      continue;
    }
    if (byte === OPEN_BRACE || byte === OPEN_SQUARE) {
      depth++;
      const next = bytes[at + 1];
      if (next === CLOSE_BRACE || next === CLOSE_SQUARE) continue;
      out.copy(bytes, from, at + 1);
      from = at + 1;
    } else if (byte === CLOSE_BRACE || byte === CLOSE_SQUARE) {
      depth--;
      out.copy(bytes, from, at);
      from = at;
    } else if (byte === COMMA) {
      out.copy(bytes, from, at + 1);
      // QEMU writes a space here; another program may omit it.
      if (bytes[at + 1] === SPACE) at++;
      from = at + 1;
    } else continue;
    out.line(depth);
  }
  out.copy(bytes, from, bytes.length);
  return out.bytes;
}

/** Returns a JavaScript value in QEMU's spelling. */
export function qemuText(value: unknown): string {
  const bytes = ENCODER.encode(JSON.stringify(value));
  return canonical(bytes, 0, bytes.length);
}
