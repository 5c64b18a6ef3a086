/**
 * Time: the clock of the system, running time, and timeouts.
 *
 * @module
 */

/** A clock; tests have their own. */
export interface Clock {
  /** Returns the seconds since some moment; they never jump. */
  now(): number;
  /** Returns the seconds since 1970. */
  timeOfDay(): number;
  /** Calls back once after a time in seconds; returns a function that cancels it. */
  after(seconds: number, run: () => void): () => void;
}

/** The system's clock. */
export const CLOCK: Clock = {
  now: () => performance.now() / 1000,
  timeOfDay: () => Date.now() / 1000,
  after(seconds, run): () => void {
    const timer = setTimeout(run, seconds * 1000);
    return () => clearTimeout(timer);
  },
};

/**
 * The seconds that qmpmux has run, from tick to tick.
 *
 * While the process or the host was stopped, nobody could be heard and nobody was late: a
 * longer gap between two ticks counts only up to a limit.
 */
export class RunningTime {
  readonly #longest: number;
  #seconds = 0;
  #last: number;

  /**
   * Creates it with no time passed.
   *
   * @param longest the seconds that count at most between two ticks
   * @param now the seconds of a clock
   */
  constructor(longest: number, now: number) {
    this.#longest = longest;
    this.#last = now;
  }

  /** Counts the time up to a tick; returns the seconds. */
  tick(now: number): number {
    this.#seconds = this.at(now);
    this.#last = now;
    return this.#seconds;
  }

  /** Returns the seconds at a moment after the last tick. */
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
