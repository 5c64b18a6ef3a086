/**
 * One-shot commands: a session with a monitor, within a time.
 *
 * Here alone it is decided what is said where no monitor answers in time.
 *
 * @module
 */

import { withTimeout } from "../platform/clock.ts";
import type { ExitStatus } from "../platform/failure.ts";
import { say } from "../platform/log.ts";
import { dropFfi } from "../platform/runtime.ts";
import { BusyMonitor, NoMonitor, Session } from "../client/session.ts";
import type { Address } from "../policy/address.ts";
import { noGreeting } from "./busy.ts";
import { type Given, secondsOf, socketOf } from "./flags.ts";

/** The interval between two tries to reach a monitor that is not there yet. */
const RETRY_MS = 100;

/**
 * Runs something, for so many seconds at most.
 *
 * What still waits then ends with the program.
 *
 * @returns what it returns, or 124
 */
async function beforeDeadline(
  seconds: number | undefined,
  run: () => Promise<ExitStatus>,
): Promise<ExitStatus> {
  return seconds === undefined ? await run() : await withTimeout(seconds * 1000, run(), 124);
}

/** A session to be, and what is said where it takes too long. */
export interface Attempt {
  /** The subcommand, for messages. */
  readonly command: string;
  /** The monitor's address. */
  readonly address: Address;
  /** Seconds that all of it may take; without it, as long as it takes. */
  readonly seconds: number | undefined;
  /** Whether a monitor that is not there yet is tried again. */
  readonly isPatient?: boolean;
  /** Returns a phrase that says what was waited for; asked when the time is over. */
  late(): string;
}

/**
 * Runs something in a session with a monitor, within a time.
 *
 * @returns what it returns, or 124, which has been explained on stderr
 * @throws Failure where no monitor answers, or another client holds it
 */
export async function inSession(
  { command, address, seconds, isPatient = false, late }: Attempt,
  run: (session: Session) => Promise<ExitStatus>,
): Promise<ExitStatus> {
  /** The obstacle before the greeting; `undefined` while the greeting is waited for. */
  let obstacle: NoMonitor | undefined;
  let isGreeted = false;
  const open = async (): Promise<Session> => {
    for (;;) {
      try {
        return await Session.open(address, () => obstacle = undefined);
      } catch (error) {
        if (!(error instanceof NoMonitor)) throw error;
        const isBusy = error instanceof BusyMonitor;
        if (!isPatient) throw isBusy ? noGreeting(address) : error;
        obstacle = isBusy ? undefined : error;
      }
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  };
  const status = await beforeDeadline(seconds, async () => {
    using session = await open();
    isGreeted = true;
    // Foreign calls are for finding out who holds a monitor that does not greet.
    await dropFfi();
    return await run(session);
  });
  if (status === 124) {
    say(`${command}: ${isGreeted ? late() : (obstacle ?? noGreeting(address)).message}`);
  }
  return status;
}

/**
 * Reads which monitor a subcommand talks to, and for how long.
 *
 * @param addressOf reads the address
 * @throws UsageError
 */
export function attemptOf(
  command: string,
  given: Given,
  addressOf: (command: string, given: Given) => Address = socketOf,
): Pick<Attempt, "address" | "seconds"> {
  const timeout = given.one("timeout");
  const seconds = timeout === undefined ? undefined : secondsOf(command, "timeout", timeout);
  return { seconds, address: addressOf(command, given) };
}

/** Returns what is said of a command whose reply did not come in time. */
export function unanswered(seconds: number | undefined): string {
  return `no answer came within ${seconds} s; the command may still run`;
}
