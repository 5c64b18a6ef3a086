/**
 * The address of a monitor, as a program gives it.
 *
 * @module
 */

import { type Address, parseAddress } from "../policy/address.ts";
import { ConnectError } from "./errors.ts";

/**
 * Reads the address of a monitor.
 *
 * @param text `unix:/path`, `/path`, `unix-abstract:NAME`, `tcp:HOST:PORT` or `HOST:PORT`
 * @throws ConnectError if it is not such a text, or if the port is 0, which is only for listening
 */
export function monitorAddress(text: string): Address {
  if (typeof text !== "string") {
    const found = text === undefined || text === null ? String(text) : `of type ${typeof text}`;
    throw new ConnectError(
      "invalid address",
      `invalid address ${found}: expected a string, such as "unix:/run/vm.sock"`,
    );
  }
  let address: Address;
  try {
    address = parseAddress(text);
  } catch (error) {
    throw new ConnectError("invalid address", (error as Error).message, { cause: error });
  }
  if (address.transport === "tcp" && address.port === 0) {
    const message = `invalid address "${text}": expected the port of the monitor, from 1 to 65535`;
    throw new ConnectError("invalid address", message);
  }
  return address;
}
