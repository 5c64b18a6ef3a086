/**
 * The bytes queued for a socket, in order, with the descriptors to pass with some of them.
 *
 * Replies are counted separately from other messages, because they have a different limit.
 *
 * @module
 */

import type { Fds } from "../wire/peer.ts";

/** The limit of a write that combines messages; a longer message is written alone. */
const JOINED_BYTES = 65536;

/** A queue of messages. */
export class WriteQueue {
  #messages: Uint8Array[] = [];
  /** Bytes that are queued, including those of the pending write. */
  bytes = 0;
  /** Bytes of replies among them. */
  replyBytes = 0;
  /** The queued bytes in order, as alternating runs of replies and of other messages. */
  readonly #runs: { isReply: boolean; length: number }[] = [];
  /** The descriptors to pass with some of the messages. */
  readonly #fds = new Map<Uint8Array, Fds>();

  /** Whether no message waits to be written. */
  get empty(): boolean {
    return this.#messages.length === 0;
  }

  /** Queues a message. */
  push(bytes: Uint8Array, isReply: boolean, fds?: Fds): void {
    if (fds) this.#fds.set(bytes, fds);
    this.#messages.push(bytes);
    this.bytes += bytes.length;
    if (isReply) this.replyBytes += bytes.length;
    const last = this.#runs.at(-1);
    if (last?.isReply === isReply) last.length += bytes.length;
    else this.#runs.push({ isReply, length: bytes.length });
  }

  /** Subtracts bytes that were written; returns how many of them belong to replies. */
  written(length: number): number {
    this.bytes -= length;
    let replies = 0;
    while (length > 0) {
      const run = this.#runs[0]!;
      const taken = Math.min(length, run.length);
      length -= taken;
      run.length -= taken;
      if (run.isReply) replies += taken;
      if (run.length === 0) this.#runs.shift();
    }
    this.replyBytes -= replies;
    return replies;
  }

  /** Removes and returns the bytes of the next write. */
  take(): Uint8Array {
    const [first] = this.#messages;
    if (this.#messages.length === 1) {
      this.#messages = [];
      return first!;
    }
    const parts = this.#messages.splice(0, this.#joinable());
    if (parts.length === 1) return first!;
    const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const part of parts) {
      bytes.set(part, at);
      at += part.length;
    }
    return bytes;
  }

  /** Removes and returns the descriptors to pass with the bytes of a write. */
  takeFds(bytes: Uint8Array): Fds | undefined {
    const fds = this.#fds.get(bytes);
    if (fds) this.#fds.delete(bytes);
    return fds;
  }

  /** Discards all messages and closes the descriptors; returns the bytes of replies discarded. */
  clear(): number {
    const replies = this.replyBytes;
    this.#messages = [];
    this.bytes = this.replyBytes = 0;
    this.#runs.length = 0;
    for (const fds of this.#fds.values()) fds.close();
    this.#fds.clear();
    return replies;
  }

  /** Returns the number of messages to combine, up to the limit and up to one with descriptors. */
  #joinable(): number {
    let length = 0;
    const end = this.#messages.findIndex((bytes) => {
      length += bytes.length;
      return length > JOINED_BYTES || this.#fds.has(bytes);
    });
    return end < 0 ? this.#messages.length : Math.max(end, 1);
  }
}
