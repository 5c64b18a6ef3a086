/**
 * One-shot commands: a session with a monitor, within a time, and the errors if it fails.
 *
 * @module
 */

import { withTimeout } from "../platform/clock.ts";
import { type ExitStatus, Failure } from "../platform/failure.ts";
import { say } from "../platform/log.ts";
import { dropFfi } from "../platform/runtime.ts";
import { BusyMonitor, type ErrorReply, NoMonitor, Session } from "../client/session.ts";
import { type Given, secondsOf, socketOf } from "./flags.ts";
import { type Connected, connectedTo, holderText } from "../platform/monitor_holder.ts";
import { type Address, addressText } from "../policy/address.ts";

/** The interval between two tries to reach a monitor that is not there yet. */
const RETRY_MS = 100;

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
  const greeted = async (): Promise<ExitStatus> => {
    using session = await open();
    isGreeted = true;
    // Foreign calls are for finding out who holds a monitor that does not greet.
    await dropFfi();
    return await run(session);
  };
  // Work that is still pending after the timeout ends with the program.
  const status = seconds === undefined
    ? await greeted()
    : await withTimeout(seconds * 1000, greeted(), 124 as const);
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

/** Returns why a monitor that can be connected to does not greet, as far as it can be told, and the remedy. */
export function noGreeting(address: Address): Failure {
  const connected = address.transport === "unix" ? connectedTo(address.path) : undefined;
  return new Failure(
    69,
    `${addressText(address)} accepts connections but gives no greeting: ${reasonOf(connected)}`,
  );
}

const FIND = "as root, ss -xp shows who is connected";
const NO_MONITOR = "not a monitor (the socket of a guest agent gives no greeting either)";

/**
 * Returns the reason in words.
 *
 * @param connected the connections of the listener; `undefined` where they cannot be seen
 */
export function reasonOf(connected: Connected | undefined): string {
  if (connected === undefined) {
    return "it is a qmpmux that waits for its QEMU, a monitor that another client holds " +
      `(it serves one at a time), or ${NO_MONITOR}; ${FIND}`;
  }
  const { served, holders, accepted } = connected;
  // QEMU lets the next one wait in its socket; qmpmux lets everybody in, and waits for QEMU itself.
  if (served) return `it is a qmpmux that waits for its QEMU, or ${NO_MONITOR}`;
  if (holders.length > 0) {
    return `${holders.map(holderText).join(" and ")} holds this monitor, which serves one at a ` +
      "time; end that, or let both connect to qmpmux";
  }
  if (accepted) return `another client holds this monitor, which serves one at a time; ${FIND}`;
  return "the program that listens there has accepted nobody: it is stopped, or still starting";
}

/** The text by which qmpmux refuses a command because of a role. */
const REFUSED_BY_ROLE = /^The command .+ has been refused: role /s;

/** Returns 77 where a role refuses the command, and 1 for any other error. */
export function statusOfError({ errorClass, desc }: ErrorReply): 1 | 77 {
  return errorClass === "CommandNotFound" && REFUSED_BY_ROLE.test(desc) ? 77 : 1;
}
