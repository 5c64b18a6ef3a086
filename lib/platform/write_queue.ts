/**
 * The bytes queued for a socket, in order, with the descriptors to pass with some of them.
 *
 * Replies are counted separately from other messages, because they have a different limit. A source
 * takes the place of messages that are made only when they can be written.
 *
 * @module
 */

import type { Fds, Source } from "../wire/peer.ts";
import { joined } from "../wire/text.ts";

/** The limit of a write that combines messages; a longer message is written alone. */
const JOINED_BYTES = 65536;

/**
 * A queue of messages.
 *
 * Almost always it holds one message, for which it allocates nothing: an event to 1,000 clients
 * passes through 1,000 queues.
 */
export class WriteQueue {
  #first: Uint8Array | Source | undefined;
  /** The messages after the first. */
  #others: (Uint8Array | Source)[] = [];
  /** Bytes that are queued, including those of the pending write. */
  bytes = 0;
  /** Bytes of replies among them. */
  replyBytes = 0;
  /** The length of the first run of queued bytes: either all are replies, or none is. */
  #run = 0;
  #runIsReply = false;
  /** The lengths of the later runs; each is of the other kind than the run before. */
  #laterRuns: number[] = [];
  /** The descriptors to pass with some of the messages. */
  readonly #fds = new Map<Uint8Array, Fds>();

  /** Whether no message waits to be written. */
  get empty(): boolean {
    return this.#first === undefined;
  }

  /** Queues a message. */
  push(bytes: Uint8Array, isReply: boolean, fds?: Fds): void {
    if (fds) this.#fds.set(bytes, fds);
    if (this.#first === undefined) this.#first = bytes;
    else this.#others.push(bytes);
    this.#extend(bytes.length, isReply);
  }

  /** Queues a source, whose messages are taken and counted when those before them have been written. */
  pushSource(source: Source): void {
    if (this.#first === undefined) this.#first = source;
    else this.#others.push(source);
  }

  #extend(length: number, isReply: boolean): void {
    if (this.bytes === 0) this.#runIsReply = isReply;
    this.bytes += length;
    if (isReply) this.replyBytes += length;
    const later = this.#laterRuns;
    const lastIsReply = this.#runIsReply === (later.length % 2 === 0);
    if (lastIsReply !== isReply) later.push(length);
    else if (later.length === 0) this.#run += length;
    else later[later.length - 1]! += length;
  }

  /** Subtracts bytes that were written; returns how many of them belong to replies. */
  written(length: number): number {
    this.bytes -= length;
    let replies = 0;
    while (length > 0) {
      if (this.#run === 0) {
        this.#run = this.#laterRuns.shift()!;
        this.#runIsReply = !this.#runIsReply;
      }
      const taken = Math.min(length, this.#run);
      length -= taken;
      this.#run -= taken;
      if (this.#runIsReply) replies += taken;
    }
    this.replyBytes -= replies;
    return replies;
  }

  /** Removes and returns the bytes of the next write; `undefined` if there are none, empty if a source needs a later turn. */
  take(): Uint8Array | undefined {
    let first = this.#first;
    while (first !== undefined && !(first instanceof Uint8Array)) {
      const bytes = this.#takenFrom(first);
      if (bytes !== undefined) return bytes;
      first = this.#first = this.#others.shift();
    }
    this.#first = undefined;
    if (first === undefined || this.#others.length === 0) return first;
    // A source, or a message that is too long, ends what is combined.
    const others = this.#others.splice(0, this.#joinable(first)) as Uint8Array[];
    this.#first = this.#others.shift();
    return others.length === 0 ? first : joined([first, ...others]);
  }

  /** Takes messages from the source at the front for one write; `undefined` if it has none. */
  #takenFrom(source: Source): Uint8Array | undefined {
    const parts: Uint8Array[] = [];
    let length = 0;
    while (length < JOINED_BYTES) {
      const bytes = source.next();
      if (bytes === undefined) {
        // It must not be asked again.
        if (parts.length > 0) this.#first = this.#others.shift();
        break;
      }
      parts.push(bytes);
      length += bytes.length;
      if (bytes.length === 0) break;
    }
    if (length > 0) this.#extendFront(length);
    return parts.length < 2 ? parts[0] : joined(parts);
  }

  /** Counts bytes that are written before all that are queued, and are not part of a reply. */
  #extendFront(length: number): void {
    if (this.#runIsReply) {
      // The first run is now behind these bytes; if it is used up, they extend the next one.
      if (this.#run > 0) this.#laterRuns.unshift(this.#run);
      this.#run = this.#run > 0 ? 0 : this.#laterRuns.shift() ?? 0;
      this.#runIsReply = false;
    }
    this.#run += length;
    this.bytes += length;
  }

  /** Removes and returns the descriptors to pass with the bytes of a write. */
  takeFds(bytes: Uint8Array): Fds | undefined {
    if (this.#fds.size === 0) return undefined;
    const fds = this.#fds.get(bytes);
    if (fds) this.#fds.delete(bytes);
    return fds;
  }

  /** Discards all messages and closes the descriptors; returns the bytes of replies discarded. */
  clear(): number {
    const replies = this.replyBytes;
    this.#first = undefined;
    this.#others = [];
    this.bytes = this.replyBytes = this.#run = 0;
    this.#laterRuns = [];
    for (const fds of this.#fds.values()) fds.close();
    this.#fds.clear();
    return replies;
  }

  /** Returns how many messages to combine with the first, up to the limit and up to one with descriptors. */
  #joinable(first: Uint8Array): number {
    let { length } = first;
    const end = this.#fds.has(first) || length > JOINED_BYTES
      ? 0
      : this.#others.findIndex((bytes) => {
        if (!(bytes instanceof Uint8Array)) return true;
        length += bytes.length;
        return length > JOINED_BYTES || this.#fds.has(bytes);
      });
    return end < 0 ? this.#others.length : end;
  }
}
