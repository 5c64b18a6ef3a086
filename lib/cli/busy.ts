/**
 * A monitor that gives no greeting: why, as far as it can be told.
 *
 * @module
 */

import { Failure } from "../platform/failure.ts";
import { type Connected, connectedTo, holderText } from "../platform/monitor_holder.ts";
import { type Address, addressText } from "../policy/address.ts";

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
