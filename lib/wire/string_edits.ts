/**
 * Edits of strings in a frame, which leave all other bytes unchanged.
 *
 * @module
 */

const BACKSLASH = 0x5c;
const LETTER_U = 0x75;
const ENCODER = new TextEncoder();

/** A change of a string. */
export interface StringEdit {
  /** The offset of the string in the frame. */
  readonly start: number;
  /** The end of the string in the frame, exclusive. */
  readonly end: number;
  /** The place for the text in the string, in UTF-16 units; without it the text replaces the string. */
  readonly at?: number;
  /** The text; one that is inserted is ASCII without quotes, backslashes and control characters. */
  readonly text: string;
}

/**
 * Returns the bytes of a frame with its strings edited.
 *
 * @param edits the edits in the order of their places
 */
export function withEdits(bytes: Uint8Array, edits: readonly StringEdit[]): Uint8Array {
  const pieces: Uint8Array[] = [];
  let copied = 0;
  /** The last edited string, the place of the edit in it, and its UTF-16 units before that. */
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
    // An escape stands for one unit, a character of four bytes for two.
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
