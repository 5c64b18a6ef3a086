/**
 * Events of qmpmux's own.
 *
 * @module
 */

import type { Event } from "../wire/message.ts";
import { eventMessage } from "../wire/reply.ts";

/** The prefix of the commands and events of qmpmux's own. */
export const OWN_PREFIX = "__org.qmpmux_";

/**
 * Returns an event of qmpmux's own, as QEMU would write it.
 *
 * @param name the name without the prefix
 * @param timeOfDay the time of day in seconds
 */
export function ownEvent(name: string, timeOfDay: number, data: object): Event {
  const seconds = Math.floor(timeOfDay);
  const microseconds = Math.floor((timeOfDay - seconds) * 1e6);
  return eventMessage(`${OWN_PREFIX}${name}`, { seconds, microseconds }, data);
}
