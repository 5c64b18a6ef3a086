/**
 * Turns of the event loop.
 *
 * Work for one client is cut into slices. A slice that leaves something over asks
 * for another turn, behind all others that wait for one; between two turns the
 * event loop serves every socket that is ready.
 *
 * @module
 */

/** A slice of a client's work takes this many seconds, and the input it is in the middle of. */
export const CLIENT_SLICE_SECONDS = 0.00025;

/** A slice of what QEMU says: it is for all clients. */
export const QEMU_SLICE_SECONDS = 0.004;

/**
 * After so many seconds of work for one connection its next chunk is read in a later turn.
 *
 * Where the next one is there already, reading it takes no turn of the event loop: a hundred
 * chunks would follow one another without a break.
 */
export const READING_SECONDS = 0.001;

/** Tasks that wait for a turn of their own. */
export class Turns {
  #waiting: (() => void)[] = [];
  #scheduled = false;

  /** Runs a task in a later turn of the event loop, behind those that wait already. */
  add(task: () => void): void {
    this.#waiting.push(task);
    this.#schedule();
  }

  /** Resolves in a later turn of the event loop, as a task would run. */
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
