/**
 * Bytes that have come from a client and have not been split yet.
 *
 * Small chunks are gathered in blocks, so that what is held is near to what has
 * come. Descriptors stay before the bytes they came with.
 *
 * @module
 */

import type { Fds } from "../wire/peer.ts";

/** Gathers small chunks; most clients never have one, as their commands are split at once. */
const BLOCK_BYTES = 4096;

/** A part of the bytes, and the descriptors that came before it. */
export interface Part {
  /** The bytes; valid for good. */
  readonly bytes: Uint8Array;
  /** The descriptors. */
  readonly fds: Fds | undefined;
}

interface Block {
  bytes: Uint8Array;
  from: number;
  to: number;
  fds: Fds | undefined;
}

/** The bytes, in order. */
export class Inbox {
  #blocks: Block[] = [];
  #bytes = 0;
  #fdMessages = 0;

  /** Bytes of memory it holds. */
  get bytes(): number {
    return this.#bytes;
  }

  /** How many times descriptors have come and have not been taken. */
  get fdMessages(): number {
    return this.#fdMessages;
  }

  /** Whether it is empty. */
  get empty(): boolean {
    return this.#blocks.length === 0;
  }

  /** Appends a chunk; it is copied. */
  push(chunk: Uint8Array, fds: Fds | undefined): void {
    if (fds) this.#fdMessages++;
    const last = this.#blocks.at(-1);
    if (last && !fds && last.bytes.length - last.to >= chunk.length) {
      last.bytes.set(chunk, last.to);
      last.to += chunk.length;
      return;
    }
    // The first chunk is mostly split at once: it gets a block of its own size.
    const size = last ? Math.max(BLOCK_BYTES, chunk.length) : chunk.length;
    const bytes = new Uint8Array(size);
    bytes.set(chunk);
    this.#blocks.push({ bytes, from: 0, to: chunk.length, fds });
    this.#bytes += size;
  }

  /**
   * Takes the first bytes.
   *
   * @param limit takes at most this many
   */
  take(limit: number): Part | undefined {
    const first = this.#blocks[0];
    if (first === undefined) return undefined;
    const { fds, from } = first;
    first.fds = undefined;
    if (fds) this.#fdMessages--;
    first.from = Math.min(first.to, from + limit);
    const bytes = first.bytes.subarray(from, first.from);
    if (first.from === first.to) {
      this.#blocks.shift();
      this.#bytes -= first.bytes.length;
    }
    return { bytes, fds };
  }

  /** Closes the descriptors, and forgets everything. */
  clear(): void {
    for (const { fds } of this.#blocks.splice(0)) fds?.close();
    this.#bytes = 0;
    this.#fdMessages = 0;
  }
}
