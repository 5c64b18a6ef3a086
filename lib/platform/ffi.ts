/**
 * The means to know who connects and to pass descriptors, if there are any here.
 *
 * They are asked for where a listener needs them, and not before; without them
 * qmpmux runs on, and says what is missing.
 *
 * @module
 */

import type { ListenerSettings } from "../config/listener_settings.ts";
import { FfiError, type Libc, loadLibc } from "./libc.ts";
import type { Log } from "./log.ts";
import { Poller } from "./unix_socket.ts";

/** Foreign calls, and what waits for the sockets made by them. */
export interface Ffi {
  /** The calls. */
  readonly libc: Libc;
  /** Who waits. */
  readonly poller: Poller;
}

/** Does a listener need foreign calls? */
export function needsFfi({ identity }: ListenerSettings): boolean {
  return identity;
}

/** Gets the means; `undefined` and a line in the log where they cannot be had. */
export function openFfi(log: Log): Ffi | undefined {
  try {
    const libc = loadLibc();
    return { libc, poller: new Poller(libc) };
  } catch (error) {
    if (!(error instanceof FfiError)) throw error;
    log.warn(`nobody's identity is known, and no descriptors are passed: ${error.message}`);
    return undefined;
  }
}
