/**
 * A connected socket with one read buffer and one bounded write queue.
 *
 * Bytes queued in the same turn are written together. A peer that reads too slowly
 * first counts as `behind`, then is dropped: the queue cannot grow without limit,
 * and no message is skipped.
 *
 * @module
 */

import type { Limits } from "../policy/limits.ts";
import type { Fds, Source } from "../wire/peer.ts";
import type { ReplyBudget, ReplyHolder } from "./reply_budget.ts";
import { isGone, type Stream } from "./stream.ts";
import { TURNS } from "./turns.ts";
import { WriteQueue } from "./write_queue.ts";
import { WRITE_STARTS, type Writer } from "./write_starts.ts";

/** The limits of a write queue. */
export interface Marks {
  /** The bytes above which the peer counts as behind. */
  readonly soft: number;
  /** The bytes, not counting replies, above which the peer is dropped. */
  readonly hard: number;
  /** The seconds that the peer may stay behind without reading a byte. */
  readonly patience: number;
}

/** The size of the initial buffer: most commands fit, and an idle client uses little more memory. */
const SMALL_BUFFER = 512;
const LARGE_BUFFER = 65536;
/** The time for the peer to read what is queued when the connection closes. */
const LINGER_MS = 2000;
/** The time for the peer to close its side after everything was sent. */
const FAREWELL_MS = 150;

/** The end of reading. */
export type End =
  /** The peer sends nothing more, but may still read. */
  | "ended"
  /** The peer has disconnected, or we have. */
  | "gone";

/** The callbacks to the owner of a connection. */
export interface ConnectionNotices {
  /** Called when the peer was dropped, with the reason and the limit. */
  dropped(reason: string, mark: "hard" | "patience" | "total"): void;
  /** Called when queued bytes have been written. */
  relieved(): void;
  /** Called when an internal error has closed the connection. */
  failed(error: unknown): void;
}

/**
 * The number of bytes after which the rest is written in a later turn. If the peer reads fast, a
 * hundred writes would otherwise follow one another without a turn of the event loop.
 */
const UNBROKEN_BYTES = 256 << 10;

const NOTHING: Uint8Array = new Uint8Array(0);

/** A socket with a bounded write queue. */
export class Connection implements ReplyHolder, Writer {
  readonly #socket: Stream;
  #marks: Marks;
  readonly #notices: ConnectionNotices;
  readonly #budget: ReplyBudget | undefined;
  readonly #queue = new WriteQueue();
  /** Whether any byte was written since the last tick. */
  #progressed = false;
  /** The time of the `tick` since which the peer is behind and reads nothing; else `Infinity`. */
  stalledSince: number = Number.POSITIVE_INFINITY;
  /** Whether a write is pending, or about to begin. */
  #writing = false;
  /** The bytes of the pending write. */
  #bytes = NOTHING;
  /** The bytes written since the last turn of the event loop. */
  #unbroken = 0;
  #closing = false;
  #closed = false;
  #peerEnded = false;
  #linger: ReturnType<typeof setTimeout> | undefined;
  readonly #over = Promise.withResolvers<void>();
  /** Resolves when the socket is closed. */
  readonly over: Promise<void> = this.#over.promise;

  /**
   * Creates a connection with nothing queued.
   *
   * @param socket is closed with the connection
   * @param budget limits the replies of all connections together
   */
  constructor(socket: Stream, marks: Marks, notices: ConnectionNotices, budget?: ReplyBudget) {
    this.#socket = socket;
    this.#marks = marks;
    this.#notices = notices;
    this.#budget = budget;
  }

  /** Bytes queued that have not been passed to the kernel. */
  get queued(): number {
    return this.#queue.bytes;
  }

  /** Bytes of replies among those queued. */
  get replyBytes(): number {
    return this.#queue.replyBytes;
  }

  /** Bytes queued that are not part of the pending write. */
  get backlog(): number {
    return this.queued - this.#bytes.length;
  }

  /** Bytes that the peer has not read, as far as is known. */
  get unread(): number {
    return this.queued + (this.#socket.unread ?? 0);
  }

  /** Whether more is queued than the soft limit. */
  get behind(): boolean {
    return this.queued > this.#marks.soft;
  }

  /** Whether it is closing or closed. */
  get closing(): boolean {
    return this.#closing || this.#closed;
  }

  /** Adopts new limits. */
  adopt(marks: Marks): void {
    this.#marks = marks;
  }

  /**
   * Queues bytes, which must not change afterwards.
   *
   * @param fds are passed with the first byte, then closed; they are also closed if they cannot be sent
   */
  send(bytes: Uint8Array, fds?: Fds): void {
    if (this.closing) return fds?.close();
    const beside = this.queued - this.replyBytes + bytes.length;
    if (beside > this.#marks.hard) {
      fds?.close();
      return this.drop(`it left ${beside} bytes unread (the limit is ${this.#marks.hard})`);
    }
    this.#enqueue(bytes, false, fds);
  }

  /** Queues a reply, or a part of one. Replies of any size are delivered as long as the peer reads. */
  sendReply(bytes: Uint8Array): void {
    if (this.closing) return;
    this.#enqueue(bytes, true);
    this.#budget?.add(this, bytes.length);
  }

  /** Queues a source, whose messages are taken when all that was queued before has been written. */
  sendFrom(source: Source): void {
    if (this.closing) return;
    this.#queue.pushSource(source);
    this.#startWriting();
  }

  #enqueue(bytes: Uint8Array, isReply: boolean, fds?: Fds): void {
    this.#queue.push(bytes, isReply, fds);
    this.#startWriting();
  }

  #startWriting(): void {
    if (this.#writing) return;
    this.#writing = true;
    WRITE_STARTS.add(this);
  }

  /** Advances the time to `now`; drops a peer that is behind and has read nothing for too long. */
  tick(now: number): void {
    if (this.#progressed || !this.behind) this.stalledSince = Infinity;
    else this.stalledSince = Math.min(this.stalledSince, now);
    this.#progressed = false;
    const { patience } = this.#marks;
    if (now - this.stalledSince > patience) {
      this.drop(`it left ${this.queued} bytes unread and read none for ${patience} s`, "patience");
    }
  }

  /** Drops the peer, because all peers together leave too many replies unread and this is the slowest. */
  dropSlowest(total: number, limit: number): void {
    const reason = `it left ${this.replyBytes} bytes of replies unread, and all clients together ` +
      `${total} (the limit is ${limit}): it was the slowest`;
    this.drop(reason, "total");
  }

  /** Sends what is queued, shuts down, waits a moment for the peer to close, then closes. */
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

  /** Closes at once and reports the reason. */
  drop(reason: string, mark: "hard" | "patience" | "total" = "hard"): void {
    if (this.#closed) return;
    this.end();
    this.#notices.dropped(reason, mark);
  }

  /**
   * Reads until the end of the stream.
   *
   * @param take is called with each chunk, which is only valid during the call, and its descriptors;
   *   if it returns a promise, nothing more is read until that resolves
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
        // After our close, unread input would reset the connection; it is read and discarded.
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
   * Returns whether a peer that has ended its stream has closed its socket.
   *
   * A write of no bytes fails if the peer has closed its socket, and does nothing if it has only
   * shut down its writing side (Linux, AF_UNIX; measured).
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

  /** Begins to write what is queued; returns a promise that resolves after the first write. */
  writeOn(): Promise<void> | undefined {
    if (this.#closed) return undefined;
    const bytes = this.#takeNext();
    if (bytes === undefined) return this.#writtenAll();
    if (bytes.length === 0) return void TURNS.add(() => this.writeOn());
    this.#bytes = bytes;
    const fds = this.#queue.takeFds(this.#bytes);
    return fds === undefined ? this.#write() : this.#writeWith(fds);
  }

  /** Takes what is written next; an error of a source closes the connection. */
  #takeNext(): Uint8Array | undefined {
    try {
      return this.#queue.take();
    } catch (error) {
      this.#fail(error);
      return undefined;
    }
  }

  #writtenAll(): undefined {
    this.#bytes = NOTHING;
    this.#writing = false;
    if (this.#closing) void this.#endWriting();
  }

  #writeWith(fds: Fds): Promise<void> {
    if (this.#socket.writeWith === undefined) {
      fds.close();
      return this.#write();
    }
    return this.#socket.writeWith(this.#bytes, fds).then(this.#wrote, this.#failed);
  }

  // With callbacks instead of an async function, an event to 1,000 clients takes an eighth less time.
  #write(): Promise<void> {
    return this.#socket.write(this.#bytes).then(this.#wrote, this.#failed);
  }

  readonly #wrote = (written: number): void => {
    if (this.#closed) return;
    this.#progressed = true;
    const replies = this.#queue.written(written);
    if (replies > 0) this.#budget?.release(this, replies);
    this.#unbroken += written;
    const more = written < this.#bytes.length || !this.#queue.empty;
    if (!more || this.#unbroken < UNBROKEN_BYTES) return this.#goOn(written);
    this.#unbroken = 0;
    TURNS.add(() => this.#goOn(written));
  };

  #goOn(written: number): void {
    if (this.#closed) return;
    if (written < this.#bytes.length) {
      this.#bytes = this.#bytes.subarray(written);
      void this.#write();
      return;
    }
    this.#bytes = NOTHING;
    this.#notices.relieved();
    if (this.#queue.empty) this.#writtenAll();
    else void this.writeOn();
  }

  readonly #failed = (error: unknown): void => this.#fail(error);

  /** Closes after an error: a disconnect, or an internal error, which is reported. */
  #fail(error: unknown): void {
    this.end();
    if (!isGone(error)) this.#notices.failed(error);
  }

  async #endWriting(): Promise<void> {
    // A peer that has ended its stream gets no more time to close.
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
    this.#bytes = NOTHING;
    const replies = this.#queue.clear();
    if (replies > 0) this.#budget?.release(this, replies);
    this.#socket.close();
    this.#over.resolve();
  }
}

/** Returns the marks of a client with these limits. */
export function marksOf(limits: Limits): Marks {
  const { "slow-unread": soft, "max-unread": hard, "slow-time": patience } = limits;
  return { soft, hard, patience };
}
