/**
 * One socket: reads into one buffer, writes from one bounded queue.
 *
 * Whatever is queued in the same turn leaves in one write. A peer that reads too
 * slowly is first told so (`behind`), then dropped: nothing grows without bound,
 * and nothing is left out in silence.
 *
 * @module
 */

import type { Fds } from "../wire/peer.ts";
import type { ReplyBudget, ReplyHolder } from "./reply_budget.ts";
import { isGone, type Stream } from "./stream.ts";
import { TURNS } from "./turns.ts";

/** Bounds of a connection's write queue. */
export interface Marks {
  /** Bytes from which the peer counts as behind. */
  readonly soft: number;
  /** Bytes beside replies at which it is dropped. */
  readonly hard: number;
  /** Seconds it may stay behind without taking a byte. */
  readonly patience: number;
}

/** Most commands fit; it is most of what an idle client takes. */
const SMALL_BUFFER = 512;
const LARGE_BUFFER = 65536;
/** Messages are joined into writes of up to this many bytes; a longer one is written by itself. */
const JOINED_BYTES = 65536;
/** A closed peer may take this long to read what is queued. */
const LINGER_MS = 2000;
/** A closed peer that has been sent everything may take this long to close its side. */
const FAREWELL_MS = 150;

/** How a connection's reading ended. */
export type End =
  /** The peer will say no more, but may still listen. */
  | "ended"
  /** The peer is gone, or we closed. */
  | "gone";

/** What the owner of a connection is told. */
export interface ConnectionNotices {
  /** The connection has dropped its peer by itself, for this reason and at this mark. */
  dropped(reason: string, mark: "hard" | "patience" | "total"): void;
  /** Queued bytes have been written. */
  relieved(): void;
  /** An error of the connection's own has ended it. */
  failed(error: unknown): void;
}

/**
 * After so many bytes the rest is written in a later turn: while its peer takes all at once,
 * a hundred writes would follow one another without a turn of the event loop.
 */
const UNBROKEN_BYTES = 256 << 10;

const NOTHING: Uint8Array = new Uint8Array(0);

/** Connections that begin to write at the end of this turn: one microtask for all. */
let beginning: Connection[] = [];

function beginWriting(): void {
  const connections = beginning;
  beginning = [];
  for (const connection of connections) connection.writeOn();
}

/** A socket with a bounded write queue. */
export class Connection implements ReplyHolder {
  readonly #socket: Stream;
  #marks: Marks;
  readonly #notices: ConnectionNotices;
  readonly #budget: ReplyBudget | undefined;
  #queue: Uint8Array[] = [];
  #queued = 0;
  /** The queued bytes that are replies, as far as they have not been written. */
  #replyBytes = 0;
  /** What the queued bytes are, in order: replies or not, so many of each. */
  readonly #runs: { isReply: boolean; length: number }[] = [];
  /** What goes with some of the queued bytes. */
  readonly #fds = new Map<Uint8Array, Fds>();
  /** Whether the peer has taken a byte since the last tick. */
  #progressed = false;
  /** The tick since which it is behind and has taken nothing. */
  #stalledSince = Infinity;
  /** Whether a write is under way, or about to begin. */
  #writing = false;
  /** What is being written. */
  #bytes = NOTHING;
  /** Bytes written since a turn has been waited for. */
  #unbroken = 0;
  #closing = false;
  #closed = false;
  #peerEnded = false;
  #linger: ReturnType<typeof setTimeout> | undefined;
  readonly #over = Promise.withResolvers<void>();

  /**
   * Creates a connection with nothing queued.
   *
   * @param socket is closed with the connection
   * @param budget bounds the replies of all connections together
   */
  constructor(socket: Stream, marks: Marks, notices: ConnectionNotices, budget?: ReplyBudget) {
    this.#socket = socket;
    this.#marks = marks;
    this.#notices = notices;
    this.#budget = budget;
  }

  /** Resolves when the socket is closed. */
  get over(): Promise<void> {
    return this.#over.promise;
  }

  /** Bytes queued that the kernel has not taken. */
  get queued(): number {
    return this.#queued;
  }

  /** Bytes of replies among those queued. */
  get replyBytes(): number {
    return this.#replyBytes;
  }

  /** Since when the peer is behind and takes nothing, in seconds of the clock of `tick`; else `Infinity`. */
  get stalledSince(): number {
    return this.#stalledSince;
  }

  /** Bytes queued that the kernel has not been handed, in a write that is under way or before. */
  get backlog(): number {
    return this.#queued - this.#bytes.length;
  }

  /** Bytes that the peer has not read, as far as can be told. */
  get unread(): number {
    return this.#queued + (this.#socket.unread ?? 0);
  }

  /** Whether more is queued than the peer should leave unread. */
  get behind(): boolean {
    return this.#queued > this.#marks.soft;
  }

  /** Whether it is closing or closed. */
  get closing(): boolean {
    return this.#closing || this.#closed;
  }

  /** Goes on with other marks. */
  adopt(marks: Marks): void {
    this.#marks = marks;
  }

  /**
   * Queues bytes, which must not change any more.
   *
   * @param fds goes with the first of them; closed here once it is sent, or cannot be
   */
  send(bytes: Uint8Array, fds?: Fds): void {
    if (this.closing) return fds?.close();
    if (fds) this.#fds.set(bytes, fds);
    this.#count(bytes.length, false);
    const beside = this.#queued - this.#replyBytes;
    if (beside > this.#marks.hard) {
      this.#fds.delete(bytes);
      fds?.close();
      return this.drop(`it left ${beside} bytes unread (the limit is ${this.#marks.hard})`);
    }
    this.#enqueue(bytes);
  }

  /** Queues a reply, or a part of one: it is delivered as long as the peer takes bytes. */
  sendReply(bytes: Uint8Array): void {
    if (this.closing) return;
    this.#count(bytes.length, true);
    this.#enqueue(bytes);
    this.#budget?.add(this, bytes.length);
  }

  #enqueue(bytes: Uint8Array): void {
    this.#queue.push(bytes);
    if (this.#writing) return;
    this.#writing = true;
    // What else this turn queues joins the first write.
    beginning.push(this);
    if (beginning.length === 1) queueMicrotask(beginWriting);
  }

  /** Counts bytes that are queued. */
  #count(length: number, isReply: boolean): void {
    this.#queued += length;
    if (isReply) this.#replyBytes += length;
    const last = this.#runs.at(-1);
    if (last?.isReply === isReply) last.length += length;
    else this.#runs.push({ isReply, length });
  }

  /** Takes the first bytes off the count: the peer has taken them. */
  #uncount(length: number): void {
    this.#queued -= length;
    this.#progressed = true;
    let replies = 0;
    while (length > 0) {
      const run = this.#runs[0]!;
      const taken = Math.min(length, run.length);
      length -= taken;
      run.length -= taken;
      if (run.isReply) replies += taken;
      if (run.length === 0) this.#runs.shift();
    }
    if (replies > 0) this.#releaseReplies(replies);
  }

  #releaseReplies(bytes: number): void {
    this.#replyBytes -= bytes;
    this.#budget?.release(this, bytes);
  }

  /** Time has come so far, in seconds: drops a peer that is behind and has taken nothing for too long. */
  tick(now: number): void {
    if (this.#progressed || !this.behind) this.#stalledSince = Infinity;
    else this.#stalledSince = Math.min(this.#stalledSince, now);
    this.#progressed = false;
    const { patience } = this.#marks;
    if (now - this.#stalledSince > patience) {
      this.drop(`it left ${this.#queued} bytes unread and took none for ${patience} s`, "patience");
    }
  }

  /** Drops it as the slowest of those that leave replies unread. */
  dropSlowest(total: number, limit: number): void {
    const reason =
      `it left ${this.#replyBytes} bytes of replies unread, and all clients together ` +
      `${total} (the limit is ${limit}): it was the slowest`;
    this.drop(reason, "total");
  }

  /** Sends what is queued, ends the stream, waits for the peer to close for a moment, then closes. */
  close(): void {
    if (this.closing) return;
    this.#closing = true;
    this.#endWithin(LINGER_MS);
    if (!this.#writing) void this.#endWriting();
  }

  #endWithin(milliseconds: number): void {
    clearTimeout(this.#linger);
    this.#linger = setTimeout(() => this.end(), milliseconds);
  }

  /** Closes at once and tells why. */
  drop(reason: string, mark: "hard" | "patience" | "total" = "hard"): void {
    if (this.#closed) return;
    this.end();
    this.#notices.dropped(reason, mark);
  }

  /**
   * Reads until the peer ends.
   *
   * @param take gets each chunk, which is only valid during the call, and what
   *   came with it; where it returns a promise, nothing more is read until then
   */
  async read(
    take: (chunk: Uint8Array, fds?: Fds) => Promise<void> | undefined,
  ): Promise<End> {
    let buffer = new Uint8Array(SMALL_BUFFER);
    try {
      for (;;) {
        const length = await this.#socket.read(buffer);
        if (length === null) {
          this.#peerEnded = true;
          if (!this.closing) return "ended";
          this.end();
          return "gone";
        }
        const fds = this.#socket.takeFds?.();
        // After our own close what still comes is read only so that the peer sees a clean end.
        if (this.closing) {
          fds?.close();
          continue;
        }
        const wait = take(buffer.subarray(0, length), fds);
        if (wait) await wait;
        if (length === buffer.length && length < LARGE_BUFFER) {
          buffer = new Uint8Array(Math.min(8 * length, LARGE_BUFFER));
        }
      }
    } catch (error) {
      this.#fail(error);
      return "gone";
    }
  }

  /**
   * Has a peer that has ended its stream gone altogether?
   *
   * A write of no bytes fails on a socket whose other side is closed, and does
   * nothing where only its writing side is (Linux, AF_UNIX; measured).
   */
  async hasGone(): Promise<boolean> {
    if (this.#closed) return true;
    try {
      await this.#socket.write(new Uint8Array(0));
      return false;
    } catch (error) {
      if (isGone(error)) return true;
      throw error;
    }
  }

  /** Begins to write what is queued. */
  writeOn(): void {
    if (this.#closed) return;
    this.#bytes = this.#joined();
    const fds = this.#fds.get(this.#bytes);
    if (fds === undefined) return this.#write();
    this.#fds.delete(this.#bytes);
    this.#writeWith(fds);
  }

  #writeWith(fds: Fds): void {
    if (this.#socket.writeWith === undefined) {
      fds.close();
      return this.#write();
    }
    this.#socket.writeWith(this.#bytes, fds).then(this.#wrote, this.#failed);
  }

  // Callbacks, not an async function: an event to 1,000 clients takes an eighth less time.
  #write(): void {
    this.#socket.write(this.#bytes).then(this.#wrote, this.#failed);
  }

  readonly #wrote = (written: number): void => {
    if (this.#closed) return;
    this.#uncount(written);
    this.#unbroken += written;
    const more = written < this.#bytes.length || this.#queue.length > 0;
    if (!more || this.#unbroken < UNBROKEN_BYTES) return this.#goOn(written);
    this.#unbroken = 0;
    TURNS.add(() => this.#goOn(written));
  };

  #goOn(written: number): void {
    if (this.#closed) return;
    if (written < this.#bytes.length) {
      this.#bytes = this.#bytes.subarray(written);
      return this.#write();
    }
    this.#bytes = NOTHING;
    this.#notices.relieved();
    if (this.#queue.length > 0) return this.writeOn();
    this.#writing = false;
    if (this.#closing) void this.#endWriting();
  }

  readonly #failed = (error: unknown): void => this.#fail(error);

  /** Ends with an error: the socket's, which is how a peer goes, or one of our own. */
  #fail(error: unknown): void {
    this.end();
    if (!isGone(error)) this.#notices.failed(error);
  }

  /** Takes off the queue what is written next. */
  #joined(): Uint8Array {
    const [first] = this.#queue;
    if (this.#queue.length === 1) {
      this.#queue = [];
      return first!;
    }
    const parts = this.#queue.splice(0, this.#joinable());
    if (parts.length === 1) return first!;
    const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const part of parts) {
      bytes.set(part, at);
      at += part.length;
    }
    return bytes;
  }

  /** How many messages go together: none that takes something along, and no long one is copied. */
  #joinable(): number {
    let length = 0;
    const end = this.#queue.findIndex((bytes) => {
      length += bytes.length;
      return length > JOINED_BYTES || this.#fds.has(bytes);
    });
    return end < 0 ? this.#queue.length : Math.max(end, 1);
  }

  async #endWriting(): Promise<void> {
    // A peer that has ended its own stream is not waited for.
    if (this.#peerEnded) return this.end();
    if (this.#closed) return;
    this.#endWithin(FAREWELL_MS);
    try {
      await this.#socket.closeWrite();
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Closes at once. */
  end(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#closing = true;
    clearTimeout(this.#linger);
    this.#queue = [];
    this.#bytes = NOTHING;
    this.#queued = 0;
    this.#runs.length = 0;
    if (this.#replyBytes > 0) this.#releaseReplies(this.#replyBytes);
    for (const fds of this.#fds.values()) fds.close();
    this.#fds.clear();
    this.#socket.close();
    this.#over.resolve();
  }
}
