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
