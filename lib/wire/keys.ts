/**
 * A table of the keys in one value, which finds duplicates.
 *
 * One table holds the keys of all objects as offsets into the value's spelling: a hundred
 * thousand keys allocate no strings.
 *
 * @module
 */

import { isPlain, stringAt } from "./text.ts";

/** A random seed, so that clients cannot choose keys that collide. */
const SEED = chance();
const FACTOR = chance() | 1;

function chance(): number {
  return Math.floor(Math.random() * 2 ** 32) | 0;
}

/** The number of keys for which a new table has room. */
const SMALL = 32;

/** The count of numbers stored for each key: its hash, its object, its start and its end. */
const FIELDS = 4;

/** The keys of one value. */
export class KeyTable {
  #count = 0;
  #keys = new Int32Array(SMALL * FIELDS);
  /** The number of a key, from 1, at the slot of its hash or the next free one; 0 marks a free slot. */
  #slots = new Int32Array(2 * SMALL);

  /**
   * Adds a key of an object.
   *
   * @param object the number of the object
   * @param bytes the text that contains all keys; the offsets of earlier keys must still be valid
   * @param start the offset of the key's opening quote
   * @param end the end of the key, exclusive
   * @returns false when the object already has that key
   */
  add(object: number, bytes: Uint8Array, start: number, end: number): boolean {
    const hash = hashOf(object, bytes, start, end);
    const keys = this.#keys;
    const slots = this.#slots;
    const mask = slots.length - 1;
    let slot = hash & mask;
    for (let number = slots[slot]!; number !== 0; number = slots[slot]!) {
      const at = (number - 1) * FIELDS;
      if (
        keys[at] === hash && keys[at + 1] === object &&
        isSame(bytes, start, end, keys[at + 2]!, keys[at + 3]!)
      ) return false;
      slot = (slot + 1) & mask;
    }
    const at = this.#count * FIELDS;
    keys[at] = hash;
    keys[at + 1] = object;
    keys[at + 2] = start;
    keys[at + 3] = end;
    slots[slot] = ++this.#count;
    if (2 * this.#count === slots.length) this.#grow();
    return true;
  }

  /** Forgets all keys. */
  clear(): void {
    if (this.#count === 0) return;
    this.#count = 0;
    if (this.#slots.length === 2 * SMALL) {
      this.#slots.fill(0);
      return;
    }
    // Free the memory of a large table.
    this.#keys = new Int32Array(SMALL * FIELDS);
    this.#slots = new Int32Array(2 * SMALL);
  }

  #grow(): void {
    const keys = new Int32Array(2 * this.#keys.length);
    keys.set(this.#keys);
    this.#keys = keys;
    const slots = new Int32Array(2 * this.#slots.length);
    const mask = slots.length - 1;
    for (let number = 1; number <= this.#count; number++) {
      let slot = keys[(number - 1) * FIELDS]! & mask;
      while (slots[slot] !== 0) slot = (slot + 1) & mask;
      slots[slot] = number;
    }
    this.#slots = slots;
  }
}

/** Hashes the text of a key. */
function hashOf(object: number, bytes: Uint8Array, start: number, end: number): number {
  let hash = Math.imul(object ^ SEED, FACTOR);
  if (isPlain(bytes, start, end)) {
    for (let at = start + 1; at < end - 1; at++) hash = mixed(hash, bytes[at]!);
  } else {
    const text = stringAt(bytes, start, end);
    for (let i = 0; i < text.length; i++) hash = mixed(hash, text.charCodeAt(i));
  }
  return hash;
}

function mixed(hash: number, unit: number): number {
  const product = Math.imul(hash ^ unit, FACTOR);
  return product ^ (product >>> 15);
}

/** Tells whether two string tokens have the same text. */
function isSame(
  bytes: Uint8Array,
  start: number,
  end: number,
  otherStart: number,
  otherEnd: number,
): boolean {
  if (isPlain(bytes, start, end) && isPlain(bytes, otherStart, otherEnd)) {
    if (end - start !== otherEnd - otherStart) return false;
    for (let at = start, other = otherStart; at < end; at++, other++) {
      if (bytes[at] !== bytes[other]) return false;
    }
    return true;
  }
  return stringAt(bytes, start, end) === stringAt(bytes, otherStart, otherEnd);
}
