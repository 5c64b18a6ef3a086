/**
 * FFI for listeners that identify their clients or receive descriptors.
 *
 * It is opened only if a listener needs it; without it qmpmux runs on, and logs
 * what is missing.
 *
 * @module
 */

import type { ListenerSettings } from "../config/listener_settings.ts";
import { type Libc, loadLibc } from "./libc.ts";
import { FfiError } from "./libc_symbols.ts";
import type { Log } from "./log.ts";
import { Poller } from "./poller.ts";

/** The C library, and the poller of the sockets made by it. */
export interface Ffi {
  /** The calls. */
  readonly libc: Libc;
  /** Waits for the sockets. */
  readonly poller: Poller;
}

/** Returns whether a listener needs FFI. */
export function needsFfi({ identity }: ListenerSettings): boolean {
  return identity;
}

/** Opens FFI; returns `undefined` and logs the reason if it is not available. */
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
