/**
 * One client: its socket, its limits, and its virtual monitor.
 *
 * Its bytes are split into commands only as fast as the monitor and its limits allow,
 * one slice of time per turn. A little is read ahead, to notice a disconnect while a
 * command runs. An internal error disconnects this client only.
 *
 * @module
 */

import type { ClientEnding } from "../observe/observer.ts";
import type { Monitor } from "../session/monitor.ts";
import type { Limits } from "../policy/limits.ts";
import type { Grant } from "../policy/admission.ts";
import { type Damage, type Frame, TOO_LONG } from "../wire/frame.ts";
import type { ClientPeer, Fds, Source } from "../wire/peer.ts";
import { Connection, marksOf } from "../platform/connection.ts";
import type { Stream } from "../platform/stream.ts";
import type { PeerCredentials } from "../platform/libc.ts";
import type { ClientDeps } from "./deps.ts";
import { takenFrom } from "./fd_budget.ts";
import { Inbox, sizeOf } from "./inbox.ts";
import type { Reached } from "./limit_log.ts";
import { TokenBucket } from "../policy/rate_limit.ts";
import { CLIENT_SLICE_SECONDS, UnbrokenWork } from "../platform/turns.ts";

/** The size of a chunk after which the other clients get a turn. */
const TURN_BYTES = 32768;

/** The size above which a command is prepared in slices before it is passed to the hub. */
const PREPARED_BYTES = 4096;

/** The size above which a command is passed to the hub in a turn of its own. */
const OWN_TURN_BYTES = 32768;

/** The number of chunks with descriptors that are read ahead: each has up to sixteen descriptors. */
const FD_MESSAGES_LIMIT = 2;

/** A client, from its connection to its disconnect. */
export class Client implements ClientPeer {
  readonly #deps: ClientDeps;
  readonly #connection: Connection;
  readonly #monitor: Monitor;
  readonly #bucket: TokenBucket;
  /** The rate limit of all clients of its user. */
  readonly #shared: TokenBucket | undefined;
  readonly #inbox = new Inbox();
  #room: PromiseWithResolvers<void> | undefined;
  #paused = false;
  #delivering = false;
  #awaitsTurn = false;
  #ended = false;
  readonly #work: UnbrokenWork;
  /** The sizes of its last commands, including all pending ones; `#waiting` is their sum. */
  #sizes: number[] = [];
  #waiting = 0;
  /** A command not yet passed to the hub, because of the rate limit or because it waits for a turn. */
  #early: Frame | Damage | undefined;
  #prepared = false;
  #stopWaiting: (() => void) | undefined;
  #slow = false;
  /** The reason of its disconnect; "left" unless we cause it. */
  #ending: ClientEnding = "left";
  /** Whether it has sent or received anything since the last tick. */
  #stirred = true;
  #quietSince = 0;
  /** The time of the last tick at which no descriptors were waiting for a command. */
  #fdsSince: number | undefined;

  /** The process at the other end, if known. */
  readonly identity: PeerCredentials | undefined;

  /**
   * Attaches a client that has just connected; `run` serves it.
   *
   * @param shared the rate limit of all clients of its user
   */
  constructor(socket: Stream, grant: Grant, deps: ClientDeps, shared?: TokenBucket) {
    this.identity = socket.identity;
    this.#shared = shared;
    this.#deps = deps;
    this.#inbox.limit = grant.limits["max-command"];
    this.#work = new UnbrokenWork(deps.clock, CLIENT_SLICE_SECONDS);
    this.#bucket = new TokenBucket(grant.limits.rate, deps.clock.now());
    this.#connection = new Connection(socket, marksOf(grant.limits), {
      dropped: (reason, mark) => this.#dropped(reason, mark),
      relieved: () => this.#resumed(),
      failed: (error) => this.#fail(error),
    }, deps.budget);
    this.#monitor = deps.mux.attach(this, grant);
  }

  /** The name in the log: the listener and a number. */
  get name(): string {
    return this.#monitor.name;
  }

  /** Reads until the client disconnects; returns the reason when its socket is closed. */
  async run(): Promise<ClientEnding | undefined> {
    // A write may notice a disconnect before a read does, for example while reading is paused.
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
    return this.#monitor.ending;
  }

  /** Adopts a new grant. */
  adopt(grant: Grant): void {
    const { limits } = grant;
    this.#monitor.adopt(grant);
    this.#connection.adopt(marksOf(limits));
    this.#bucket.adopt(limits.rate, this.#deps.clock.now());
    this.#inbox.limit = limits["max-command"];
    this.#stopWaiting?.();
    this.#stopWaiting = undefined;
    this.#resumed();
  }

  /** Whether `tick` must be called: something may be due. */
  get needsTime(): boolean {
    const { idle, greeted, hasFds } = this.#monitor;
    if (this.#stirred || this.#ended || !idle || !greeted || hasFds) return true;
    return this.unread > 0 || this.#limits.idle > 0;
  }

  /** Advances the time to `now`, in seconds. */
  tick(now: number): void {
    try {
      this.#noteSlow();
      this.#connection.tick(now);
      this.#closeFds(now);
      this.#endIdle(now);
    } catch (error) {
      this.#fail(error);
    }
    // A client that has shut down its stream may have closed its socket since. A read does not show
    // it, but a write does; a queued write will fail by itself.
    if (!this.#ended || this.unread > 0) return;
    this.#connection.hasGone().then((gone) => {
      if (gone) this.#leave();
    }).catch((error) => this.#fail(error));
  }

  /** Queues bytes for the client. */
  send(bytes: Uint8Array): void {
    this.#stirred = true;
    this.#deps.awake();
    this.#connection.send(bytes);
  }

  /** Queues a reply, or a part of one. */
  sendReply(bytes: Uint8Array): void {
    this.#stirred = true;
    this.#deps.awake();
    this.#connection.sendReply(bytes);
    // Deferred, because the hub may be in the middle of other work.
    if (this.#waiting > 0 && this.#full) queueMicrotask(() => this.#resumed());
  }

  /** Queues messages of the event log, which are taken as fast as the client reads. */
  sendFrom(source: Source): void {
    this.#deps.awake();
    this.#connection.sendFrom(source);
  }

  /** Bytes queued that have not been passed to the kernel. */
  get unread(): number {
    return this.#connection.queued;
  }

  /** Stops passing commands to the hub until `resume`. */
  pause(): void {
    this.#paused = true;
  }

  /** Passes commands on again, after the hub has finished its current work. */
  resume(): void {
    this.#paused = false;
    if (!this.#inbox.empty || this.#ended) queueMicrotask(() => this.#deliver());
  }

  /** Disconnects the client, and logs the reason. */
  dismiss(reason: string): void {
    this.#deps.mux.dismiss(this.#monitor, reason, "kicked");
  }

  /** Closes the connection after what is queued. */
  close(reason: string): void {
    const { ending } = this.#monitor;
    if (ending === "handshake") this.#reached("handshake-timeout", `was closed: ${reason}`);
    if (ending === "kicked") this.#deps.log.info(`client ${this.name} was closed: ${reason}`);
    this.#connection.close();
    this.#room?.resolve();
  }

  get #limits(): Limits {
    return this.#monitor.grant.limits;
  }

  /** Whether the bytes of pending commands have reached their limit. */
  get #full(): boolean {
    const { pending } = this.#monitor;
    // Replies are sent in the order of the commands.
    while (this.#sizes.length > pending) this.#waiting -= this.#sizes.shift()!;
    return this.#waiting >= this.#limits["max-waiting"];
  }

  #take(chunk: Uint8Array, received?: Fds): Promise<void> | undefined {
    this.#stirred = true;
    this.#deps.awake();
    const { limitLog, fds: budget, turns } = this.#deps;
    this.#inbox.push(chunk, received && takenFrom(this.#monitor, received, limitLog, budget));
    this.#deliver();
    if (this.#connection.closing) return undefined;
    if (this.#farAhead) {
      this.#room = Promise.withResolvers();
      return this.#room.promise;
    }
    if (chunk.length < TURN_BYTES && !this.#work.takeExcess()) return undefined;
    this.#work.clear();
    return turns.next();
  }

  get #farAhead(): boolean {
    return this.#inbox.bytes >= this.#limits["read-ahead"] ||
      this.#inbox.fdMessages >= FD_MESSAGES_LIMIT;
  }

  /** Passes commands to the hub, for one slice of time. */
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
    if (this.#ended && this.#inbox.empty && this.#monitor.idle && this.#monitor.greeted) {
      this.#leave();
    }
  }

  readonly #step = (): boolean =>
    !this.#paused && !this.#connection.behind && !this.#full && this.#next() && !this.#awaitsTurn;

  #awaitTurn(): void {
    if (this.#awaitsTurn) return;
    this.#awaitsTurn = true;
    this.#deps.turns.add(() => {
      this.#awaitsTurn = false;
      this.#deliver();
    });
  }

  /** Passes one command to the hub, or splits more bytes; returns `false` if there is nothing to do. */
  #next(): boolean {
    const input = this.#early ?? this.#inbox.next(this.#monitor.grammar);
    if (input === undefined) {
      return this.#inbox.split((fds) => this.#deps.mux.fdsReceived(this.#monitor, fds));
    }
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
    const most = `${this.#limits[limit]} commands a second`;
    this.#reached(limit, `${whose} more than ${most}: they are delayed`);
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

  /** Counts and logs a limit that was reached; `did` completes the log line after the client's name. */
  #reached(limit: Reached, did: string): void {
    this.#deps.limitLog.reached(limit, this.#monitor.grant.name, `client ${this.name} ${did}`);
  }

  /** Logs that a client is behind; called once a tick, so that a short burst is not logged. */
  #noteSlow(): void {
    if (this.#connection.behind && !this.#slow) {
      this.#reached(
        "slow-unread",
        `leaves ${this.unread} bytes unread: its commands are not read until it catches up`,
      );
    }
    this.#slow = this.#connection.behind;
  }

  /**
   * Closes descriptors that no command has used for too long: one of them may keep the client's
   * connection open after the client has exited.
   */
  #closeFds(now: number): void {
    const limit = this.#limits["fds-time"];
    // While commands are pending, the one that takes the descriptors may be among them.
    const waits = this.#monitor.hasFds && this.#monitor.idle && this.#inbox.empty;
    const since = this.#fdsSince = waits ? this.#fdsSince ?? now : undefined;
    if (since === undefined || now - since < limit) return;
    this.#monitor.takeFds()?.close();
    const did = `passed file descriptors that no command used for ${limit} s: they were closed`;
    this.#reached("fds-time", did);
  }

  /** Disconnects a client that has sent and received nothing for too long. */
  #endIdle(now: number): void {
    const { idle } = this.#limits;
    if (this.#stirred || !this.#monitor.idle || !this.#monitor.greeted) this.#quietSince = now;
    this.#stirred = false;
    if (idle === 0 || now - this.#quietSince < idle || this.#connection.closing) return;
    this.#reached("idle", `was closed: it was idle for ${idle} s`);
    this.#deps.mux.dismiss(this.#monitor, "it was idle", "idle");
  }

  #resumed(): void {
    this.#stirred = true;
    if (!this.#inbox.empty) this.#deliver();
  }

  /**
   * Handles the end of the client's stream as QEMU does. QEMU answers the commands sent before it,
   * one by one; with `oob` enabled, it drops them all (measured).
   */
  async #finish(): Promise<void> {
    if (this.#monitor.takesOob || await this.#connection.hasGone()) return this.#leave();
    this.#ended = true;
    this.#deliver();
  }

  #leave(): void {
    this.#deps.mux.detached(this.#monitor);
    this.#connection.close();
  }

  /** Disconnects the client after an internal error. */
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
    // The hub is notified later, because it may be in the middle of sending to other clients.
    this.#ending = "unread";
  }
}
