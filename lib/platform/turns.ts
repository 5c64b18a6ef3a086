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
export const CLIENT_SLICE_SECONDS = 0.000125;

/** A slice of what QEMU says: it is for all clients. */
export const QEMU_SLICE_SECONDS = 0.004;

/** After so many seconds of work without a break the next chunk of a connection is read in a later turn. */
const READING_SECONDS = 0.001;

/**
 * The work for one connection since the event loop has last had a break from it.
 *
 * Where the next chunk is there already, reading it takes no turn of the event loop: a
 * hundred chunks would follow one another without a break.
 */
export class UnbrokenWork {
  #seconds = 0;
  #ended = -Infinity;

  /** Counts a piece of work, by the seconds of a steady clock at which it began and ended. */
  add(began: number, ended: number): void {
    // In a break as long as the work, others have been served.
    if (began - this.#ended >= this.#seconds) this.#seconds = 0;
    this.#seconds += ended - began;
    this.#ended = ended;
  }

  /** Whether others have to be served before more is read; the count begins anew then. */
  takeExcess(): boolean {
    if (this.#seconds < READING_SECONDS) return false;
    this.#seconds = 0;
    return true;
  }

  /** A turn has been waited for. */
  clear(): void {
    this.#seconds = 0;
  }
}

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
