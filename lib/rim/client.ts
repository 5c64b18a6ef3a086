/**
 * One client's socket, between the kernel and its virtual monitor.
 *
 * Its bytes are split only as fast as the monitor takes commands and its limits
 * allow; a little is read ahead, so that a client that leaves is noticed while
 * its command runs.
 *
 * @module
 */

import { type Mux, NO_QEMU } from "../hub/mux.ts";
import type { Ending } from "../record/recorder.ts";
import type { Monitor } from "../session/monitor.ts";
import type { Limits } from "../terms/limits.ts";
import type { Terms } from "../terms/terms.ts";
import { type Damage, type Frame, FrameSplitter, TOO_LONG } from "../wire/frame.ts";
import type { Cargo, Peer } from "../wire/message.ts";
import { type Clock, STEADY } from "./clock.ts";
import { Connection, type Marks, type Stream } from "./connection.ts";
import type { Credentials } from "./descriptors.ts";
import { LimitNotes, type Reached } from "./limit_notes.ts";
import type { Log } from "./log.ts";
import { Pace } from "./pace.ts";

/**
 * A chunk of so many bytes is followed by a turn for everybody else: where more is
 * there to be read than one read takes, a socket is ready again at once.
 */
const TURN_BYTES = 32768;

/** So many chunks with descriptors are read ahead: each is up to sixteen of ours. */
const LADEN_LIMIT = 2;

/** A client from its connecting to its leaving. */
export class Client implements Peer {
  readonly #mux: Mux;
  readonly #connection: Connection;
  readonly #monitor: Monitor;
  readonly #log: Log;
  readonly #notes: LimitNotes;
  readonly #clock: Clock;
  readonly #pace: Pace;
  /** Of all clients of its user. */
  readonly #shared: Pace | undefined;
  #splitter: FrameSplitter | undefined;
  /** Is there something in the splitter that has not been looked at? */
  #unsplit = false;
  #ahead: { readonly chunk: Uint8Array; readonly cargo: Cargo | undefined }[] = [];
  #aheadBytes = 0;
  /** How many of the chunks brought descriptors. */
  #laden = 0;
  #room: PromiseWithResolvers<void> | undefined;
  #paused = false;
  #delivering = false;
  #ended = false;
  /** The sizes of its last commands, all that wait for their answers among them, and their sum. */
  #sizes: number[] = [];
  #waiting = 0;
  /** A command that comes too early for its pace. */
  #early: Frame | Damage | undefined;
  #stopWaiting: (() => void) | undefined;
  #slow = false;
  /** How it goes, if that is not its own will. */
  #ending: Ending = "left";
  /** Has anything been said, by it or to it, since the last tick? */
  #stirred = true;
  #quietSince = 0;

  /** Who it is, where that is known. */
  readonly identity: Credentials | undefined;

  /**
   * Attaches a client that has just connected; `run` serves it.
   *
   * @param notes are told of the limits it reaches
   * @param shared is the pace of all clients of its user
   */
  constructor(
    socket: Stream,
    mux: Mux,
    terms: Terms,
    log: Log,
    notes: LimitNotes = new LimitNotes(log),
    clock: Clock = STEADY,
    shared: Pace | undefined = undefined,
  ) {
    this.identity = socket.credentials;
    this.#shared = shared;
    this.#mux = mux;
    this.#log = log;
    this.#notes = notes;
    this.#clock = clock;
    this.#pace = new Pace(terms.limits.rate, clock.now());
    this.#connection = new Connection(socket, marksOf(terms.limits), {
      dropped: (reason, mark) => this.#dropped(reason, mark),
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
      this.#stopWaiting?.();
      for (const { cargo } of this.#ahead.splice(0)) cargo?.close();
      this.#mux.detached(this.#monitor, this.#ending);
    });
    const end = await this.#connection.read((chunk, cargo) => this.#take(chunk, cargo));
    if (end === "ended") await this.#finish();
    else this.#leave();
    await over;
  }

  /** Goes on under other terms. */
  adopt(terms: Terms): void {
    const { limits } = terms;
    this.#monitor.adopt(terms);
    this.#connection.adopt(marksOf(limits));
    this.#pace.adopt(limits.rate, this.#clock.now());
    if (this.#splitter) this.#splitter.limit = limits["max-command"];
    this.#stopWaiting?.();
    this.#stopWaiting = undefined;
    this.#resumed();
  }

  /** Time has come so far, in seconds. */
  tick(now: number): void {
    this.#noteSlow();
    this.#connection.tick(now);
    this.#endIdle(now);
    // Who ended its stream before it closed looked as if it still listened. What is queued tells by itself.
    if (this.#ended && this.unread === 0) void this.#leaveIfGone();
  }

  /** Queues bytes for the client. */
  send(bytes: Uint8Array): void {
    this.#stirred = true;
    this.#connection.send(bytes);
    // Not at once: the core may be in the middle of something.
    if (this.#waiting > 0 && this.#full) queueMicrotask(() => this.#resumed());
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

  /** Lets it go, for a reason that the log tells. */
  dismiss(reason: string): void {
    this.#log.info(`client ${this.name} was closed: ${reason}`);
    this.#mux.dismiss(this.#monitor, reason, "kicked");
  }

  /** Ends the connection behind what is queued. */
  close(reason: string): void {
    if (reason.startsWith(NO_QEMU)) this.#reached("handshake-timeout", `was closed: ${reason}`);
    this.#connection.close();
    this.#room?.resolve();
  }

  get #blocked(): boolean {
    return this.#paused || this.#connection.behind || this.#full;
  }

  get #limits(): Limits {
    return this.#monitor.terms.limits;
  }

  /** Do as many bytes of commands wait for their answers as may? */
  get #full(): boolean {
    const { pending } = this.#monitor;
    // Answers leave in the order of the commands.
    while (this.#sizes.length > pending) this.#waiting -= this.#sizes.shift()!;
    return this.#waiting >= this.#limits["max-waiting"];
  }

  #take(chunk: Uint8Array, came?: Cargo): Promise<void> | undefined {
    this.#stirred = true;
    const cargo = this.#granted(came);
    this.#ahead.push({ chunk: chunk.slice(), cargo });
    this.#aheadBytes += chunk.length;
    if (cargo) this.#laden++;
    this.#deliver();
    if (this.#connection.closing) return undefined;
    if (this.#farAhead) {
      this.#room = Promise.withResolvers();
      return this.#room.promise;
    }
    if (chunk.length < TURN_BYTES) return undefined;
    return new Promise((resolve) => setTimeout(resolve, 0));
  }

  /** What has come, where it may pass descriptors; where it may not, they are closed. */
  #granted(cargo: Cargo | undefined): Cargo | undefined {
    if (cargo === undefined || this.#monitor.terms.passes) return cargo;
    cargo.close();
    return undefined;
  }

  /** Has enough been read of it that may not be delivered yet? */
  get #farAhead(): boolean {
    return this.#aheadBytes >= this.#limits["read-ahead"] || this.#laden >= LADEN_LIMIT;
  }

  #deliver(): void {
    if (this.#delivering || this.#connection.closing) return;
    this.#delivering = true;
    while (!this.#blocked && this.#next());
    this.#delivering = false;
    if (!this.#farAhead) this.#room?.resolve();
    if (this.#ended && !this.#unsplit && this.#monitor.idle && this.#monitor.greeted) this.#leave();
  }

  /** Hands over one more command, if there is a whole one. */
  #next(): boolean {
    this.#splitter ??= this.#newSplitter();
    const input = this.#early ?? this.#splitter.next();
    if (input !== undefined) {
      this.#unsplit = true;
      this.#early = input;
      if (this.#waitsForPace()) return false;
      this.#early = undefined;
      this.#hand(input);
      return true;
    }
    const next = this.#ahead.shift();
    this.#unsplit = next !== undefined;
    if (next === undefined) return false;
    const { chunk, cargo } = next;
    this.#aheadBytes -= chunk.length;
    if (cargo) {
      this.#laden--;
      this.#mux.carried(this.#monitor, cargo);
    }
    this.#splitter.load(chunk);
    return true;
  }

  #newSplitter(): FrameSplitter {
    const splitter = new FrameSplitter(this.#monitor.grammar);
    splitter.limit = this.#limits["max-command"];
    return splitter;
  }

  /** Must it wait before its next command is taken? */
  #waitsForPace(): boolean {
    if (this.#stopWaiting) return true;
    const now = this.#clock.now();
    const own = this.#pace.wait(now);
    const seconds = Math.max(own, this.#shared?.wait(now) ?? 0);
    if (seconds === 0) {
      this.#pace.took();
      this.#shared?.took();
      return false;
    }
    this.#stopWaiting = this.#clock.after(seconds, () => {
      this.#stopWaiting = undefined;
      this.#resumed();
    });
    const limit = own === seconds ? "rate" : "user-rate";
    const whose = limit === "rate" ? "sends" : "and others of its user send";
    this.#reached(
      limit,
      `${whose} more than ${this.#limits[limit]} commands a second: it has to wait`,
    );
    return true;
  }

  #hand(input: Frame | Damage): void {
    const wasFull = this.#full;
    const size = "damage" in input ? 0 : input.bytes.length;
    this.#sizes.push(size);
    this.#waiting += size;
    this.#mux.received(this.#monitor, input);
    if ("damage" in input && input.damage === TOO_LONG) {
      const limit = this.#limits["max-command"];
      this.#reached("max-command", `sent a command of more than ${limit} bytes`);
    } else if (this.#full && !wasFull) {
      this.#reached("max-waiting", `has ${this.#waiting} bytes of commands waiting`);
    }
  }

  /** A limit has been reached; `did` is what the log says of this client. */
  #reached(limit: Reached, did: string): void {
    this.#notes.reached(limit, this.#monitor.terms.name, `client ${this.name} ${did}`);
  }

  /** Tells of one that is still behind when time is told: a moment's burst is nobody's business. */
  #noteSlow(): void {
    if (this.#connection.behind && !this.#slow) {
      this.#reached("slow-unread", `leaves ${this.unread} bytes unread: no more of it is read`);
    }
    this.#slow = this.#connection.behind;
  }

  /** Closes one that has had nothing to say and to hear for too long. */
  #endIdle(now: number): void {
    const { idle } = this.#limits;
    if (this.#stirred || !this.#monitor.idle || !this.#monitor.greeted) this.#quietSince = now;
    this.#stirred = false;
    if (idle === 0 || now - this.#quietSince < idle || this.#connection.closing) return;
    this.#reached("idle", `was closed: it said and heard nothing for ${idle} s`);
    this.#mux.dismiss(this.#monitor, "it was idle", "idle");
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

  async #leaveIfGone(): Promise<void> {
    if (await this.#connection.hasGone()) this.#leave();
  }

  #leave(): void {
    this.#mux.detached(this.#monitor);
    this.#connection.close();
  }

  #dropped(reason: string, mark: "hard" | "patience"): void {
    const limit = mark === "hard" ? "max-unread" : "slow-time";
    this.#notes.counted(limit, this.#monitor.terms.name);
    this.#log.warn(`client ${this.name} was dropped: ${reason}`);
    // The hub is told behind this turn: it may be in the middle of telling others.
    this.#ending = "unread";
  }
}

function marksOf(limits: Limits): Marks {
  return {
    soft: limits["slow-unread"],
    hard: limits["max-unread"],
    patience: limits["slow-time"],
  };
}
