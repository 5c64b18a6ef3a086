/**
 * A connection to QEMU, from the first attempt to connect until it is closed.
 *
 * @module
 */

import { type Address, addressText } from "../policy/address.ts";
import { MessageSplitter } from "../wire/message_splitter.ts";
import type { Fds, Identity, QemuEnding, QemuPeer } from "../wire/peer.ts";
import { withTimeout } from "../platform/clock.ts";
import { DialError, dialOnce, type DialProblem } from "../platform/dial.ts";
import { Connection, type Marks } from "../platform/connection.ts";
import type { Stream } from "../platform/stream.ts";
import type { Libc } from "../platform/libc.ts";
import { Failure } from "../platform/failure.ts";
import type { Deps } from "./deps.ts";
import type { Log } from "../platform/log.ts";
import { directoryOf, noFamily, type UnixAddress } from "../platform/socket_file.ts";
import { QEMU_SLICE_SECONDS, UnbrokenWork } from "../platform/turns.ts";

/** The marks of QEMU's connection, which has no limits: `Upstream` limits the commands in flight. */
const UPSTREAM_MARKS: Marks = { soft: Infinity, hard: Infinity, patience: Infinity };

const FIRST_PAUSE_MS = 20;
const LONGEST_PAUSE_MS = 1000;

/** The pauses between attempts to connect; each is twice the one before, up to a second. */
export class Pauses {
  #next = FIRST_PAUSE_MS;
  #wake: (() => void) | undefined;

  /**
   * Waits for the next pause, or until `abandoned` is aborted, or `wake` is called.
   *
   * @param restMs the pause after the longest one, if something wakes it
   */
  async take(abandoned: AbortSignal, restMs: number = LONGEST_PAUSE_MS): Promise<void> {
    if (abandoned.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const wake = this.#wake = (): void => resolve();
    const pause = this.#next === LONGEST_PAUSE_MS ? restMs : this.#next;
    this.#next = Math.min(2 * this.#next, LONGEST_PAUSE_MS);
    abandoned.addEventListener("abort", wake);
    await withTimeout(pause, promise, undefined);
    abandoned.removeEventListener("abort", wake);
    this.#wake = undefined;
  }

  /** Makes the next pause the shortest again. */
  reset(): void {
    this.#next = FIRST_PAUSE_MS;
  }

  /** Ends the present pause, and makes the next one the shortest. */
  wake(): void {
    this.reset();
    this.#wake?.();
  }
}

/** The parts of a link that connecting uses. */
export interface DialDeps {
  /** Returns the address; it may change while QEMU is awaited. */
  address(): Address;
  /** The pauses between attempts. */
  readonly pauses: Pauses;
  /** Receives the reason why QEMU cannot be reached, when it changes. */
  readonly log: Log;
  /** Ends the waiting. */
  readonly stop: AbortSignal;
  /** Whether it waits whatever the reason is, and is woken when QEMU's socket appears. */
  readonly many?: boolean;
  /** Makes a connection that passes descriptors. */
  readonly libc?: Libc | undefined;
  /** Called before each attempt. */
  attempts?(address: Address): void;
}

/** The time between two attempts, by the reason, if QEMU's socket is watched. */
const REST_MS: Readonly<Record<DialProblem, number | undefined>> = {
  "no directory": 60_000,
  "no socket": 60_000,
  // A socket file does not change when somebody begins to listen on it.
  "refused": 5000,
  "denied": 5000,
  "no family": 60_000,
  "busy": undefined,
  "other": undefined,
};

/** Returns why QEMU cannot be reached now, also if waiting may not help. */
function patiently(address: Address, error: DialError): string {
  try {
    return absence(address, error);
  } catch (failure) {
    if (failure instanceof Failure) return failure.message.replace(`${addressText(address)}: `, "");
    throw failure;
  }
}

/**
 * Connects to QEMU, and retries until it succeeds.
 *
 * @returns `undefined` if it was abandoned
 * @throws Failure if retries cannot help
 */
export async function dial(deps: DialDeps): Promise<Stream | undefined> {
  const { address, pauses, log, stop, many, libc } = deps;
  let logged = "";
  while (!stop.aborted) {
    const at = address();
    const refused = (reason: string): void =>
      log.warn(`${addressText(at)}: QEMU does not get the fds that clients pass: ${reason}`);
    let problem: DialProblem = "other";
    deps.attempts?.(at);
    try {
      return await dialOnce(at, libc && { libc, refused });
    } catch (error) {
      if (!(error instanceof DialError)) throw error;
      ({ problem } = error);
      const line = `${addressText(at)}: ${
        many ? patiently(at, error) : absence(at, error)
      }; waiting`;
      if (line !== logged) log.info(line);
      logged = line;
    }
    await pauses.take(stop, many && at.transport === "unix" ? REST_MS[problem] : undefined);
  }
  return undefined;
}

/** Returns why QEMU cannot be reached now; @throws Failure if retries cannot help */
function absence(address: Address, { problem, message }: DialError): string {
  switch (problem) {
    case "no directory":
      return `the directory ${directoryOf((address as UnixAddress).path)} does not exist yet`;
    case "no socket":
      return "QEMU's socket does not exist yet";
    case "refused":
      return "nothing listens there yet";
    case "busy":
      return "QEMU's monitor is busy with other clients; it serves one at a time";
    case "no family":
      throw noFamily(address);
    case "denied":
      throw new Failure(
        77,
        `${addressText(address)}: no permission to connect; run qmpmux as a user who has it`,
      );
    case "other":
      return message;
  }
}

/** The parts of a machine that a connection to QEMU uses. */
export interface QemuDeps extends Pick<Deps, "mux" | "errors" | "turns" | "clock"> {
  /** The limit of a message in bytes. */
  readonly messageLimit: number;
}

/** The end of a connection that QEMU itself has closed. */
const CLOSED: QemuEnding = { kind: "closed", text: "QEMU closed its monitor" };

/** An open connection to QEMU. */
export class Qemu implements QemuPeer {
  readonly #deps: QemuDeps;
  readonly #connection: Connection;
  readonly #splitter: MessageSplitter;
  /** The process that made QEMU's socket listen, if known. */
  readonly identity: Identity | undefined;
  #ending: QemuEnding = CLOSED;
  /** Whether any bytes have been received. */
  heard = false;
  readonly #work: UnbrokenWork;

  /** Begins a session on an open connection; `run` then reads from it. */
  constructor(socket: Stream, deps: QemuDeps) {
    this.#deps = deps;
    this.#work = new UnbrokenWork(deps.clock, QEMU_SLICE_SECONDS);
    this.#splitter = new MessageSplitter(deps.messageLimit);
    this.identity = socket.identity;
    this.#connection = new Connection(socket, UPSTREAM_MARKS, {
      dropped: (text) => this.#ending = { kind: "closed", text },
      relieved: () => {},
      failed: (error) => this.#fail(error),
    });
    const [high, low] = crypto.getRandomValues(new Uint32Array(2));
    // 53 bits, so that it is an exact number: QEMU returns it digit by digit.
    deps.mux.qemuArrived(this, String((high! % 2 ** 21) * 2 ** 32 + low!));
  }

  /** Reads until the connection is closed; resolves with the reason. */
  async run(): Promise<QemuEnding> {
    await this.#connection.read((chunk) => this.#take(chunk));
    this.#connection.end();
    try {
      this.#deps.mux.qemuLeft(this.#ending.text, this.#ending === CLOSED);
    } catch (error) {
      this.#deps.errors.report("teardown", error);
    }
    return this.#ending;
  }

  /** Bytes that have not been written yet. */
  get backlog(): number {
    return this.#connection.backlog;
  }

  /** Bytes that QEMU has not read, as far as is known. */
  get unread(): number {
    return this.#connection.unread;
  }

  /** Queues bytes for QEMU, and the descriptors to pass with them. */
  send(bytes: Uint8Array, fds?: Fds): void {
    this.#connection.send(bytes, fds);
  }

  /** Closes the connection; `run` resolves with the reason. */
  close(ending: QemuEnding): void {
    this.#ending = ending;
    this.#connection.end();
  }

  /** Passes the messages of a chunk to the hub: one slice now, the others in later turns. */
  #take(chunk: Uint8Array): Promise<void> | undefined {
    this.heard = true;
    this.#splitter.load(chunk);
    if (this.#work.run(this.#next)) return this.#laterSlices();
    return this.#work.takeExcess() ? this.#deps.turns.next() : undefined;
  }

  async #laterSlices(): Promise<void> {
    do await this.#deps.turns.next(); while (this.#work.run(this.#next));
    this.#work.clear();
  }

  /** Passes one message to the hub; returns whether there was one. */
  readonly #next = (): boolean => {
    if (this.#connection.closing) return false;
    const input = this.#splitter.next();
    if (input === undefined) return false;
    this.#deps.mux.answered(input);
    return true;
  };

  #fail(error: unknown): void {
    this.#deps.errors.report("qemu", error);
    this.#ending = { kind: "error", text: "an internal error occurred" };
    this.#connection.end();
  }
}
