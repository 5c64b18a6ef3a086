/**
 * Timeouts for promises: a test that hangs names what it was waiting for.
 *
 * @module
 */

/** Shared machines are slow at times, and this is not a measure of speed. */
const PATIENCE_MS = 30_000;

/**
 * Returns the promise's value; @throws Error naming `what` if it takes longer than on any machine
 */
export async function within<T>(
  what: string,
  promise: Promise<T>,
  patience = PATIENCE_MS,
): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`Waited in vain for ${what}`)), patience);
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
