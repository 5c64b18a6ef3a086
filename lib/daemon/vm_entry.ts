/**
 * A VM of the process, whether it can be served or not.
 *
 * @module
 */

import type { MachineSettings } from "../config/machines.ts";
import { Failure } from "../platform/failure.ts";
import type { Machine } from "./machine.ts";

/** A VM of the set. */
export interface Entry {
  /** Its name. */
  readonly vm: string;
  /** Its settings. */
  settings: MachineSettings;
  /** Its machine, while it is served. */
  machine: Machine | undefined;
  /** Resolves when the machine has ended. */
  running: Promise<void>;
  /** Resolves when it has been opened or could not be, while it is being opened. */
  opening: Promise<void> | undefined;
  /** The problem that was logged last. */
  problem: string;
  /** The time at which it is tried again, if it could not be served. */
  retryAt: number;
  /** The time since which the place of its socket is gone. */
  goneSince: number | undefined;
}

/** Returns a VM that is not served yet. */
export function newEntry(vm: string, settings: MachineSettings): Entry {
  return {
    vm,
    settings,
    machine: undefined,
    running: Promise.resolve(),
    opening: undefined,
    problem: "",
    retryAt: 0,
    goneSince: undefined,
  };
}

/** Runs something for a VM, and names the VM in the failure. */
export async function naming<T>(vm: string, many: boolean, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (!many || !(error instanceof Failure)) throw error;
    throw new Failure(error.status, `VM ${vm}: ${error.message}`);
  }
}
