/**
 * One socket: reads into one buffer, writes from one bounded queue.
 *
 * Whatever is queued in the same turn leaves in one write. A peer that reads too
 * slowly is first told so (`behind`), then dropped: nothing grows without bound,
 * and nothing is left out in silence.
 *
 * @module
 */

import type { Cargo } from "../wire/message.ts";
import type { Credentials } from "./descriptors.ts";

/** What a connection needs of its socket; a `Deno.Conn` of a stream is one. */
export interface Stream {
  /** Reads what is there, at least one byte; `null` at the end. */
  read(buffer: Uint8Array): Promise<number | null>;
  /** Writes the first bytes, and tells how many. */
  write(bytes: Uint8Array): Promise<number>;
  /** Ends the writing side. */
  closeWrite(): Promise<void>;
  /** Closes it; what is under way fails. */
  close(): void;
  /** Who is at the other end, where that is known. */
  readonly credentials?: Credentials | undefined;
  /** How much of what was written the other end has not read, where that can be told. */
  readonly unread?: number;
  /** What came with the bytes read last, once. */
  takeCargo?(): Cargo | undefined;
  /** Writes the first bytes with descriptors, and tells how many; they are closed then. */
  writeWith?(bytes: Uint8Array, cargo: Cargo): Promise<number>;
}

/** Bounds of a connection's write queue. */
export interface Marks {
  /** Bytes from which the peer counts as behind. */
  readonly soft: number;
  /** Bytes at which it is dropped. */
  readonly hard: number;
  /** Seconds it may stay behind. */
  readonly patience: number;
}

/** Most commands fit; it is most of what an idle client takes. */
const SMALL_BUFFER = 512;
const LARGE_BUFFER = 65536;
/** How long a closed peer may take to read what is left and to close its side. */
const LINGER_MS = 2000;

/** How a connection's reading ended. */
export type End =
  /** The peer will say no more, but may still listen. */
  | "ended"
  /** The peer is gone, or we closed. */
  | "gone";

/** What its owner is told. */
export interface ConnectionNotices {
  /** The connection has dropped its peer by itself, and why: at which mark. */
  dropped(reason: string, mark: "hard" | "patience"): void;
  /** What was queued has been written, or less of it is left. */
  relieved(): void;
}

const NOTHING: Uint8Array = new Uint8Array(0);

/** Connections that begin to write at the end of this turn: one microtask for all. */
let beginning: Connection[] = [];

function beginWriting(): void {
  const connections = beginning;
  beginning = [];
  for (const connection of connections) connection.writeOn();
}

/** A socket with a bounded write queue. */
export class Connection {
  readonly #socket: Stream;
  #marks: Marks;
  readonly #notices: ConnectionNotices;
  #queue: Uint8Array[] = [];
  #queued = 0;
  /** What goes with some of the queued bytes. */
  readonly #cargo = new Map<Uint8Array, Cargo>();
  #behindSince: number | undefined;
  /** Is a write under way, or about to begin? */
  #writing = false;
  /** What is being written. */
  #bytes = NOTHING;
  #closing = false;
  #closed = false;
  #peerEnded = false;
  readonly #over = Promise.withResolvers<void>();

  /**
   * A connection with nothing queued.
   *
   * @param socket is closed with the connection
   */
  constructor(socket: Stream, marks: Marks, notices: ConnectionNotices) {
    this.#socket = socket;
    this.#marks = marks;
    this.#notices = notices;
  }

  /** Resolves when the socket is closed. */
  get over(): Promise<void> {
    return this.#over.promise;
  }

  /** Bytes queued that the kernel has not taken. */
  get queued(): number {
    return this.#queued;
  }

  /** What the peer has not read, as far as can be told. */
  get unread(): number {
    return this.#queued + (this.#socket.unread ?? 0);
  }

  /** Is more queued than the peer should leave unread? */
  get behind(): boolean {
    return this.#queued > this.#marks.soft;
  }

  /** Is it closing or closed? */
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
   * @param cargo goes with the first of them; closed here once it is sent, or cannot be
   */
  send(bytes: Uint8Array, cargo?: Cargo): void {
    if (this.closing) return cargo?.close();
    this.#queue.push(bytes);
    if (cargo) this.#cargo.set(bytes, cargo);
    this.#queued += bytes.length;
    if (this.#queued > this.#marks.hard) {
      return this.drop(`it left ${this.#queued} bytes unread (the limit is ${this.#marks.hard})`);
    }
    if (this.#writing) return;
    this.#writing = true;
    // What else this turn queues joins the first write.
    beginning.push(this);
    if (beginning.length === 1) queueMicrotask(beginWriting);
  }

  /** Time has come so far, in seconds: drops a peer that has been behind for too long. */
  tick(now: number): void {
    if (!this.behind) this.#behindSince = undefined;
    else this.#behindSince ??= now;
    if (this.#behindSince !== undefined && now - this.#behindSince > this.#marks.patience) {
      this.drop(`it left ${this.#queued} bytes unread for ${this.#marks.patience} s`, "patience");
    }
  }

  /** Sends what is queued, ends the stream, waits for the peer to close for a moment, then closes. */
  close(): void {
    if (this.closing) return;
    this.#closing = true;
    const linger = setTimeout(() => this.end(), LINGER_MS);
    void this.over.then(() => clearTimeout(linger));
    if (!this.#writing) void this.#endWriting();
  }

  /** Closes at once and tells why. */
  drop(reason: string, mark: "hard" | "patience" = "hard"): void {
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
    take: (chunk: Uint8Array, cargo?: Cargo) => Promise<void> | undefined,
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
        const cargo = this.#socket.takeCargo?.();
        // After our own close what still comes is read only so that the peer sees a clean end.
        if (this.closing) {
          cargo?.close();
          continue;
        }
        const wait = take(buffer.subarray(0, length), cargo);
        if (wait) await wait;
        if (length === buffer.length && length < LARGE_BUFFER) {
          buffer = new Uint8Array(Math.min(8 * length, LARGE_BUFFER));
        }
      }
    } catch (error) {
      if (!isGone(error)) throw error;
      this.end();
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
    const cargo = this.#cargo.get(this.#bytes);
    if (cargo === undefined) return this.#write();
    this.#cargo.delete(this.#bytes);
    this.#writeWith(cargo);
  }

  #writeWith(cargo: Cargo): void {
    if (this.#socket.writeWith === undefined) {
      cargo.close();
      return this.#write();
    }
    this.#socket.writeWith(this.#bytes, cargo).then(this.#wrote, this.#failed);
  }

  // Callbacks, not an async function: an event to 1,000 clients takes an eighth less time.
  #write(): void {
    this.#socket.write(this.#bytes).then(this.#wrote, this.#failed);
  }

  readonly #wrote = (written: number): void => {
    this.#queued -= written;
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
  };

  readonly #failed = (error: unknown): void => {
    if (!isGone(error)) throw error;
    this.end();
  };

  /** What is written next: all that is queued, but what takes something along by itself. */
  #joined(): Uint8Array {
    const [first] = this.#queue;
    if (this.#queue.length === 1) {
      this.#queue = [];
      return first!;
    }
    const parts = this.#cargo.size === 0 ? this.#queue : this.#queue.splice(0, this.#unladen());
    if (parts === this.#queue) this.#queue = [];
    if (parts.length === 1) return parts[0]!;
    const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const part of parts) {
      bytes.set(part, at);
      at += part.length;
    }
    return bytes;
  }

  /** How many go together: those before the first that takes something along, or that one. */
  #unladen(): number {
    const at = this.#queue.findIndex((bytes) => this.#cargo.has(bytes));
    return at < 0 ? this.#queue.length : Math.max(at, 1);
  }

  async #endWriting(): Promise<void> {
    // A peer that has ended its own stream is not waited for.
    if (this.#peerEnded) return this.end();
    if (this.#closed) return;
    try {
      await this.#socket.closeWrite();
    } catch (error) {
      if (!isGone(error)) throw error;
      this.end();
    }
  }

  /** Closes at once. */
  end(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#closing = true;
    this.#queue = [];
    this.#queued = 0;
    for (const cargo of this.#cargo.values()) cargo.close();
    this.#cargo.clear();
    this.#socket.close();
    this.#over.resolve();
  }
}

/** The ways a socket tells that its peer, or our own end of it, is no more. */
export function isGone(error: unknown): boolean {
  return error instanceof Deno.errors.ConnectionReset ||
    error instanceof Deno.errors.BrokenPipe ||
    error instanceof Deno.errors.ConnectionAborted ||
    error instanceof Deno.errors.NotConnected ||
    error instanceof Deno.errors.Interrupted ||
    error instanceof Deno.errors.BadResource ||
    error instanceof Deno.errors.TimedOut;
}
