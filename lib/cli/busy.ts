/**
 * A monitor that gives no greeting: who has it instead.
 *
 * @module
 */

import { Failure } from "../rim/failure.ts";
import { connectedTo, holderText } from "../rim/holder.ts";
import { type Address, addressText } from "../terms/address.ts";

/** Why a monitor that can be connected to does not greet, as far as it can be told, and the remedy. */
export function noGreeting(address: Address): Failure {
  return new Failure(
    69,
    `${addressText(address)} accepts connections but gives no greeting: ${reason(address)}`,
  );
}

function reason(address: Address): string {
  const { served, holders } = address.transport === "unix"
    ? connectedTo(address.path)
    : { served: false, holders: [] };
  // QEMU lets the next one wait in its socket; qmpmux lets everybody in, and waits for QEMU itself.
  if (served) return "it is a qmpmux that waits for its QEMU, or it does not speak QMP";
  if (holders.length === 0) {
    return "another client holds this monitor, which serves one at a time; " +
      "as root, ss -xp shows who is connected";
  }
  return `${holders.map(holderText).join(" and ")} holds this monitor, which serves one at a ` +
    "time; end that, or let both connect to qmpmux";
}
