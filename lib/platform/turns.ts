/**
 * Turns of the event loop.
 *
 * Work for one client is divided into slices. After a slice, the remaining work waits
 * for a later turn, after the tasks that were queued before. Between two turns the
 * event loop serves every socket that is ready.
 *
 * @module
 */

import type { Clock } from "./clock.ts";

/** The length of a slice of one client's work, in seconds; a command that has begun is finished. */
export const CLIENT_SLICE_SECONDS = 0.000125;

/** The length of a slice of work on QEMU's output, in seconds; it is longer because it is for all clients. */
export const QEMU_SLICE_SECONDS = 0.004;

/** The seconds of uninterrupted work after which the next chunk is read in a later turn. */
const READING_SECONDS = 0.001;

/**
 * The uninterrupted work for one connection.
 *
 * Deno reads a chunk that has arrived without a turn of the event loop. Without a limit, a
 * hundred chunks could follow one another while other sockets wait.
 */
export class UnbrokenWork {
  readonly #clock: Clock;
  readonly #slice: number;
  #seconds = 0;
  #ended = -Infinity;

  /**
   * Creates a count of no work.
   *
   * @param slice the length of a slice in seconds
   */
  constructor(clock: Clock, slice: number) {
    this.#clock = clock;
    this.#slice = slice;
  }

  /** Repeats a step until it returns `false`, or for one slice; returns whether work remains. */
  run(step: () => boolean): boolean {
    const began = this.#clock.now();
    try {
      while (step()) if (this.#clock.now() >= began + this.#slice) return true;
      return false;
    } finally {
      this.add(began, this.#clock.now());
    }
  }

  /** Adds a piece of work, by the times at which it began and ended. */
  add(began: number, ended: number): void {
    // After a pause as long as the work, the others have had enough time.
    if (began - this.#ended >= this.#seconds) this.#seconds = 0;
    this.#seconds += ended - began;
    this.#ended = ended;
  }

  /** Returns whether other clients must be served before more is read; if so, restarts the count. */
  takeExcess(): boolean {
    if (this.#seconds < READING_SECONDS) return false;
    this.#seconds = 0;
    return true;
  }

  /** Restarts the count; call it after a turn. */
  clear(): void {
    this.#seconds = 0;
  }
}

/** A queue of tasks; each runs in a turn of its own. */
export class Turns {
  #waiting: (() => void)[] = [];
  #scheduled = false;

  /** Runs a task in a later turn of the event loop, after the tasks queued before. */
  add(task: () => void): void {
    this.#waiting.push(task);
    this.#schedule();
  }

  /** Resolves in a later turn of the event loop. */
  next(): Promise<void> {
    return new Promise((resolve) => this.add(resolve));
  }

  #schedule(): void {
    if (this.#scheduled || this.#waiting.length === 0) return;
    this.#scheduled = true;
    // With `setImmediate`, or a message port, Deno 2.9 serves no sockets for tens of
    // milliseconds (measured). With a timer it serves them between two turns.
    setTimeout(this.#run, 0);
  }

  readonly #run = (): void => {
    this.#scheduled = false;
    const task = this.#waiting.shift();
    // One task runs per turn. The next is scheduled first, in case this one throws.
    this.#schedule();
    task?.();
  };
}

/** The turns of this process. */
export const TURNS: Turns = new Turns();
