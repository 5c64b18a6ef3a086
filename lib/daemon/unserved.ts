/**
 * The VMs that are not served, each with the reason and the time of the next attempt.
 *
 * A VM that could not be opened stays in the set of machines, and is tried again. A VM beyond the
 * limit, with an invalid address or without permission is not in the set; only this list has it.
 *
 * @module
 */

import { Failure } from "../platform/failure.ts";
import type { InternalErrors, LimitLog } from "./limit_log.ts";
import type { MachineDeps } from "./machine.ts";
import type { Entry } from "./vm_entry.ts";

/** The time after which a VM that could not be served is tried again. */
const RETRY_SECONDS = 5;
/** The limit of refused VMs that are listed; the log counts the others. */
const REFUSED_LIMIT = 2048;

/** The parts of the daemon that the register uses. */
export interface UnservedDeps extends Pick<MachineDeps, "log" | "running" | "awake"> {
  /** Logs lines that may come often. */
  readonly limitLog: LimitLog;
  /** Reports internal errors. */
  readonly errors: InternalErrors;
}

/** The register of the VMs that are not served. */
export class Unserved {
  readonly #deps: UnservedDeps;
  /** The reasons for which VMs are not in the set, by their names. */
  readonly #refused = new Map<string, string>();
  /** The VMs among them whose sockets may not be looked at. */
  readonly #denied = new Set<string>();

  /** Creates an empty register. */
  constructor(deps: UnservedDeps) {
    this.#deps = deps;
  }

  /** Logs why a VM of the set could not be served, once, and tries it again later. */
  failed(entry: Entry, error: unknown): void {
    const { log, errors, running, awake } = this.#deps;
    entry.retryAt = running() + RETRY_SECONDS;
    awake();
    if (!(error instanceof Failure)) {
      entry.problem = "an internal error occurred; see the log";
      return errors.report("other", error, entry.vm);
    }
    if (error.message === entry.problem) return;
    entry.problem = error.message;
    const again = `tried again every ${RETRY_SECONDS} s`;
    log.withVm(entry.vm).warn(`not served: ${error.message}; ${again}`);
  }

  /** Notes that a VM has no valid address, and logs it once. */
  invalid(vm: string, reason: string): void {
    if (this.#refused.get(vm) === reason) return;
    this.#note(vm, reason);
    const line = `VM ${vm} is not served`;
    this.#deps.limitLog.logged(line, `${line}: ${reason}`);
  }

  /** Notes that the socket of a VM may not be looked at, and logs it once; without its path it may be again. */
  denied(vm: string, path: string | undefined): void {
    if (path === undefined) {
      if (this.#denied.delete(vm)) this.#refused.delete(vm);
      return;
    }
    this.#denied.add(vm);
    this.invalid(vm, `${path}: no permission to look there; let qmpmux enter its directory`);
  }

  /** Notes that there is no room for a VM, and counts it. */
  excess(vm: string, most: number): void {
    const reason = `there are ${most} VMs (max-vms)`;
    this.#note(vm, reason);
    this.#deps.limitLog.reached("max-vms", "VMs", `VM ${vm} is not served: ${reason}`);
  }

  /** Forgets a VM, because the set has it. */
  accepted(vm: string): void {
    this.#denied.delete(vm);
    this.#refused.delete(vm);
  }

  /** Forgets the VMs that are gone. */
  present(vms: ReadonlySet<string>): void {
    for (const vm of [...this.#refused.keys(), ...this.#denied]) {
      if (!vms.has(vm)) this.accepted(vm);
    }
  }

  /** Returns the VMs that are not in the set, and for which there may be room once another is gone. */
  retried(): readonly string[] {
    return [...this.#refused.keys()].filter((vm) => !this.#denied.has(vm));
  }

  /** The VMs that are not in the set, each with the reason. */
  get refused(): ReadonlyMap<string, string> {
    return this.#refused;
  }

  #note(vm: string, reason: string): void {
    if (this.#refused.has(vm) || this.#refused.size < REFUSED_LIMIT) this.#refused.set(vm, reason);
  }
}
