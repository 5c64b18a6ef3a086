/**
 * Turns of the event loop.
 *
 * Work for one client is cut into slices. A slice that leaves work over asks for
 * another turn, behind the tasks that wait already; between two turns the event
 * loop serves every socket that is ready.
 *
 * @module
 */

import type { Clock } from "./clock.ts";

/** The seconds of a slice of one client's work; the input in progress is finished. */
export const CLIENT_SLICE_SECONDS = 0.000125;

/** The seconds of a slice of QEMU's output, which is for all clients. */
export const QEMU_SLICE_SECONDS = 0.004;

/** The seconds of work without a break after which the next chunk is read in a later turn. */
const READING_SECONDS = 0.001;

/**
 * The work done for one connection without a pause.
 *
 * A chunk that has arrived is read without a turn of the event loop: a hundred chunks would
 * follow one another without a break.
 */
export class UnbrokenWork {
  readonly #clock: Clock;
  readonly #slice: number;
  #seconds = 0;
  #ended = -Infinity;

  /**
   * Creates it with no work done.
   *
   * @param slice the seconds of a slice
   */
  constructor(clock: Clock, slice: number) {
    this.#clock = clock;
    this.#slice = slice;
  }

  /** Repeats a step until it returns `false`, for one slice; returns whether work is left over. */
  run(step: () => boolean): boolean {
    const began = this.#clock.now();
    try {
      while (step()) if (this.#clock.now() >= began + this.#slice) return true;
      return false;
    } finally {
      this.add(began, this.#clock.now());
    }
  }

  /** Counts a piece of work, by the times at which it began and ended. */
  add(began: number, ended: number): void {
    // A pause as long as the work gives others enough time.
    if (began - this.#ended >= this.#seconds) this.#seconds = 0;
    this.#seconds += ended - began;
    this.#ended = ended;
  }

  /** Returns whether others must be served before more is read; the count restarts then. */
  takeExcess(): boolean {
    if (this.#seconds < READING_SECONDS) return false;
    this.#seconds = 0;
    return true;
  }

  /** Restarts the count, after a turn. */
  clear(): void {
    this.#seconds = 0;
  }
}

/** Tasks that each wait for a turn of their own. */
export class Turns {
  #waiting: (() => void)[] = [];
  #scheduled = false;

  /** Runs a task in a later turn of the event loop, behind those that wait already. */
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
    // With `setImmediate`, or a message port, Deno 2.9 leaves sockets alone for tens of
    // milliseconds (measured); a timer lets them be served, and leaves others time to.
    setTimeout(this.#run, 0);
  }

  readonly #run = (): void => {
    this.#scheduled = false;
    const task = this.#waiting.shift();
    // One task a turn: the next is scheduled first, in case this one throws.
    this.#schedule();
    task?.();
  };
}

/** The turns of this process. */
export const TURNS: Turns = new Turns();
