/**
 * The commands of the negotiation, which a monitor answers itself.
 *
 * @module
 */

/** The commands that complete the negotiation, or belong to it; the monitor answers them itself. */
const NEGOTIATION: ReadonlySet<string> = new Set([
  "qmp_capabilities",
  "qmp_switch_mode",
  "query-qmp-mode",
  "async_msg_enable",
  "async_msg_disable",
]);

/** Returns whether the monitor answers a command itself, so that a session does not have it as a step. */
export function isNegotiation(name: string): boolean {
  return NEGOTIATION.has(name);
}
