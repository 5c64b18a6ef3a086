/**
 * Events of qmpmux's own.
 *
 * @module
 */

import type { EventName } from "../policy/event_filter.ts";
import type { Monitor } from "../session/monitor.ts";
import type { Event, Greeting } from "../wire/message.ts";
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

/**
 * Returns the event that tells of the loss of QEMU.
 *
 * @param isClosedByQemu whether QEMU itself has closed the connection
 * @param timeOfDay the time of day in seconds
 */
export function lossEvent(reason: string, isClosedByQemu: boolean, timeOfDay: number): Event {
  const data = isClosedByQemu ? { reason, "closed-by-qemu": true } : { reason };
  return ownEvent("QEMU_LOST", timeOfDay, data);
}

/** Returns the event that tells that a QEMU is there again. */
export function returnEvent({ version }: Greeting, timeOfDay: number): Event {
  return ownEvent("QEMU_BACK", timeOfDay, { version: version.join(".") });
}

/** Returns whether a client is to get an event of this name, and its filter names it without wildcards. */
export function isAskedFor(name: EventName, monitor: Monitor): boolean {
  return monitor.filter?.includes(name.text) === true && monitor.chooses(name);
}
