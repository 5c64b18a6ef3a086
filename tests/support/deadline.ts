/**
 * Promises that must not take for ever: a test that hangs names what it waited for.
 *
 * @module
 */

/** Shared machines are slow at times; this is no measure of speed. */
const PATIENCE_MS = 30_000;

/**
 * Returns the promise's value; @throws Error naming `what` if it takes longer than any machine
 * needs
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
