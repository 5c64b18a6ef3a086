/**
 * Timeouts that a test waits for: a short one, and longer ones on a machine that is too slow for it.
 *
 * @module
 */

import { runAt, type runQmpmux } from "./qmpmux.ts";

/** The times in seconds, the shortest first. */
const TIMES = [0.3, 2, 8, 20];

/** A timeout before the monitor has accepted the connection. */
export const BEFORE_ACCEPTED = /accepts no connections|holds this monitor/;
/** A timeout before the session is open. */
export const BEFORE_SESSION = /sends no greeting|has not answered qmp_capabilities/;
/** A timeout before the reply to a command. */
export const BEFORE_REPLY = /sends no greeting|has not answered|no reply|was not answered/;

/**
 * Runs something up to its timeout, and with a longer one while that ends too early.
 *
 * @param run takes a timeout in seconds
 * @param isEarly returns whether the timeout ended before the state that the test needs
 * @returns the first result that is not early, or the result of the longest timeout
 */
export async function untilTimeout<T>(
  run: (seconds: number) => Promise<T>,
  isEarly: (result: T) => boolean,
): Promise<T> {
  const [longest, ...shorter] = TIMES.toReversed() as [number, ...number[]];
  for (const seconds of shorter.reverse()) {
    const result = await run(seconds);
    if (!isEarly(result)) return result;
  }
  return await run(longest);
}

/**
 * Runs a subcommand at a monitor up to its `--timeout`.
 *
 * @param early matches the message of a timeout that ended before the state that the test needs
 * @returns the end; its `stderr` has `SECONDS` in place of the timeout
 */
export async function runToTimeout(
  path: string,
  args: readonly string[],
  early: RegExp,
): ReturnType<typeof runQmpmux> {
  const run = async (seconds: number): ReturnType<typeof runQmpmux> => {
    const { stderr, ...rest } = await runAt(path, args, seconds);
    return { ...rest, stderr: stderr.replaceAll(`${seconds} s`, "SECONDS s") };
  };
  return await untilTimeout(run, ({ stderr }) => early.test(stderr));
}
