/**
 * A map with lookup by the bytes of a string token.
 *
 * A lookup creates no string, because a client may send a hundred thousand unknown names.
 *
 * @module
 */

import { decodeString, qemuBytes } from "./spelling.ts";
import { ESCAPE_BYTES, isPlain } from "./text.ts";

interface Entry<T> {
  readonly name: Uint8Array;
  readonly value: T;
  readonly next: Entry<T> | undefined;
}

/** A map from texts to values, with lookup by string tokens of a frame. */
export class NameTable<T> {
  readonly #byText: Map<string, T>;
  readonly #buckets: (Entry<T> | undefined)[];
  readonly #mask: number;
  /** A buffer for a token with escapes; longer tokens are not in the map. */
  readonly #scratch: Uint8Array;

  /** Creates a table of these entries; if a text occurs twice, the last entry counts. */
  constructor(entries: Iterable<readonly [string, T]>) {
    this.#byText = new Map(entries);
    let size = 8;
    while (size < 2 * this.#byText.size) size *= 2;
    this.#mask = size - 1;
    this.#buckets = Array.from({ length: size }, () => undefined);
    let longest = 0;
    for (const [text, value] of this.#byText) {
      const name = qemuBytes(text);
      longest = Math.max(longest, name.length);
      const bucket = hashOf(name, 0, name.length) & this.#mask;
      this.#buckets[bucket] = { name, value, next: this.#buckets[bucket] };
    }
    this.#scratch = new Uint8Array(ESCAPE_BYTES * longest + 2);
  }

  /** Whether the table has no entries. */
  get empty(): boolean {
    return this.#byText.size === 0;
  }

  /** Returns the value for a text. */
  get(text: string): T | undefined {
    return this.#byText.get(text);
  }

  /** Returns the value for the text of a string token, quotes included. */
  at(bytes: Uint8Array, start: number, end: number): T | undefined {
    if (end - start > this.#scratch.length) return undefined;
    if (isPlain(bytes, start, end)) return this.#find(bytes, start + 1, end - 1);
    return this.#find(this.#scratch, 0, decodeString(bytes, start, end, this.#scratch));
  }

  #find(bytes: Uint8Array, from: number, to: number): T | undefined {
    let entry = this.#buckets[hashOf(bytes, from, to) & this.#mask];
    while (entry && !isSame(entry.name, bytes, from, to)) entry = entry.next;
    return entry?.value;
  }
}

function hashOf(bytes: Uint8Array, from: number, to: number): number {
  let hash = to - from;
  for (let at = from; at < to; at++) hash = Math.imul(hash, 31) + bytes[at]! | 0;
  return hash ^ (hash >>> 7);
}

function isSame(name: Uint8Array, bytes: Uint8Array, from: number, to: number): boolean {
  const { length } = name;
  if (to - from !== length) return false;
  for (let i = 0; i < length; i++) if (bytes[from + i] !== name[i]) return false;
  return true;
}
