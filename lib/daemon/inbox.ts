/**
 * Bytes received from a client, and the commands that they are split into one by one.
 *
 * Small chunks share blocks, so that little more memory is used than was received.
 * Descriptors stay before the bytes they were received with.
 *
 * @module
 */

import { type Damage, type Frame, FrameSplitter } from "../wire/frame.ts";
import type { Grammar } from "../wire/grammar.ts";
import type { Fds } from "../wire/peer.ts";

/** The size of a block; most clients have none, as their commands are split at once. */
const BLOCK_BYTES = 4096;

/** The bytes given to the splitter at a time: they take it a fraction of a slice. */
const PART_BYTES = 4096;

interface Block {
  bytes: Uint8Array;
  from: number;
  to: number;
  fds: Fds | undefined;
}

/** The bytes, in order. */
export class Inbox {
  #blocks: Block[] = [];
  #splitter: FrameSplitter | undefined;
  /** Whether the splitter may hold another command. */
  #unsplit = false;
  /** Bytes of memory that it holds and that are not split. */
  bytes = 0;
  /** The number of chunks with descriptors that are not split. */
  fdMessages = 0;
  /** The limit of a command in bytes. */
  limit = 0;

  /** Whether everything was split, and every command taken. */
  get empty(): boolean {
    return !this.#unsplit && this.#blocks.length === 0;
  }

  /** Appends a chunk; it is copied. */
  push(chunk: Uint8Array, fds: Fds | undefined): void {
    if (fds) this.fdMessages++;
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
    this.bytes += size;
  }

  /** Takes the next command; `undefined` if more bytes must be split. */
  next(grammar: Grammar): Frame | Damage | undefined {
    this.#splitter ??= new FrameSplitter(grammar);
    this.#splitter.limit = this.limit;
    return this.#splitter.next();
  }

  /**
   * Gives the splitter more bytes, after `next` has returned `undefined`.
   *
   * @param received gets the descriptors received with them
   * @returns whether there were any
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
