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

/** Calls back once after a time, if the process still runs then. */
export function runLater(milliseconds: number, run: () => void): void {
  Deno.unrefTimer(setTimeout(run, milliseconds));
}

/** Waits for a promise, but no longer than this; returns `late` after that. */
export async function withTimeout<T, L>(
  milliseconds: number,
  promise: Promise<T>,
  late: L,
): Promise<T | L> {
  const timeout = Promise.withResolvers<L>();
  const timer = setTimeout(() => timeout.resolve(late), milliseconds);
  try {
    return await Promise.race([promise, timeout.promise]);
  } finally {
    clearTimeout(timer);
  }
}
