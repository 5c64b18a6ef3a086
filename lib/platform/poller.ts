/**
 * The thread that waits until sockets made by FFI are ready to be read or written.
 *
 * FFI is opened only if a listener identifies its clients or receives descriptors, or if listening
 * sockets are kept while qmpmux restarts.
 * If FFI is not available, qmpmux continues without these features and logs that.
 *
 * @module
 */

import { type Libc, loadLibc } from "./libc.ts";
import { FfiError, LAYOUTS } from "./libc_symbols.ts";
import type { Log } from "./log.ts";

const { EPOLL_EVENT_BYTES: EVENT_BYTES } = LAYOUTS[Deno.build.arch];

const EPOLLIN = 0x1;
const EPOLLOUT = 0x4;
const EPOLLERR = 0x8;
const EPOLLHUP = 0x10;
const EPOLLRDHUP = 0x2000;
const EPOLLET = 0x80000000;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLL_CLOEXEC = 0o2000000;
const EFD_CLOEXEC = 0o2000000;
const EFD_NONBLOCK = 0o4000;
const ENOSPC = 28;

const EVENT_DATA = EVENT_BYTES - 8;
/** The limit of ready descriptors that a call returns. */
const READY_LIMIT = 256;

/** A function that is called when a descriptor is ready; a failed one counts as both readable and writable. */
export type Ready = (readable: boolean, writable: boolean) => void;

/** A poller that notifies the owners of descriptors when these become ready. */
export class Poller {
  /** The calls. */
  readonly libc: Libc;
  readonly #owners = new Map<number, Ready>();
  #queue = -1;
  /** A descriptor that wakes the waiting thread. */
  #bell = -1;
  #running: Promise<void> | undefined;
  /** The callbacks for the next turn of the event loop. */
  #turns: (() => void)[] = [];

  /** Creates a poller that watches nothing. */
  constructor(libc: Libc) {
    this.libc = libc;
  }

  /** Calls `told` whenever a descriptor becomes ready. */
  watch(descriptor: number, told: Ready): void {
    this.#running ??= this.#run();
    this.#add(descriptor);
    this.#owners.set(descriptor, told);
  }

  /** Stops watching a descriptor; call this before closing the descriptor. */
  unwatch(descriptor: number): void {
    this.libc.c.epoll_ctl(this.#queue, EPOLL_CTL_DEL, descriptor, null);
    this.#owners.delete(descriptor);
    // Without descriptors the waiting thread ends.
    if (this.#owners.size === 0) this.#ring();
  }

  /** Waits for a turn of the event loop. */
  async turn(): Promise<void> {
    // The thread has ended because no socket is open: no other client is waiting.
    if (this.#running === undefined) return;
    const turn = Promise.withResolvers<void>();
    this.#turns.push(turn.resolve);
    this.#ring();
    await turn.promise;
  }

  /** Resolves when nothing is watched and no thread waits. */
  async idle(): Promise<void> {
    while (this.#running) await this.#running;
  }

  async #run(): Promise<void> {
    const libc = this.libc;
    this.#queue = libc.checked(libc.c.epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    this.#bell = libc.checked(libc.c.eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), "eventfd");
    this.#add(this.#bell);
    const events = new DataView(new ArrayBuffer(EVENT_BYTES * READY_LIMIT));
    // The caller adds its descriptor before the first wait.
    await Promise.resolve();
    while (this.#owners.size > 0) {
      // The other thread's errno cannot be read; the only possible error is an interruption.
      const count = await libc.c.epoll_wait(this.#queue, events, READY_LIMIT, -1);
      for (let at = 0; at < count * EVENT_BYTES; at += EVENT_BYTES) this.#tell(events, at);
      for (const resolve of this.#turns.splice(0)) resolve();
    }
    libc.close(this.#bell);
    libc.close(this.#queue);
    this.#running = undefined;
  }

  #tell(buffer: DataView, at: number): void {
    const events = buffer.getUint32(at, true);
    const failed = (events & (EPOLLERR | EPOLLHUP)) !== 0;
    const readable = failed || (events & (EPOLLIN | EPOLLRDHUP)) !== 0;
    const told = this.#owners.get(buffer.getInt32(at + EVENT_DATA, true));
    told?.(readable, failed || (events & EPOLLOUT) !== 0);
  }

  #ring(): void {
    this.libc.c.write(this.#bell, new BigUint64Array([1n]), 8n);
  }

  #add(descriptor: number): void {
    const event = new DataView(new ArrayBuffer(EVENT_BYTES));
    event.setUint32(0, (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET) >>> 0, true);
    event.setInt32(EVENT_DATA, descriptor, true);
    const result = this.libc.c.epoll_ctl(this.#queue, EPOLL_CTL_ADD, descriptor, event);
    // Reaching the user's limit (fs.epoll.max_user_watches) counts as exhaustion too.
    if (result < 0 && this.libc.errno === ENOSPC) {
      throw new Error(`Too many open files are watched (os error ${ENOSPC})`);
    }
    this.libc.checked(result, "epoll_ctl");
  }
}

/** Opens FFI; returns `undefined` and logs the reason if it is not available. */
export function openPoller(log: Log): Poller | undefined {
  try {
    return new Poller(loadLibc());
  } catch (error) {
    if (!(error instanceof FfiError)) throw error;
    log.warn(`clients cannot be identified and descriptors cannot be passed: ${error.message}`);
    return undefined;
  }
}
