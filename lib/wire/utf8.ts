/**
 * Decoding of UTF-8 that names the first invalid byte.
 *
 * @module
 */

/** The first byte of a text that is not UTF-8. */
export interface NotUtf8 {
  /** Its offset in bytes, from 0. */
  readonly offset: number;
  /** A phrase that names the byte and its offset. */
  readonly wrong: string;
}

const STRICT = new TextDecoder("utf-8", { fatal: true });
const LENIENT = new TextDecoder("utf-8", { ignoreBOM: true });
const ENCODER = new TextEncoder();
/** The character that stands for an invalid sequence, and its bytes. */
const REPLACEMENT = "\ufffd";
const REPLACEMENT_BYTES = ENCODER.encode(REPLACEMENT);

/** Decodes UTF-8, without a byte order mark at its beginning. */
export function decodeUtf8(bytes: Uint8Array): string | NotUtf8 {
  try {
    return STRICT.decode(bytes);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    const offset = firstInvalid(bytes);
    const byte = `0x${bytes[offset]!.toString(16).padStart(2, "0")}`;
    return { offset, wrong: `invalid UTF-8: byte ${byte} at offset ${offset}` };
  }
}

/** Returns the offset of the first sequence that is not UTF-8; the bytes have one. */
function firstInvalid(bytes: Uint8Array): number {
  const text = LENIENT.decode(bytes);
  let [offset, from] = [0, 0];
  for (;;) {
    const at = text.indexOf(REPLACEMENT, from);
    offset += ENCODER.encode(text.slice(from, at)).length;
    // The text itself may have the character.
    if (REPLACEMENT_BYTES.some((byte, index) => bytes[offset + index] !== byte)) return offset;
    offset += REPLACEMENT_BYTES.length;
    from = at + 1;
  }
}
