/**
 * One-shot commands that must not wait for ever.
 *
 * @module
 */

import type { ExitStatus } from "../rim/failure.ts";

/**
 * Runs something, for so many seconds at most.
 *
 * What still waits then ends with the program.
 *
 * @returns what it returns, or 124
 */
export async function beforeDeadline(
  seconds: number | undefined,
  run: () => Promise<ExitStatus>,
): Promise<ExitStatus> {
  if (seconds === undefined) return await run();
  const late = Promise.withResolvers<ExitStatus>();
  const timer = setTimeout(() => late.resolve(124), seconds * 1000);
  try {
    return await Promise.race([run(), late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
