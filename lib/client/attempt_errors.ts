/**
 * The errors of a client that is being connected, or was closed.
 *
 * @module
 */

import { ConnectionLost } from "./errors.ts";

/**
 * Returns the reason why an attempt to connect takes too long.
 *
 * @param link the connection; `undefined` if there is none yet
 */
export function lateness(link: { readonly greeting: unknown } | undefined): string {
  if (link === undefined) return "no connection could be made in time";
  return link.greeting === undefined
    ? "no greeting came in time: another client may hold this monitor, which serves one at a time, or it " +
      "is not one"
    : "the negotiation was not answered in time";
}

/**
 * Returns the error for a client that was closed.
 *
 * @param where the address, for people
 * @param command the command that was not sent
 */
export function closedError(where: string, command?: string): ConnectionLost {
  const message = `${where}: the connection was closed`;
  return command === undefined
    ? new ConnectionLost(message, [])
    : new ConnectionLost(`${message}: ${command} was not sent`, [], { command });
}
