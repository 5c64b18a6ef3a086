/**
 * One-shot commands that must not wait for ever.
 *
 * @module
 */

import type { ExitStatus } from "../rim/failure.ts";
import { say } from "../rim/log.ts";
import { Session } from "../rim/session.ts";
import type { Address } from "../terms/address.ts";
import { noGreeting } from "./busy.ts";
import { type Given, secondsOf, socketOf } from "./flags.ts";

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

/**
 * Runs something in a session with the monitor that is named, within `--timeout` where that is given.
 *
 * @returns what it returns, or 124, which is explained
 * @throws UsageError, Failure
 */
export async function inSession(
  command: string,
  given: Given,
  run: (session: Session, address: Address) => Promise<ExitStatus>,
): Promise<ExitStatus> {
  const timeout = given.one("timeout");
  const seconds = timeout === undefined ? undefined : secondsOf(command, "timeout", timeout);
  const address = socketOf(command, given);
  let greeted = false;
  const status = await beforeDeadline(seconds, async () => {
    using session = await Session.open(address);
    greeted = true;
    return await run(session, address);
  });
  if (status === 124) {
    const unanswered = `no answer came within ${timeout} s; the command may still run`;
    say(`${command}: ${greeted ? unanswered : noGreeting(address).message}`);
  }
  return status;
}
