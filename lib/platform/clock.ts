/**
 * Time: the system's clock, running time, and timeouts.
 *
 * @module
 */

/** A clock; tests use a fake one. */
export interface Clock {
  /** Returns the seconds since an arbitrary moment; this clock never jumps. */
  now(): number;
  /** Returns the seconds since 1970. */
  timeOfDay(): number;
  /** Calls back once after a time in seconds; returns a function that cancels it. */
  after(seconds: number, run: () => void): () => void;
}

/** The longest time of the system's timers; a longer one would pass at once. */
const TIMER_LIMIT_MS = 2 ** 31 - 1;

/** The system's clock. */
export const CLOCK: Clock = {
  now: () => performance.now() / 1000,
  timeOfDay: () => Date.now() / 1000,
  after(seconds, run): () => void {
    let timer: ReturnType<typeof setTimeout>;
    const wait = (ms: number): void => {
      const rest = ms - TIMER_LIMIT_MS;
      timer = rest > 0 ? setTimeout(() => wait(rest), TIMER_LIMIT_MS) : setTimeout(run, ms);
    };
    wait(seconds * 1000);
    return () => clearTimeout(timer);
  },
};

/**
 * The time that qmpmux has run, in seconds; timeouts are measured in it.
 *
 * While the process or the host is suspended, nothing can be received, so that nothing may time
 * out: a gap between two ticks counts only up to a limit.
 */
export class RunningTime {
  readonly #longest: number;
  #seconds = 0;
  #last: number;
  #rests = false;

  /**
   * Starts the running time at 0.
   *
   * @param longest the longest time between two ticks that counts, in seconds
   * @param now the time of a clock, in seconds
   */
  constructor(longest: number, now: number) {
    this.#longest = longest;
    this.#last = now;
  }

  /** Adds the time up to a tick; returns the running time. */
  tick(now: number): number {
    this.#seconds = this.at(now);
    this.#last = now;
    this.#rests = false;
    return this.#seconds;
  }

  /** Counts all of the time until the next tick: nothing waits for ticks, so none is due. */
  rest(): void {
    this.#rests = true;
  }

  /** Returns the running time at a moment after the last tick. */
  at(now: number): number {
    const gap = now - this.#last;
    return this.#seconds + (this.#rests ? gap : Math.min(gap, this.#longest));
  }
}

/** Calls a function after a time; does not keep the process running for it. */
export function runLater(milliseconds: number, run: () => void): void {
  Deno.unrefTimer(setTimeout(run, milliseconds));
}

/** Waits for a promise, but returns `late` after a timeout. */
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
