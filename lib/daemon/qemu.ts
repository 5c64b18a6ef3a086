/**
 * The way to QEMU: dials until it is there, reads until it goes.
 *
 * @module
 */

import type { Mux } from "../hub/mux.ts";
import { type Address, addressText } from "../policy/address.ts";
import { MessageSplitter } from "../wire/message_splitter.ts";
import type { Fds, Identity, QemuEnding, QemuPeer } from "../wire/peer.ts";
import { STEADY } from "../platform/clock.ts";
import { Connection, type Marks, type Stream } from "../platform/connection.ts";
import type { Libc } from "../platform/libc.ts";
import { Failure } from "../platform/failure.ts";
import type { InternalErrors } from "./internal_errors.ts";
import type { Log } from "../platform/log.ts";
import { directoryOf, isNoFamily, noFamily } from "../platform/socket_file.ts";
import { QEMU_SLICE_SECONDS, type Turns, UnbrokenWork } from "../platform/turns.ts";
import { connectWithFds, FdSocket } from "../platform/unix_socket.ts";

/** What is written to QEMU is bounded by the commands in flight; see `Upstream`. */
const UPSTREAM_MARKS: Marks = { soft: Infinity, hard: Infinity, patience: Infinity };

const FIRST_PAUSE_MS = 20;
const LONGEST_PAUSE_MS = 1000;

/** The pauses between tries, each twice the one before, up to a second. */
export class Pauses {
  #next = FIRST_PAUSE_MS;

  /** Waits for the next pause, or until `abandoned`. */
  async take(abandoned: AbortSignal): Promise<void> {
    if (abandoned.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, this.#next);
    this.#next = Math.min(this.#next * 2, LONGEST_PAUSE_MS);
    const wake = () => resolve();
    abandoned.addEventListener("abort", wake);
    await promise;
    abandoned.removeEventListener("abort", wake);
    clearTimeout(timer);
  }

  /** It has worked: the next pause is a short one again. */
  reset(): void {
    this.#next = FIRST_PAUSE_MS;
  }
}

/**
 * Connects to QEMU, however long that takes.
 *
 * @param abandoned ends the waiting
 * @param libc makes a connection that takes descriptors along
 * @returns `undefined` where it was abandoned
 * @throws Failure where the address can never be QEMU's
 */
export async function dial(
  address: Address,
  pauses: Pauses,
  log: Log,
  abandoned: AbortSignal,
  libc?: Libc,
): Promise<Stream | undefined> {
  let told = "";
  while (!abandoned.aborted) {
    try {
      if (address.transport === "tcp") return await connectTcp(address);
      const connect = (): Promise<Deno.Conn> => Deno.connect(address);
      if (libc === undefined) return await connect();
      const socket = await connectWithFds(libc, connect, (reason) => {
        log.warn(`${addressText(address)}: QEMU does not get what a client passed: ${reason}`);
      });
      if (!(socket instanceof FdSocket)) {
        log.warn(
          `${addressText(address)}: no descriptors are passed: which is ours cannot be told`,
        );
      }
      return socket;
    } catch (error) {
      const why = absence(address, error);
      if (why !== told) log.info(`${addressText(address)}: ${why}; waiting`);
      told = why;
    }
    await pauses.take(abandoned);
  }
  return undefined;
}

async function connectTcp({ hostname, port }: Address & { transport: "tcp" }): Promise<Deno.Conn> {
  const socket = await Deno.connect({ hostname, port });
  socket.setNoDelay(true);
  return socket;
}

/** Why QEMU cannot be reached now; @throws what no waiting helps against */
function absence(address: Address, error: unknown): string {
  if (error instanceof Deno.errors.NotFound) {
    const directory = address.transport === "unix" ? directoryOf(address.path) : "";
    return directory === "" || exists(directory)
      ? "QEMU is not there yet"
      : `the directory ${directory} does not exist yet`;
  }
  if (error instanceof Deno.errors.ConnectionRefused) return "nobody listens there yet";
  if (error instanceof Deno.errors.PermissionDenied) {
    throw new Failure(
      77,
      `${addressText(address)}: no permission to connect; run as a user who has it`,
    );
  }
  if (error instanceof Deno.errors.NotCapable) throw error;
  if (!(error instanceof Error)) throw error;
  if (isNoFamily(error)) throw noFamily(address);
  // A full backlog: QEMU's socket has room for the one client it serves and few that wait.
  if (/os error 11\b|temporarily unavailable/i.test(error.message)) {
    return "QEMU's monitor is busy with other clients; it serves one at a time";
  }
  return error.message;
}

/**
 * Looks at the place before it is dialled.
 *
 * @throws Failure where the path is not and cannot become QEMU's socket
 */
export function checkPlace(address: Address): void {
  if (address.transport !== "unix" || address.path.startsWith("\0")) return;
  const text = addressText(address);
  const directory = directoryOf(address.path);
  try {
    const place = Deno.statSync(directory);
    if (!place.isDirectory) {
      throw new Failure(69, `${text}: ${directory} is no directory; correct --qemu`);
    }
    if (!Deno.statSync(address.path).isSocket) {
      throw new Failure(
        69,
        `${text} is no socket; correct --qemu, or start QEMU with -qmp ${text},server=on,wait=off`,
      );
    }
  } catch (error) {
    if (error instanceof Deno.errors.PermissionDenied) {
      throw new Failure(77, `${text}: no permission to look there; run as a user who has it`);
    }
    if (error instanceof Deno.errors.NotADirectory) {
      throw new Failure(69, `${text}: ${directory} is no directory; correct --qemu`);
    }
    if (error instanceof Deno.errors.FilesystemLoop) {
      throw new Failure(69, `${text}: its symbolic links lead nowhere; correct --qemu`);
    }
    // It can still come, and its directory too: the service that runs QEMU may make that.
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch (error) {
    const isMissing = error instanceof Deno.errors.NotFound ||
      error instanceof Deno.errors.NotADirectory;
    if (isMissing) return false;
    throw error;
  }
}

/** What a connection to QEMU works with. */
export interface QemuDeps {
  /** Talks to it. */
  readonly mux: Mux;
  /** Are told of errors of ours. */
  readonly errors: InternalErrors;
  /** Runs the slices that have to wait. */
  readonly turns: Turns;
  /** Bytes that a message may have. */
  readonly messageLimit: number;
}

/** One connection to QEMU, from its greeting to its end. */
export class Qemu implements QemuPeer {
  readonly #mux: Mux;
  readonly #turns: Turns;
  readonly #errors: InternalErrors;
  readonly #connection: Connection;
  readonly #splitter: MessageSplitter;
  /** QEMU's process, if its socket tells it: that of whoever has made the socket listen. */
  readonly identity: Identity | undefined;
  #ending: QemuEnding = { kind: "closed", text: "QEMU closed its monitor" };
  #heard = false;
  readonly #work = new UnbrokenWork();

  /** Begins a session on a connection that is up; `run` hears it out. */
  constructor(socket: Stream, { mux, errors, turns, messageLimit }: QemuDeps) {
    this.#mux = mux;
    this.#turns = turns;
    this.#errors = errors;
    this.#splitter = new MessageSplitter(messageLimit);
    this.identity = socket.identity;
    this.#connection = new Connection(socket, UPSTREAM_MARKS, {
      dropped: (text) => this.#ending = { kind: "closed", text },
      relieved: () => {},
      failed: (error) => this.#fail(error),
    });
    const [high, low] = crypto.getRandomValues(new Uint32Array(2));
    // 53 bits: QEMU gives it back digit for digit.
    mux.qemuArrived(this, String((high! % 2 ** 21) * 2 ** 32 + low!));
  }

  /** Has QEMU said anything at all? */
  get heard(): boolean {
    return this.#heard;
  }

  /** Hears QEMU out; resolves with the reason when the connection is gone. */
  async run(): Promise<QemuEnding> {
    await this.#connection.read((chunk) => this.#take(chunk));
    this.#connection.end();
    try {
      this.#mux.qemuLeft(this.#ending.text);
    } catch (error) {
      this.#errors.report("teardown", error);
    }
    return this.#ending;
  }

  /** Bytes that the kernel has not been handed yet. */
  get backlog(): number {
    return this.#connection.backlog;
  }

  /** Bytes that QEMU has not read, as far as can be told. */
  get unread(): number {
    return this.#connection.unread;
  }

  /** Queues bytes for QEMU, and what goes with them. */
  send(bytes: Uint8Array, fds?: Fds): void {
    this.#connection.send(bytes, fds);
  }

  /** Closes the connection; `run` resolves with the reason. */
  close(ending: QemuEnding): void {
    this.#ending = ending;
    this.#connection.end();
  }

  /** Hands over a chunk: the first slice at once, what is left over in later turns. */
  #take(chunk: Uint8Array): Promise<void> | undefined {
    this.#heard = true;
    const began = STEADY.now();
    this.#splitter.load(chunk);
    if (!this.#slice(began)) return this.#laterSlices();
    this.#work.add(began, STEADY.now());
    return this.#work.takeExcess() ? this.#turns.next() : undefined;
  }

  async #laterSlices(): Promise<void> {
    this.#work.clear();
    do await this.#turns.next(); while (!this.#slice(STEADY.now()));
  }

  /** Hands over messages for a slice of time; returns whether that were all of the chunk. */
  #slice(began: number): boolean {
    for (;;) {
      if (this.#connection.closing) return true;
      const input = this.#splitter.next();
      if (input === undefined) return true;
      this.#mux.answered(input);
      if (STEADY.now() >= began + QEMU_SLICE_SECONDS) return false;
    }
  }

  #fail(error: unknown): void {
    this.#errors.report("qemu", error);
    this.#ending = { kind: "error", text: "an internal error came up" };
    this.#connection.end();
  }
}
