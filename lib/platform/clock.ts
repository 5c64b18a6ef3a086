/**
 * Time, as the rim has it; tests have one of their own.
 *
 * @module
 */

/** A steady clock. */
export interface Clock {
  /** Seconds since some moment. */
  now(): number;
  /** Calls back once, in so many seconds; what it gives calls that off. */
  after(seconds: number, run: () => void): () => void;
}

/** The machine's. */
export const STEADY: Clock = {
  now: () => performance.now() / 1000,
  after(seconds, run): () => void {
    const timer = setTimeout(run, seconds * 1000);
    return () => clearTimeout(timer);
  },
};

/**
 * The seconds for which we have run, from tick to tick.
 *
 * While the process was stopped, or the machine, nothing was heard of anybody, so
 * nobody was late: a longer gap counts as if the next tick had come soon.
 */
export class RunningTime {
  readonly #longest: number;
  #seconds = 0;
  #last: number;

  /**
   * None has passed.
   *
   * @param longest as many seconds count at most from one tick to the next
   * @param now seconds of a steady clock
   */
  constructor(longest: number, now: number) {
    this.#longest = longest;
    this.#last = now;
  }

  /** How many there are at this tick. */
  tick(now: number): number {
    this.#seconds = this.at(now);
    this.#last = now;
    return this.#seconds;
  }

  /** How many there are at a moment after the last tick. */
  at(now: number): number {
    return this.#seconds + Math.min(now - this.#last, this.#longest);
  }
}
