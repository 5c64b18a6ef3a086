/**
 * The orders in which QEMU iterates over the members of an object.
 *
 * QEMU's dictionary has 512 buckets. To find unexpected arguments, QEMU puts their names into a
 * GLib hash table. Measured on QEMU 7.2 to 11.1.
 *
 * @module
 */

import { NameTable } from "./names.ts";
import { membersAt } from "./scan.ts";
import { decodeString, qemuBytes } from "./spelling.ts";
import { isPlain, stringAt } from "./text.ts";

const BUCKETS = 512;

/** A buffer for decoding a key; a large one is freed. */
let scratch = new Uint8Array(256);
const KEPT_BYTES = 65536;

/** A key as QEMU stores it, in modified UTF-8: `bytes` from `from` to `to`. */
interface Held {
  bytes: Uint8Array;
  from: number;
  to: number;
}

const held: Held = { bytes: scratch, from: 0, to: 0 };

/** Decodes a string token as QEMU stores it; every call returns the same object. */
function heldAt(bytes: Uint8Array, start: number, end: number): Held {
  if (isPlain(bytes, start, end)) {
    held.bytes = bytes;
    held.from = start + 1;
    held.to = end - 1;
    return held;
  }
  if (scratch.length < end - start || scratch.length > KEPT_BYTES) {
    scratch = new Uint8Array(Math.max(256, end - start));
  }
  held.bytes = scratch;
  held.from = 0;
  held.to = decodeString(bytes, start, end, scratch);
  return held;
}

/**
 * Returns the bucket of a key in QEMU's dictionary.
 *
 * QEMU iterates bucket by bucket, and within a bucket from the last member to the first. The
 * hash is its `tdb_hash`, checked against the order in which QEMU prints.
 */
export function bucketOf(key: string): number {
  const bytes = qemuBytes(key);
  return bucketOfBytes({ bytes, from: 0, to: bytes.length });
}

/** Returns the bucket of a key that is a string token of a frame. */
export function bucketAt(bytes: Uint8Array, start: number, end: number): number {
  return bucketOfBytes(heldAt(bytes, start, end));
}

function bucketOfBytes({ bytes, from, to }: Held): number {
  let value = Math.imul(0x238f13af, to - from);
  let shift = 0;
  for (let at = from; at < to; at++) {
    value = (value + (bytes[at]! << shift)) | 0;
    shift += 5;
    if (shift >= 24) shift -= 24;
  }
  return ((Math.imul(1103515243, value) + 12345) >>> 0) % BUCKETS;
}

/** The number of members up to which insertion sort is the faster algorithm. */
const FEW = 16;

/**
 * Sorts members into QEMU's order: by bucket, and within a bucket the last first.
 *
 * @param buckets the bucket of each member
 * @param from the index in `buckets` of the first member
 * @returns the members, numbered from 0
 */
export function orderOf(buckets: readonly number[], from = 0): Int32Array {
  const count = buckets.length - from;
  const order = new Int32Array(count);
  if (count <= FEW) {
    for (let number = 0; number < count; number++) {
      const bucket = buckets[from + number]!;
      let at = number;
      for (; at > 0 && buckets[from + order[at - 1]!]! >= bucket; at--) order[at] = order[at - 1]!;
      order[at] = number;
    }
    return order;
  }
  const ends = new Int32Array(BUCKETS);
  for (let i = from; i < buckets.length; i++) ends[buckets[i]!]!++;
  for (let bucket = 1; bucket < BUCKETS; bucket++) ends[bucket]! += ends[bucket - 1]!;
  for (let number = 0; number < count; number++) {
    order[--ends[buckets[from + number]!]!] = number;
  }
  return order;
}

/** The binary logarithm of the smallest size of a GLib hash table. */
const MIN_SHIFT = 3;

/** The moduli of hashes, by the binary logarithm of the table's size: the largest primes up to that size. */
// deno-fmt-ignore
const PRIMES = [
  1, 2, 3, 7, 13, 31, 61, 127, 251, 509, 1021, 2039, 4093, 8191, 16381, 32749,
  // The last table has room for the most members that a value can have.
  65521, 131071, 262139, 524287, 1048573, 2097143,
];

/**
 * Returns the unexpected member of an object that QEMU names in its error.
 *
 * QEMU puts all keys into a GLib hash table, removes those it knows one by one, and names the
 * remaining key with the lowest place. (`g_str_hash`, quadratic probing, a table that shrinks; measured
 * on QEMU 7.2 with GLib 2.74.)
 *
 * @param bytes an object of a frame
 * @param known the keys that QEMU knows, in the order in which it visits them
 */
export function firstUnexpected(bytes: Uint8Array, known: Iterable<string>): string | undefined {
  const members = membersAt(bytes, 0);
  const names = new NameTable([...known].map((name, index) => [name, index]));
  /** The number of the member of each known key. */
  const numbers: number[] = [];
  const buckets: number[] = [];
  const hashes = new Int32Array(members.length / 3);
  for (let i = 0; i < members.length; i += 3) {
    const key = heldAt(bytes, members[i]!, members[i + 1]! - 1);
    buckets.push(bucketOfBytes(key));
    hashes[i / 3] = glibHash(key);
    const index = names.at(bytes, members[i]!, members[i + 1]! - 1);
    if (index !== undefined) numbers[index] = i / 3;
  }
  const table = new GlibTable(hashes);
  for (const number of orderOf(buckets)) table.insert(number);
  numbers.forEach((number) => table.remove(number));
  const first = table.first;
  if (first === undefined) return undefined;
  return stringAt(bytes, members[3 * first]!, members[3 * first + 1]! - 1);
}

/** Computes GLib's `g_str_hash`, with signed bytes; GLib's table reserves the hashes 0 and 1. */
function glibHash({ bytes, from, to }: Held): number {
  let hash = 5381;
  for (let at = from; at < to; at++) hash = (Math.imul(hash, 33) + (bytes[at]! << 24 >> 24)) | 0;
  return hash === 0 || hash === 1 ? 2 : hash;
}

/** The mark of a place whose key was removed, which stays occupied until the next resize. */
const REMOVED = -1;

/**
 * A model of a GLib hash table, with the place of each key: first keys are inserted, then some are removed.
 *
 * If a place is occupied, GLib tries others, in an order that depends only on the first place.
 * An occupied place stays occupied. For each first place, the table therefore stores the progress of
 * the search, and the next search continues there.
 */
class GlibTable {
  readonly #hashes: Int32Array;
  #used = 0;
  #shift = MIN_SHIFT;
  /** The number of the key in each place, from 1; 0 marks a free place. */
  #places = new Int32Array(1 << MIN_SHIFT);
  #tried = new Tried(1 << MIN_SHIFT);

  /** Creates an empty table for keys with these hashes. */
  constructor(hashes: Int32Array) {
    this.#hashes = hashes;
  }

  /** Adds a key by its number. */
  insert(number: number): void {
    this.#places[this.#tried.free(this.#start(number), this.#places)] = number + 1;
    this.#used++;
    const size = this.#places.length;
    if (size <= this.#used + Math.floor(this.#used / 16)) this.#resize();
  }

  /** Removes a key by its number. */
  remove(number: number): void {
    this.#places[this.#places.indexOf(number + 1)] = REMOVED;
    this.#used--;
    const size = this.#places.length;
    if (size > this.#used * 4 && size > 1 << MIN_SHIFT) this.#resize();
  }

  /** The number of the key with the lowest place; `undefined` if the table is empty. */
  get first(): number | undefined {
    const number = this.#places.find((number) => number > 0);
    return number === undefined ? undefined : number - 1;
  }

  #start(number: number): number {
    return (Math.imul(this.#hashes[number]!, 11) >>> 0) % PRIMES[this.#shift]!;
  }

  /** Resizes the table as GLib does, in place: a key that another key displaces is moved next. */
  #resize(): void {
    const before = this.#places;
    this.#shift = Math.max(32 - Math.clz32(Math.floor(this.#used * 1.333)), MIN_SHIFT);
    const size = 1 << this.#shift;
    const places = new Int32Array(Math.max(size, before.length));
    places.set(before.map((number) => number === REMOVED ? 0 : number));
    const settled = new Int32Array(size);
    const tried = new Tried(size);
    for (let from = 0; from < before.length; from++) {
      if (from < size && settled[from] !== 0) continue;
      let moving = places[from]!;
      places[from] = 0;
      while (moving !== 0) {
        const place = tried.free(this.#start(moving - 1), settled);
        settled[place] = 1;
        const evicted = places[place]!;
        places[place] = moving;
        moving = evicted;
      }
    }
    this.#places = places.subarray(0, size);
    // Only settled keys occupy places now, so the progress of these searches stays valid.
    this.#tried = tried;
  }
}

/** The progress of the searches for a free place, by first place. */
class Tried {
  readonly #steps: Int32Array;
  readonly #places: Int32Array;

  constructor(size: number) {
    this.#steps = new Int32Array(size);
    this.#places = new Int32Array(size);
  }

  /** Returns the first free place that a search from `start` finds. */
  free(start: number, taken: Int32Array): number {
    const mask = taken.length - 1;
    let step = this.#steps[start]!;
    let place = step === 0 ? start : this.#places[start]!;
    while (taken[place] !== 0) place = (place + ++step) & mask;
    this.#steps[start] = step;
    this.#places[start] = place;
    return place;
  }
}
