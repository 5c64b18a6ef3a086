/**
 * Bytes received from a client that have not been split yet.
 *
 * Small chunks share blocks, so that little more memory is used than was received.
 * Descriptors stay before the bytes they were received with.
 *
 * @module
 */

import type { Fds } from "../wire/peer.ts";

/** The size of a block; most clients have none, as their commands are split at once. */
const BLOCK_BYTES = 4096;

/** A part of the bytes, and the descriptors received with it. */
export interface Part {
  /** The bytes, which do not change any more. */
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

  /** The number of chunks with descriptors. */
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
    // The first chunk is mostly split at once: its block has no spare room.
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

  /** Closes the descriptors and drops everything. */
  clear(): void {
    for (const { fds } of this.#blocks.splice(0)) fds?.close();
    this.#bytes = 0;
    this.#fdMessages = 0;
  }
}
