/**
 * The keys of the objects of one value: whether one comes twice.
 *
 * One table holds those of all objects, as offsets into the value's spelling, so that
 * a hundred thousand keys make no texts and no garbage.
 *
 * @module
 */

import { isPlain, stringAt } from "./text.ts";

/** Chance that no client knows: keys that collide cannot be chosen. */
const SEED = chance();
const FACTOR = chance() | 1;

function chance(): number {
  return Math.floor(Math.random() * 2 ** 32) | 0;
}

/** A table begins with room for so many keys. */
const SMALL = 32;

/** Numbers kept of a key: its hash, its object, and where it begins and ends. */
const FIELDS = 4;

/** The keys of one value. */
export class KeyTable {
  #count = 0;
  #keys = new Int32Array(SMALL * FIELDS);
  /** The number of a key, from 1, where its hash says or behind; 0 is free. */
  #slots = new Int32Array(2 * SMALL);

  /**
   * Adds a key of an object.
   *
   * @param object a number of the object's
   * @param bytes the spelling that all keys are in; earlier ones must still be in their places
   * @param start where the key's opening quote stands
   * @param end where the key ends, exclusive
   * @returns whether the object had no such key
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
    // A large table is not kept for the next value.
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

/** The hash of a key's text. */
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

/** Tells whether two tokens of the same spelling are the same text. */
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
