/**
 * Tags behind names: they make a name another one for QEMU, and are taken off again.
 *
 * A tag is `~`, a secret of six signs, a number and `~`. It survives wherever QEMU
 * prints a name, at any depth of quoting, as no sign of it is ever escaped.
 *
 * @module
 */

const TILDE = 0x7e;
const SIGNS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/** No client guesses 36 bits, also where a command of it tries a hundred thousand at a time. */
const SECRET_SIGNS = 6;
/** A number up to 2^53 in base 36. */
const NUMBER_SIGNS_LIMIT = 11;

/** The tags of one process. */
export class Tags {
  /** The text that each of them begins with. */
  readonly mark: string;
  /** A tag that is behind no name that QEMU has. */
  readonly none: string;
  readonly #needle: Uint8Array;
  /** How far the search may go on, by the byte at the end of where the needle could be. */
  readonly #skips: Uint8Array;
  #last = 0;
  #used = false;

  /** Tags with a secret: digits that no client can know. */
  constructor(secret: string) {
    let rest = BigInt(secret);
    let signs = "";
    for (let i = 0; i < SECRET_SIGNS; i++, rest /= BigInt(SIGNS.length)) {
      signs += SIGNS[Number(rest % BigInt(SIGNS.length))];
    }
    this.mark = `~${signs}`;
    this.none = `${this.mark}0~`;
    this.#needle = new TextEncoder().encode(this.mark);
    const { length } = this.#needle;
    this.#skips = new Uint8Array(256).fill(length);
    for (let i = 0; i < length - 1; i++) this.#skips[this.#needle[i]!] = length - 1 - i;
  }

  /** A tag that no name has had. */
  next(): string {
    return `${this.mark}${(++this.#last).toString(36)}~`;
  }

  /** Names with tags are sent to QEMU from now on. */
  sent(): void {
    this.#used = true;
  }

  /**
   * A message of QEMU's without the tags in it: of several behind each other the last is taken
   * off, which was put there last. Until names with tags are sent it is not looked at.
   */
  without(bytes: Uint8Array): Uint8Array {
    if (!this.#used) return bytes;
    const tags: [start: number, end: number][] = [];
    for (let at = this.#find(bytes, 0); at >= 0;) {
      const end = this.#end(bytes, at);
      const next = this.#find(bytes, end ?? at + 1);
      const isLast = next !== end || this.#end(bytes, next) === undefined;
      if (end !== undefined && isLast) tags.push([at, end]);
      at = next;
    }
    return tags.length === 0 ? bytes : cut(bytes, tags);
  }

  /** The place of the next mark, -1 where there is none; it looks at one byte of seven (Horspool). */
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

  /** Where the tag ends that begins at `at`; `undefined` where none does. */
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

/** Bytes less these parts of them. */
function cut(bytes: Uint8Array, parts: readonly (readonly [number, number])[]): Uint8Array {
  const removed = parts.reduce((sum, [start, end]) => sum + end - start, 0);
  const rest = new Uint8Array(bytes.length - removed);
  let [from, to] = [0, 0];
  for (const [start, end] of parts) {
    rest.set(bytes.subarray(from, start), to);
    to += start - from;
    from = end;
  }
  rest.set(bytes.subarray(from), to);
  return rest;
}
