/**
 * QEMU's own way of writing a value.
 *
 * For what qmpmux answers itself, and for ids it gives back: members in the
 * order of QEMU's hash table, numbers as `%.17g`, everything but ASCII as
 * `\uXXXX`. Measured on QEMU 7.2 to 11.1.
 *
 * @module
 */

import { number } from "./number.ts";
import { Output } from "./output.ts";
import { Printer } from "./printer.ts";
import { asciiBytes, asciiText, quoted } from "./text.ts";

export { number, quoted };

const LETTER_A = 0x61;
const QUOTE = 0x22;
const COMMA = 0x2c;
const SPACE = 0x20;
const ENCODER = new TextEncoder();

/**
 * A value as QEMU prints it back.
 *
 * @param bytes a frame's bytes: valid, without white space
 * @param start where the value begins
 * @param end where it ends
 * @returns ASCII text; `inf` and `-inf` included, which QEMU prints though JSON has no such thing
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
 * Text of a value as a monitor with `pretty=on` prints it: every member and
 * element on a line of its own, also the closing bracket of an empty container.
 *
 * @param text a value in QEMU's plain spelling
 * @param depth how deep in the message it stands
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

/** As {@linkcode prettied}, of bytes; a line end behind the value stays. */
export function prettyBytes(bytes: Uint8Array, depth = 0): Uint8Array {
  const out = new Output(2 * bytes.length + 64);
  /** What has not been copied begins here. */
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
      // QEMU's space behind it; what only claims to be QEMU may leave it out.
      if (bytes[at + 1] === SPACE) at++;
      from = at + 1;
    } else continue;
    out.line(depth);
  }
  out.copy(bytes, from, bytes.length);
  return out.bytes;
}

/** A plain value as QEMU would write it. */
export function qemuText(value: unknown): string {
  const bytes = ENCODER.encode(JSON.stringify(value));
  return canonical(bytes, 0, bytes.length);
}
