/**
 * The values of the metrics that are read rather than counted.
 *
 * @module
 */

import type { Gauges } from "../observe/metrics_recorder.ts";
import type { Monitor } from "../session/monitor.ts";
import type { HubStatus } from "./administration.ts";

/** Returns the gauges of a hub with these clients. */
export function gaugesOf(
  monitors: Iterable<Monitor>,
  { qemu, inFlight, waiting }: HubStatus,
  log: Pick<Gauges, "subscribers" | "keptBytes" | "keptEvents">,
): Gauges {
  const clients = new Map<string, number>();
  let unread = 0;
  for (const { grant: { role }, peer, isControl } of monitors) {
    if (isControl) continue;
    clients.set(role.name, (clients.get(role.name) ?? 0) + 1);
    unread += peer.unread ?? 0;
  }
  return { clients, inFlight, waiting, unread, up: qemu === "ready", ...log };
}
