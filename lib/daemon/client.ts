/**
 * One client's socket, between the kernel and its virtual monitor.
 *
 * Its bytes are split only as fast as the monitor takes commands and its limits
 * allow, a slice at a time; a little is read ahead, so that a client that leaves
 * is noticed while its command runs. An error of ours ends the client and nothing
 * else.
 *
 * @module
 */

import { NO_QEMU } from "../hub/mux.ts";
import type { Ending } from "../observe/observer.ts";
import type { Monitor } from "../session/monitor.ts";
import type { Limits } from "../policy/limits.ts";
import type { Grant } from "../policy/grant.ts";
import { type Damage, type Frame, FrameSplitter, TOO_LONG } from "../wire/frame.ts";
import type { ClientPeer, Fds } from "../wire/peer.ts";
import { Connection, type Marks } from "../platform/connection.ts";
import type { Stream } from "../platform/stream.ts";
import { Descriptors, type PeerCredentials } from "../platform/libc.ts";
import type { Deps } from "./deps.ts";
import { type FdBudget, FDS_IN_ALL } from "./fd_budget.ts";
import { Inbox } from "./inbox.ts";
import type { Reached } from "./limit_log.ts";
import { TokenBucket } from "../policy/rate_limit.ts";
import type { ReplyBudget } from "../platform/reply_budget.ts";
import { CLIENT_SLICE_SECONDS, UnbrokenWork } from "../platform/turns.ts";

/** A chunk of so many bytes is followed by a turn for everybody else. */
const TURN_BYTES = 32768;

/** The splitter is given so many bytes at a time: it takes a fraction of a slice for them. */
const PART_BYTES = 4096;

/** A command longer than this is prepared in slices before it is handed over. */
const PREPARED_BYTES = 4096;

/** A command longer than this is handed over in a turn of its own. */
const OWN_TURN_BYTES = 32768;

/** So many chunks with descriptors are read ahead: each is up to sixteen of ours. */
const FD_MESSAGES_LIMIT = 2;

/** The parts of a machine that all clients share. */
export interface ClientDeps extends Deps {
  /** Limits the replies that all clients leave unread. */
  readonly budget?: ReplyBudget;
  /** Limits the descriptors of all clients that wait here. */
  readonly fds?: FdBudget;
}

/** A client from its connecting to its leaving. */
export class Client implements ClientPeer {
  readonly #deps: ClientDeps;
  readonly #connection: Connection;
  readonly #monitor: Monitor;
  readonly #bucket: TokenBucket;
  /** The pace of all clients of its user. */
  readonly #shared: TokenBucket | undefined;
  readonly #inbox = new Inbox();
  #splitter: FrameSplitter | undefined;
  /** Whether the splitter holds something that has not been looked at. */
  #unsplit = false;
  #room: PromiseWithResolvers<void> | undefined;
  #paused = false;
  #delivering = false;
  /** Whether what it has sent waits for a turn. */
  #awaitsTurn = false;
  #ended = false;
  readonly #work: UnbrokenWork;
  /** The sizes of its last commands, all that wait for their answers among them, and their sum. */
  #sizes: number[] = [];
  #waiting = 0;
  /** A command that has been split and not handed over: it is too early, or waits for a turn. */
  #early: Frame | Damage | undefined;
  /** Whether nothing is left to prepare of it. */
  #prepared = false;
  #stopWaiting: (() => void) | undefined;
  #slow = false;
  /** Why it goes, if it does not leave by itself. */
  #ending: Ending = "left";
  /** Whether anything has been said, by it or to it, since the last tick. */
  #stirred = true;
  #quietSince = 0;
  /** The tick since which descriptors wait here and its next command may come. */
  #fdsSince = 0;

  /** The process at the other end, where it is known. */
  readonly identity: PeerCredentials | undefined;

  /**
   * Attaches a client that has just connected; `run` serves it.
   *
   * @param shared is the pace of all clients of its user
   */
  constructor(socket: Stream, grant: Grant, deps: ClientDeps, shared?: TokenBucket) {
    this.identity = socket.identity;
    this.#shared = shared;
    this.#deps = deps;
    this.#work = new UnbrokenWork(deps.clock, CLIENT_SLICE_SECONDS);
    this.#bucket = new TokenBucket(grant.limits.rate, deps.clock.now());
    this.#connection = new Connection(socket, marksOf(grant.limits), {
      dropped: (reason, mark) => this.#dropped(reason, mark),
      relieved: () => this.#resumed(),
      failed: (error) => this.#fail(error),
    }, deps.budget);
    this.#monitor = deps.mux.attach(this, grant);
  }

  /** Its name in the log: its listener and its number. */
  get name(): string {
    return this.#monitor.name;
  }

  /** Reads until the client leaves; resolves when its socket is closed. */
  async run(): Promise<void> {
    // A write can find out first that the client is gone, also one that no more is read from.
    const over = this.#connection.over.then(() => {
      this.#room?.resolve();
      this.#stopWaiting?.();
      this.#inbox.clear();
      this.#deps.mux.detached(this.#monitor, this.#ending);
    });
    try {
      const end = await this.#connection.read((chunk, fds) => this.#take(chunk, fds));
      if (end === "ended") await this.#finish();
      else this.#leave();
    } catch (error) {
      this.#fail(error);
    }
    await over;
  }

  /** Goes on under other terms. */
  adopt(grant: Grant): void {
    const { limits } = grant;
    this.#monitor.adopt(grant);
    this.#connection.adopt(marksOf(limits));
    this.#bucket.adopt(limits.rate, this.#deps.clock.now());
    if (this.#splitter) this.#splitter.limit = limits["max-command"];
    this.#stopWaiting?.();
    this.#stopWaiting = undefined;
    this.#resumed();
  }

  /** Time has come so far, in seconds. */
  tick(now: number): void {
    try {
      this.#noteSlow();
      this.#connection.tick(now);
      this.#closeFds(now);
      this.#endIdle(now);
    } catch (error) {
      this.#fail(error);
    }
    // One that ended its stream before it closed looked as if it still listened. What is queued tells by itself.
    if (this.#ended && this.unread === 0) void this.#leaveIfGone();
  }

  /** Queues bytes for the client. */
  send(bytes: Uint8Array): void {
    this.#stirred = true;
    this.#connection.send(bytes);
  }

  /** Queues a reply, or a part of one. */
  sendReply(bytes: Uint8Array): void {
    this.#stirred = true;
    this.#connection.sendReply(bytes);
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
    if (this.#hasMore || this.#ended) queueMicrotask(() => this.#deliver());
  }

  /** Disconnects it, for a reason that the log tells. */
  dismiss(reason: string): void {
    this.#deps.log.info(`client ${this.name} was closed: ${reason}`);
    this.#deps.mux.dismiss(this.#monitor, reason, "kicked");
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

  /** Whether something has come that has not been handed over. */
  get #hasMore(): boolean {
    return this.#unsplit || !this.#inbox.empty;
  }

  get #limits(): Limits {
    return this.#monitor.grant.limits;
  }

  /** Whether as many bytes of commands wait for their answers as may. */
  get #full(): boolean {
    const { pending } = this.#monitor;
    // Answers leave in the order of the commands.
    while (this.#sizes.length > pending) this.#waiting -= this.#sizes.shift()!;
    return this.#waiting >= this.#limits["max-waiting"];
  }

  #take(chunk: Uint8Array, came?: Fds): Promise<void> | undefined {
    this.#stirred = true;
    this.#inbox.push(chunk, this.#granted(came));
    this.#deliver();
    if (this.#connection.closing) return undefined;
    if (this.#farAhead) {
      this.#room = Promise.withResolvers();
      return this.#room.promise;
    }
    if (chunk.length < TURN_BYTES && !this.#work.takeExcess()) return undefined;
    this.#work.clear();
    return this.#deps.turns.next();
  }

  /** Descriptors that have come, less those that it may not pass; these are closed. */
  #granted(fds: Fds | undefined): Fds | undefined {
    if (fds === undefined) return undefined;
    const { name, passes } = this.#monitor.grant;
    if (!passes) {
      fds.close();
      this.#reached(
        "fds",
        "passed a file descriptor, which was closed: its listener takes none; add fds=on to it",
      );
      return undefined;
    }
    if (!(fds instanceof Descriptors)) return fds;
    if (fds.closeOwnEnds() > 0) {
      this.#deps.limitLog.logged(
        `${name}: an end of a connection to qmpmux was passed`,
        `client ${this.name} passed an end of a connection to qmpmux: it was closed`,
      );
    }
    if (fds.numbers.length === 0) return undefined;
    if (this.#deps.fds?.admit(fds) !== false) return fds;
    fds.close();
    const line = `passed a file descriptor, and ${FDS_IN_ALL} of all clients wait: it was closed`;
    this.#reached("fds-in-all", line);
    return undefined;
  }

  /** Whether enough has been read of it that may not be handed over yet. */
  get #farAhead(): boolean {
    return this.#inbox.bytes >= this.#limits["read-ahead"] ||
      this.#inbox.fdMessages >= FD_MESSAGES_LIMIT;
  }

  /** Hands over what it has sent, for a slice of time. */
  #deliver(): void {
    if (this.#delivering || this.#awaitsTurn || this.#connection.closing) return;
    this.#delivering = true;
    try {
      if (this.#work.run(this.#step)) this.#awaitTurn();
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#delivering = false;
    }
    if (!this.#farAhead) this.#room?.resolve();
    if (this.#ended && !this.#hasMore && this.#monitor.idle && this.#monitor.greeted) this.#leave();
  }

  readonly #step = (): boolean => !this.#blocked && this.#next() && !this.#awaitsTurn;

  #awaitTurn(): void {
    if (this.#awaitsTurn) return;
    this.#awaitsTurn = true;
    this.#deps.turns.add(() => {
      this.#awaitsTurn = false;
      this.#deliver();
    });
  }

  /** Hands over one more command, or gives the splitter one more part; `false` where there is none. */
  #next(): boolean {
    this.#splitter ??= this.#newSplitter();
    const early = this.#early;
    const input = early ?? this.#splitter.next();
    if (input === undefined) return this.#load(this.#splitter);
    this.#unsplit = true;
    this.#early = input;
    if (!this.#prepared && sizeOf(input) > PREPARED_BYTES) {
      this.#prepared = this.#deps.mux.prepare(this.#monitor, input);
      if (this.#prepared && sizeOf(input) > OWN_TURN_BYTES) this.#awaitTurn();
      return true;
    }
    if (this.#waitsForPace()) return false;
    this.#early = undefined;
    this.#prepared = false;
    this.#hand(input);
    return true;
  }

  /** Gives the splitter what comes next. */
  #load(splitter: FrameSplitter): boolean {
    const part = this.#inbox.take(PART_BYTES);
    this.#unsplit = part !== undefined;
    if (part === undefined) return false;
    const { bytes, fds } = part;
    if (fds) this.#deps.mux.fdsReceived(this.#monitor, fds);
    splitter.load(bytes);
    return true;
  }

  #newSplitter(): FrameSplitter {
    const splitter = new FrameSplitter(this.#monitor.grammar);
    splitter.limit = this.#limits["max-command"];
    return splitter;
  }

  /** Whether it must wait before its next command is taken. */
  #waitsForPace(): boolean {
    if (this.#stopWaiting) return true;
    const now = this.#deps.clock.now();
    const own = this.#bucket.wait(now);
    const seconds = Math.max(own, this.#shared?.wait(now) ?? 0);
    if (seconds === 0) {
      this.#bucket.took();
      this.#shared?.took();
      return false;
    }
    this.#stopWaiting = this.#deps.clock.after(seconds, () => {
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
    const size = sizeOf(input);
    this.#sizes.push(size);
    this.#waiting += size;
    this.#deps.mux.received(this.#monitor, input);
    if ("damage" in input && input.damage === TOO_LONG) {
      const limit = this.#limits["max-command"];
      this.#reached("max-command", `sent a command of more than ${limit} bytes`);
    } else if (this.#full && !wasFull) {
      this.#reached("max-waiting", `has ${this.#waiting} bytes of commands waiting`);
    }
  }

  /** A limit has been reached; `did` is what the log says of this client. */
  #reached(limit: Reached, did: string): void {
    this.#deps.limitLog.reached(limit, this.#monitor.grant.name, `client ${this.name} ${did}`);
  }

  /** Tells of one that is still behind at a tick: a burst of a moment is not told. */
  #noteSlow(): void {
    if (this.#connection.behind && !this.#slow) {
      this.#reached("slow-unread", `leaves ${this.unread} bytes unread: no more of it is read`);
    }
    this.#slow = this.#connection.behind;
  }

  /**
   * Closes descriptors that no command has taken for too long: one may keep its client's own
   * connection open, after the client has gone.
   */
  #closeFds(now: number): void {
    const limit = this.#limits["fds-time"];
    // While its commands wait, that which takes them may be behind.
    if (!this.#monitor.hasFds || !this.#monitor.idle || this.#hasMore) this.#fdsSince = now;
    if (now - this.#fdsSince < limit) return;
    this.#monitor.takeFds()?.close();
    this.#reached(
      "fds-time",
      `passed file descriptors that no command took for ${limit} s: they were closed`,
    );
  }

  /** Closes one that has had nothing to say and to hear for too long. */
  #endIdle(now: number): void {
    const { idle } = this.#limits;
    if (this.#stirred || !this.#monitor.idle || !this.#monitor.greeted) this.#quietSince = now;
    this.#stirred = false;
    if (idle === 0 || now - this.#quietSince < idle || this.#connection.closing) return;
    this.#reached("idle", `was closed: it said and heard nothing for ${idle} s`);
    this.#deps.mux.dismiss(this.#monitor, "it was idle", "idle");
  }

  #resumed(): void {
    if (this.#hasMore) this.#deliver();
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
    try {
      if (await this.#connection.hasGone()) this.#leave();
    } catch (error) {
      this.#fail(error);
    }
  }

  #leave(): void {
    this.#deps.mux.detached(this.#monitor);
    this.#connection.close();
  }

  /** An error of ours ends this client. */
  #fail(error: unknown): void {
    this.#deps.errors.report("client", error, this.name);
    this.#ending = "error";
    this.#connection.end();
  }

  #dropped(reason: string, mark: "hard" | "patience" | "total"): void {
    const limit =
      ({ hard: "max-unread", patience: "slow-time", total: "max-unread-in-all" } as const)[mark];
    this.#deps.limitLog.counted(limit, this.#monitor.grant.name);
    this.#deps.log.warn(`client ${this.name} was dropped: ${reason}`);
    // The hub is told behind this turn: it may be in the middle of telling others.
    this.#ending = "unread";
  }
}

/** Bytes of a command. */
function sizeOf(input: Frame | Damage): number {
  return "damage" in input ? 0 : input.bytes.length;
}

function marksOf(limits: Limits): Marks {
  return {
    soft: limits["slow-unread"],
    hard: limits["max-unread"],
    patience: limits["slow-time"],
  };
}
