/**
 * Waits that end: by a time, or by a signal.
 *
 * @module
 */

import { TimeoutError } from "./errors.ts";

/** The longest time that a timer takes, 24 days; a longer wait has no timer. */
const TIMER_MS = 2 ** 31 - 1;

/** The limits of a wait. */
export interface Limits {
  /** Ends the wait. */
  readonly signal?: AbortSignal;
  /** The time in milliseconds; without it, or with `Infinity`, there is no limit. */
  readonly timeout?: number;
}

/** Checks limits before anything is begun; @throws RangeError, or the reason of the signal */
export function checkLimits({ signal, timeout = 0 }: Limits): void {
  if (typeof timeout !== "number" || !(timeout >= 0)) {
    throw new RangeError(`Invalid timeout ${String(timeout)}: expected milliseconds`);
  }
  signal?.throwIfAborted();
}

/** Checks the most bytes of a message; @throws RangeError */
export function checkMessageLimit(limit?: number): void {
  if (limit === undefined || typeof limit === "number" && limit > 0) return;
  throw new RangeError(
    `Invalid messageLimit ${String(limit)}: expected a positive number of bytes`,
  );
}

/**
 * Waits for a promise within limits.
 *
 * @param late returns the text of the TimeoutError
 * @throws TimeoutError, or the reason of the signal; a later rejection of the promise is handled
 */
export async function within<T>(
  promise: Promise<T>,
  { signal, timeout }: Limits,
  late: () => string,
): Promise<T> {
  const { promise: first, resolve, reject } = Promise.withResolvers<T>();
  promise.then(resolve, reject);
  const aborted = (): void => reject(signal!.reason);
  signal?.addEventListener("abort", aborted);
  if (signal?.aborted) aborted();
  const timer = timeout === undefined || timeout > TIMER_MS
    ? undefined
    : setTimeout(() => reject(new TimeoutError(late())), timeout);
  try {
    return await first;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", aborted);
  }
}

/** Waits for a time; returns `false` if the signal ends it. */
export async function sleep(milliseconds: number, signal: AbortSignal): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => resolve(true), milliseconds);
  const aborted = (): void => resolve(false);
  signal.addEventListener("abort", aborted);
  if (signal.aborted) aborted();
  const result = await promise;
  clearTimeout(timer);
  signal.removeEventListener("abort", aborted);
  return result;
}
