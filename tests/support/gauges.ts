/**
 * The gauges of a hub where nothing happens.
 *
 * @module
 */

import type { Gauges } from "../../lib/mod.ts";

/** The gauges of a hub without clients and without QEMU. */
export const NO_GAUGES: Gauges = {
  clients: new Map(),
  inFlight: 0,
  waiting: 0,
  unread: 0,
  up: false,
  subscribers: 0,
  keptBytes: 0,
  keptEvents: 0,
};
