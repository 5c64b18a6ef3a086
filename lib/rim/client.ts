/**
 * One client's socket, between the kernel and its virtual monitor.
 *
 * Its bytes are split only as fast as the monitor takes commands; a little is
 * read ahead, so that a client that leaves is noticed while its command runs.
 *
 * @module
 */

import type { Mux } from "../hub/mux.ts";
import type { Monitor } from "../session/monitor.ts";
import type { Terms } from "../terms/terms.ts";
import { FrameSplitter } from "../wire/frame.ts";
import type { Peer } from "../wire/message.ts";
import { CLIENT_MARKS, Connection } from "./connection.ts";
import type { Log } from "./log.ts";

/** Bytes read ahead of a client that may send no further command yet. */
const AHEAD_LIMIT = 65536;

/** A client from its connecting to its leaving. */
export class Client implements Peer {
  readonly #mux: Mux;
  readonly #connection: Connection;
  readonly #monitor: Monitor;
  readonly #log: Log;
  #splitter: FrameSplitter | undefined;
  /** Is there something in the splitter that has not been looked at? */
  #unsplit = false;
  #ahead: Uint8Array[] = [];
  #aheadBytes = 0;
  #room: PromiseWithResolvers<void> | undefined;
  #paused = false;
  #delivering = false;
  #ended = false;

  /** Attaches a client that has just connected; `run` serves it. */
  constructor(socket: Deno.Conn, mux: Mux, terms: Terms, log: Log) {
    this.#mux = mux;
    this.#log = log;
    this.#connection = new Connection(socket, CLIENT_MARKS, {
      dropped: (reason) => this.#dropped(reason),
      relieved: () => this.#resumed(),
    });
    this.#monitor = mux.attach(this, terms);
  }

  /** What it is called in the log: its listener and its number. */
  get name(): string {
    return this.#monitor.name;
  }

  /** Reads until the client leaves; resolves when its socket is closed. */
  async run(): Promise<void> {
    // A write can find out first that the client is gone, also one that no more is read from.
    const over = this.#connection.over.then(() => {
      this.#room?.resolve();
      this.#mux.detached(this.#monitor);
    });
    const end = await this.#connection.read((chunk) => this.#take(chunk));
    if (end === "ended") await this.#finish();
    else this.#leave();
    await over;
  }

  /** Goes on under other terms. */
  adopt(terms: Terms): void {
    this.#monitor.adopt(terms);
  }

  /** Time has come so far, in seconds. */
  tick(now: number): void {
    this.#connection.tick(now);
  }

  /** Queues bytes for the client. */
  send(bytes: Uint8Array): void {
    this.#connection.send(bytes);
  }

  /** Bytes queued that the client has not taken. */
  get unread(): number {
    return this.#connection.queued;
  }

  /** Reads no further command until `resume`. */
  pause(): void {
    this.#paused = true;
  }

  /** Reads on, not before the core has finished what it is doing. */
  resume(): void {
    this.#paused = false;
    // Not at once: the core may be in the middle of something.
    if (this.#unsplit || this.#ahead.length > 0 || this.#ended) {
      queueMicrotask(() => this.#deliver());
    }
  }

  /** Ends the connection behind what is queued. */
  close(_reason: string): void {
    this.#connection.close();
    this.#room?.resolve();
  }

  get #blocked(): boolean {
    return this.#paused || this.#connection.behind;
  }

  #take(chunk: Uint8Array): Promise<void> | undefined {
    this.#ahead.push(chunk.slice());
    this.#aheadBytes += chunk.length;
    this.#deliver();
    if (this.#aheadBytes < AHEAD_LIMIT || this.#connection.closing) return undefined;
    this.#room = Promise.withResolvers();
    return this.#room.promise;
  }

  #deliver(): void {
    if (this.#delivering || this.#connection.closing) return;
    this.#delivering = true;
    while (!this.#blocked && this.#next());
    this.#delivering = false;
    if (this.#aheadBytes < AHEAD_LIMIT) this.#room?.resolve();
    if (this.#ended && !this.#unsplit && this.#monitor.idle && this.#monitor.greeted) this.#leave();
  }

  /** Hands over one more command, if there is a whole one. */
  #next(): boolean {
    this.#splitter ??= new FrameSplitter(this.#monitor.grammar);
    const input = this.#splitter.next();
    if (input !== undefined) {
      this.#unsplit = true;
      this.#mux.received(this.#monitor, input);
      return true;
    }
    const chunk = this.#ahead.shift();
    this.#unsplit = chunk !== undefined;
    if (chunk === undefined) return false;
    this.#aheadBytes -= chunk.length;
    this.#splitter.load(chunk);
    return true;
  }

  #resumed(): void {
    if (!this.#blocked && (this.#unsplit || this.#ahead.length > 0)) this.#deliver();
  }

  /**
   * The client has ended its stream. QEMU answers what was sent before, one by
   * one, unless `oob` is on: then it drops everything (measured).
   */
  async #finish(): Promise<void> {
    if (this.#monitor.takesOob || await this.#connection.hasGone()) return this.#leave();
    this.#ended = true;
    this.#deliver();
  }

  #leave(): void {
    this.#mux.detached(this.#monitor);
    this.#connection.close();
  }

  #dropped(reason: string): void {
    this.#log.warn(`client ${this.name} was dropped: ${reason}`);
    this.#room?.resolve();
    this.#mux.detached(this.#monitor);
  }
}
