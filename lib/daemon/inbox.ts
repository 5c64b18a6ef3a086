/**
 * Bytes received from a client, and the commands that they are split into one by one.
 *
 * Small chunks share blocks, so that the memory used is little more than the bytes
 * received. Descriptors stay in order, before the bytes that they were received with.
 *
 * @module
 */

import { type Damage, type Frame, FrameSplitter } from "../wire/frame.ts";
import type { Grammar } from "../wire/grammar.ts";
import type { Fds } from "../wire/peer.ts";

/** The size of a block that several chunks share. It is allocated only if a chunk waits already. */
const BLOCK_BYTES = 4096;

/** The number of bytes split at a time; this takes a fraction of a slice. */
const PART_BYTES = 4096;

interface Block {
  bytes: Uint8Array;
  from: number;
  to: number;
  fds: Fds | undefined;
}

/** The received bytes of a client, in order. */
export class Inbox {
  #blocks: Block[] = [];
  #splitter: FrameSplitter | undefined;
  /** Whether the splitter may hold another command. */
  #unsplit = false;
  /** Bytes of memory in use by blocks. */
  bytes = 0;
  /** The number of chunks with descriptors that have not been split. */
  fdMessages = 0;
  /** The limit of a command in bytes. */
  limit = 0;

  /** Whether all bytes have been split, and all commands returned. */
  get empty(): boolean {
    return !this.#unsplit && this.#blocks.length === 0;
  }

  /** Appends a copy of a chunk. */
  push(chunk: Uint8Array, fds: Fds | undefined): void {
    if (fds) this.fdMessages++;
    const last = this.#blocks.at(-1);
    if (last && !fds && last.bytes.length - last.to >= chunk.length) {
      last.bytes.set(chunk, last.to);
      last.to += chunk.length;
      return;
    }
    // The first chunk is usually split at once, so its block gets no spare room.
    const size = last ? Math.max(BLOCK_BYTES, chunk.length) : chunk.length;
    const bytes = new Uint8Array(size);
    bytes.set(chunk);
    this.#blocks.push({ bytes, from: 0, to: chunk.length, fds });
    this.bytes += size;
  }

  /** Returns the next command; `undefined` if more bytes must be split first. */
  next(grammar: Grammar): Frame | Damage | undefined {
    this.#splitter ??= new FrameSplitter(grammar);
    this.#splitter.limit = this.limit;
    return this.#splitter.next();
  }

  /**
   * Splits more bytes, after `next` has returned `undefined`.
   *
   * @param received is called with the descriptors that belong to the bytes
   * @returns whether there were any bytes
   */
  split(received: (fds: Fds) => void): boolean {
    const [first] = this.#blocks;
    this.#unsplit = first !== undefined;
    if (first === undefined) return false;
    const { fds, from } = first;
    first.fds = undefined;
    if (fds) this.fdMessages--;
    first.from = Math.min(first.to, from + PART_BYTES);
    if (first.from === first.to) {
      this.#blocks.shift();
      this.bytes -= first.bytes.length;
    }
    if (fds) received(fds);
    this.#splitter!.load(first.bytes.subarray(from, first.from));
    return true;
  }

  /** Closes the descriptors and drops everything. */
  clear(): void {
    for (const { fds } of this.#blocks.splice(0)) fds?.close();
    this.bytes = 0;
    this.fdMessages = 0;
  }
}

/** Returns the bytes of a command; none of a malformed one. */
export function sizeOf(input: Frame | Damage): number {
  return "damage" in input ? 0 : input.bytes.length;
}
