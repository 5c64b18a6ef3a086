/**
 * How the hub stands, in the numbers that are told as metrics.
 *
 * @module
 */

import type { Gauges } from "../observe/metrics_recorder.ts";
import type { Hub } from "./admin.ts";

/** Counts what is there just now. */
export function gaugesOf(hub: Pick<Hub, "monitors" | "status">): Gauges {
  const clients = new Map<string, number>();
  let unread = 0;
  for (const { grant, peer, isControl } of hub.monitors) {
    if (isControl) continue;
    clients.set(grant.role.name, (clients.get(grant.role.name) ?? 0) + 1);
    unread += peer.unread ?? 0;
  }
  const { qemu, inFlight, waiting } = hub.status();
  return { clients, inFlight, waiting, unread, up: qemu === "ready" };
}
