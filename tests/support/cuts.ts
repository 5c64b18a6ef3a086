/**
 * Bytes as a socket may deliver them: whole, one by one, cut anywhere.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import type { Frame } from "../../lib/wire/frame.ts";
import { Random } from "./random.ts";

const ENCODER = new TextEncoder();

/** A parser that takes chunks and returns results. */
export interface Splitter<T> {
  load(chunk: Uint8Array): void;
  next(): T | undefined;
}

/** Returns text as UTF-8; bytes as they are. */
export function bytesOf(input: string | Uint8Array): Uint8Array {
  return typeof input === "string" ? ENCODER.encode(input) : input;
}

/** Returns text of characters up to U+00FF as the bytes of their codes. */
export function latin(text: string): Uint8Array {
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}

/** Bytes in hexadecimal digits. */
export function bytesOfHex(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

/** Returns the bytes in chunks of random lengths, empty ones among them. */
export function randomCut(bytes: Uint8Array, random: Random): Uint8Array[] {
  const longest = random.pick([2, 4, 16, 64]);
  const chunks: Uint8Array[] = [];
  for (let at = 0; at < bytes.length;) {
    const end = at + random.below(longest + 1);
    chunks.push(bytes.subarray(at, end));
    at = end;
  }
  return chunks;
}

/** Returns the bytes whole, one by one, and at three seeded cuts. */
export function cutsOf(bytes: Uint8Array, seed = bytes.length): Uint8Array[][] {
  const random = new Random(seed);
  const singly = Array.from(bytes, (_, at) => bytes.subarray(at, at + 1));
  const cuts = [[bytes], singly];
  for (let i = 0; i < 3; i++) cuts.push(randomCut(bytes, random));
  return cuts;
}

/** Returns the bytes in two, once for every place. */
export function pairsOf(bytes: Uint8Array): Uint8Array[][] {
  return Array.from(bytes, (_, at) => [bytes.subarray(0, at), bytes.subarray(at)]);
}

/**
 * Returns the results of a splitter for the chunks.
 *
 * Each chunk is in a buffer that is overwritten as soon as the splitter has asked for more, as a
 * socket's buffer is.
 */
export function fed<T>(splitter: Splitter<T>, chunks: readonly Uint8Array[]): T[] {
  const things: T[] = [];
  for (const chunk of chunks) {
    const buffer = chunk.slice();
    splitter.load(buffer);
    for (let thing = splitter.next(); thing !== undefined; thing = splitter.next()) {
      things.push(thing);
    }
    buffer.fill(0x2a);
  }
  return things;
}

/** Returns the results of a fresh splitter for the input, which must be the same at every cut. */
export function fedAtCuts<T>(make: () => Splitter<T>, input: string | Uint8Array): T[] {
  const bytes = bytesOf(input);
  const [whole, ...others] = cutsOf(bytes).map((chunks) => fed(make(), chunks));
  for (const other of others) assertEquals(other, whole);
  return whole!;
}

/** Bytes as text of characters up to U+00FF. */
export function latinText(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
}

/** A member of a frame: its key decoded, its start, and the start and end of its value. */
export interface Member {
  readonly key: string;
  readonly keyStart: number;
  readonly start: number;
  readonly end: number;
}

/** Returns the members of a frame. */
export function membersOf({ bytes, offsets }: Frame): Member[] {
  return Array.from({ length: offsets.length / 3 }, (_, i) => {
    const [keyStart, start, end] = offsets.slice(3 * i, 3 * i + 3) as [number, number, number];
    const key = JSON.parse(new TextDecoder().decode(bytes.subarray(keyStart, start - 1)));
    return { key, keyStart, start, end };
  });
}
