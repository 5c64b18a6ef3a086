/**
 * Tags, which are appended to names in commands for QEMU and removed from QEMU's messages.
 *
 * A tag is `~`, a secret of six characters, a number and `~`. These characters are never
 * escaped, so a tag can be found at any depth of quoting.
 *
 * @module
 */

import { asciiBytes, joined } from "./text.ts";

const TILDE = 0x7e;
const SIGNS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/** The length of the secret. Clients cannot guess its 36 bits, even with 100,000 guesses per command. */
const SECRET_SIGNS = 6;
/** The length of 2^53 in base 36. */
const NUMBER_SIGNS_LIMIT = 11;

/** The tags of one process. */
export class Tags {
  /** The beginning of every tag. */
  readonly mark: string;
  /** A tag that no name at QEMU has, for references to names that do not exist. */
  readonly none: string;
  readonly #needle: Uint8Array;
  /** The distance by which the search may advance, by the last byte of the window. */
  readonly #skips: Uint8Array;
  #last = 0;
  #used = false;

  /** Creates tags with a secret, a number in digits that clients cannot know. */
  constructor(secret: string) {
    let rest = BigInt(secret);
    let signs = "";
    for (let i = 0; i < SECRET_SIGNS; i++, rest /= BigInt(SIGNS.length)) {
      signs += SIGNS[Number(rest % BigInt(SIGNS.length))];
    }
    this.mark = `~${signs}`;
    this.none = `${this.mark}0~`;
    this.#needle = asciiBytes(this.mark);
    const { length } = this.#needle;
    this.#skips = new Uint8Array(256).fill(length);
    for (let i = 0; i < length - 1; i++) this.#skips[this.#needle[i]!] = length - 1 - i;
  }

  /** Returns a new tag. */
  next(): string {
    return `${this.mark}${(++this.#last).toString(36)}~`;
  }

  /** Enables the search in QEMU's messages. Call it before a name with a tag is first sent to QEMU. */
  sent(): void {
    this.#used = true;
  }

  /**
   * Removes the tags from a message of QEMU. Of several adjacent tags, it removes only the last.
   *
   * It does not scan messages before `sent` is called.
   */
  without(bytes: Uint8Array): Uint8Array {
    if (!this.#used) return bytes;
    const pieces: Uint8Array[] = [];
    let from = 0;
    for (let at = this.#find(bytes, 0); at >= 0;) {
      const end = this.#end(bytes, at);
      const next = this.#find(bytes, end ?? at + 1);
      const isLast = next !== end || this.#end(bytes, next) === undefined;
      if (end !== undefined && isLast) {
        pieces.push(bytes.subarray(from, at));
        from = end;
      }
      at = next;
    }
    return from === 0 ? bytes : joined([...pieces, bytes.subarray(from)]);
  }

  /** Returns the offset of the next mark, or -1. It reads about one byte in seven (Horspool's algorithm). */
  #find(bytes: Uint8Array, from: number): number {
    const needle = this.#needle;
    const skips = this.#skips;
    const last = needle.length - 1;
    for (let end = from + last; end < bytes.length; end += skips[bytes[end]!]!) {
      let i = last;
      while (i >= 0 && bytes[end - last + i] === needle[i]) i--;
      if (i < 0) return end - last;
    }
    return -1;
  }

  /** Returns the end of the tag that begins at `at`; `undefined` when it is not a tag. */
  #end(bytes: Uint8Array, at: number): number | undefined {
    const start = at + this.#needle.length;
    for (let end = start; end <= start + NUMBER_SIGNS_LIMIT; end++) {
      const byte = bytes[end];
      if (byte === TILDE && end > start) return end + 1;
      if (byte === undefined || !isNumberSign(byte)) return undefined;
    }
    return undefined;
  }
}

function isNumberSign(byte: number): boolean {
  return (byte >= 0x30 && byte <= 0x39) || (byte >= 0x61 && byte <= 0x7a);
}
