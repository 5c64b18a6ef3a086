/**
 * Sessions of one-shot commands with a monitor: the timeout, and the errors if a session fails.
 *
 * @module
 */

import { withTimeout } from "../platform/clock.ts";
import { type ExitStatus, Failure } from "../platform/failure.ts";
import { dropFfi } from "../platform/runtime.ts";
import {
  ConnectError,
  ConnectionLost,
  NotQmpError,
  ProtocolError,
  QmpError,
} from "../client/errors.ts";
import type { AttemptOptions, ConnectOptions } from "../client/options.ts";
import { connect, type Qmp } from "../client/qmp.ts";
import { type Given, secondsOf, socketOf } from "./flags.ts";
import { type Connected, connectedTo, holderText } from "../platform/monitor_holder.ts";
import { type Address, addressText } from "../policy/address.ts";
import { shortened } from "../wire/shortened.ts";

/** The interval between two attempts to reach a monitor that does not exist yet. */
const RETRY_MS = 100;

/** The most characters of the error with which a monitor refuses the negotiation. */
const REFUSAL_LENGTH = 4096;

/** The result of a session that took too long. */
const LATE = Symbol("late");

/** A session to open, and the message if it takes too long. */
export interface Attempt {
  /** The subcommand, for messages. */
  readonly command: string;
  /** The monitor's address. */
  readonly address: Address;
  /** The timeout of the whole session in seconds; `undefined` for none. */
  readonly seconds: number | undefined;
  /** Whether to retry if the monitor does not exist yet. */
  readonly isPatient?: boolean;
  /** The exit status after a timeout; 124 by default. */
  readonly lateStatus?: ExitStatus;
  /** Returns the message for a timeout after the negotiation. */
  late(): string;
}

/** A failure because no monitor answers at an address; a retry may succeed. */
class NoMonitor extends Failure {}

/** A failure because the backlog of a monitor is full: it serves one client, and others are waiting. */
class BusyMonitor extends NoMonitor {}

/**
 * Runs a function in a session with a monitor, with a timeout.
 *
 * @returns the result of the function
 * @throws Failure after a timeout, if no monitor answers, or if another client holds it
 */
export async function inSession<T>(
  { command, address, seconds, isPatient = false, lateStatus = 124, late }: Attempt,
  run: (qmp: Qmp) => Promise<T>,
): Promise<T> {
  /** The reason why there is no connection; `undefined` while it waits for the greeting. */
  let obstacle: NoMonitor | undefined;
  let [isGreeted, isOpen] = [false, false];
  const open = async (): Promise<Qmp> => {
    for (;;) {
      try {
        isGreeted = false;
        return await opened(address, () => isGreeted = true);
      } catch (error) {
        if (!(error instanceof NoMonitor)) throw error;
        const isBusy = error instanceof BusyMonitor;
        if (!isPatient) throw isBusy ? noGreeting(address) : error;
        obstacle = isBusy ? undefined : error;
      }
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      obstacle = undefined;
    }
  };
  const done = async (): Promise<T> => {
    await using qmp = await open();
    isOpen = true;
    // FFI is needed only to find the process that holds a monitor which sends no greeting.
    await dropFfi();
    try {
      return await run(qmp);
    } catch (error) {
      throw failureOf(error, address);
    }
  };
  if (seconds === undefined) return await done();
  // Work that is still pending after the timeout is abandoned when the program exits.
  const result = await withTimeout(seconds * 1000, done(), LATE);
  if (result !== LATE) return result;
  const reason = (): string =>
    isGreeted ? busyText(address) : (obstacle ?? noGreeting(address)).message;
  throw new Failure(lateStatus, `${command}: ${isOpen ? late() : reason()}`);
}

/** Connects and negotiates, without enabling capabilities; @throws Failure, or TimeoutError of the options */
export async function opened(
  address: Address,
  greeted: () => void,
  more: ConnectOptions = {},
): Promise<Qmp> {
  const text = addressText(address);
  const options: AttemptOptions = { timeout: Infinity, greeted, ...more };
  try {
    return await connect(text, options);
  } catch (error) {
    if (error instanceof ConnectError) throw unreachable(address, error);
    // After the greeting a command is in flight.
    if (error instanceof ConnectionLost && error.inFlight.length === 0) {
      throw new NoMonitor(
        69,
        `${text} closed the connection without a greeting: its QEMU is away, ` +
          "or it does not admit this client",
      );
    }
    if (error instanceof QmpError) {
      throw new Failure(1, `${text}: ${shortened(error.desc, REFUSAL_LENGTH)}`);
    }
    throw failureOf(error, address);
  }
}

/** Returns the failure for a monitor that cannot be reached. */
export function unreachable(address: Address, { problem, message }: ConnectError): Failure {
  const text = addressText(address);
  switch (problem) {
    case "absent":
    case "refused":
      return new NoMonitor(
        69,
        `${text}: nothing listens there; start qmpmux, or correct the address`,
      );
    case "denied":
      return new Failure(
        77,
        `${text}: no permission to connect; run this command as a user who may use the socket`,
      );
    case "busy":
      return new BusyMonitor(
        69,
        `${text} is busy: it serves one client at a time, and others are waiting`,
      );
    default:
      return new NoMonitor(69, message);
  }
}

/** Returns the failure for an error of the client; returns any other error unchanged. */
export function failureOf(error: unknown, address: Address): unknown {
  if (error instanceof NotQmpError) {
    const text = addressText(address);
    return new Failure(69, `${text} does not speak QMP; use the address of a monitor`);
  }
  if (error instanceof ProtocolError) return new Failure(69, error.message);
  return error instanceof ConnectionLost ? new Failure(1, error.message) : error;
}

/**
 * Reads the address of the monitor that a subcommand uses, and the timeout.
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

/** Returns the message for a command whose reply did not arrive in time. */
export function unanswered(seconds: number | undefined): string {
  return `no reply within ${seconds} s; the command may still run`;
}

/** Returns the message for a command that was to follow queries, which are not answered in time. */
export function unsent(seconds: number | undefined): string {
  return `no reply within ${seconds} s to a query before the command, which was not sent`;
}

/** Returns the message for a monitor that has greeted, but has not answered the negotiation in time. */
function busyText(address: Address): string {
  return `${addressText(address)} sent a greeting, but has not answered qmp_capabilities: ` +
    "its QEMU is busy, with a command of another monitor for example; try again later";
}

/** Returns the error for a monitor that accepts connections but sends no greeting, with the likely reason. */
export function noGreeting(address: Address): Failure {
  const connected = address.transport === "unix" ? connectedTo(address.path) : undefined;
  return new Failure(
    69,
    `${addressText(address)} accepts connections but sends no greeting: ${reasonOf(connected)}`,
  );
}

/** The executable of a qmpmux, which may have been replaced while it runs. */
const QMPMUX = /\/qmpmux(?: \(deleted\))?$/;

const FIND = "as root, ss -xp shows who is connected";
const NO_MONITOR = "not a monitor (the socket of a guest agent sends no greeting either)";

/**
 * Returns the likely reason why a monitor sends no greeting, for people.
 *
 * @param connected the connections of the listener; `undefined` if they are unknown
 */
export function reasonOf(connected: Connected | undefined): string {
  if (connected === undefined) {
    return "it is a qmpmux that waits for its QEMU, a monitor that another client holds " +
      `(it serves one at a time), or ${NO_MONITOR}; ${FIND}`;
  }
  const { served, holders, accepted } = connected;
  // QEMU does not accept a second connection. qmpmux accepts every connection, even without QEMU.
  if (served) return `it is a qmpmux that waits for its QEMU, or ${NO_MONITOR}`;
  if (holders.length > 0) {
    const isQmpmuxs = holders.some(({ program }) => QMPMUX.test(program));
    return `${
      holders.map(holderText).join(" and ")
    } holds this monitor, which serves one at a time; ` +
      (isQmpmuxs ? "connect to a listener of that qmpmux" : "stop it, or connect both to qmpmux");
  }
  if (accepted) return `another client holds this monitor, which serves one at a time; ${FIND}`;
  return "the program that listens there accepts no connections: it is stopped, or still starting";
}
