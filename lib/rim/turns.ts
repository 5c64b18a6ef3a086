/**
 * Turns of the event loop.
 *
 * Work for one client is cut into slices. A slice that leaves something over asks
 * for another turn, behind all others that wait for one; between two turns the
 * event loop serves every socket that is ready.
 *
 * @module
 */

/** A slice takes this many seconds, and the input it is in the middle of. */
export const SLICE_SECONDS = 0.00025;

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
    setImmediate(this.#run);
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
