/**
 * Strings changed where they stand, in bytes that are else left as they are.
 *
 * @module
 */

const BACKSLASH = 0x5c;
const LETTER_U = 0x75;
const ENCODER = new TextEncoder();

/** A change of a string. */
export interface StringEdit {
  /** The offset of the string in the bytes that are changed. */
  readonly start: number;
  /** The end of the string there, exclusive. */
  readonly end: number;
  /** The text is put behind so many UTF-16 units of the string; without it, it replaces the string. */
  readonly at?: number;
  /** The text; ASCII without quotes, backslashes and control characters where it is put into a string. */
  readonly text: string;
}

/**
 * Bytes of a frame with strings in them changed.
 *
 * @param edits in the order of the places that they change
 */
export function withEdits(bytes: Uint8Array, edits: readonly StringEdit[]): Uint8Array {
  const pieces: Uint8Array[] = [];
  let copied = 0;
  /** The string that was looked at last, and how far. */
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

/** The offset behind so many more UTF-16 units of a string's text. */
function behind(bytes: Uint8Array, offset: number, units: number): number {
  while (units > 0) {
    const byte = bytes[offset]!;
    // Half of a pair is an escape of its own, a character of four bytes is both.
    if (byte === BACKSLASH) offset += bytes[offset + 1] === LETTER_U ? 6 : 2;
    else offset += byte < 0x80 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
    units -= byte >= 0xf0 ? 2 : 1;
  }
  return offset;
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
