/**
 * The state of all VMs, as administrators, systemd and the log see it.
 *
 * @module
 */

import { type Administered, notServed } from "../hub/administration.ts";
import type { Machine, MachineDeps } from "./machine.ts";
import type { Unserved } from "./unserved.ts";
import type { Entry } from "./vm_entry.ts";

/** The state of a set of machines. */
export class Overview {
  readonly #entries: ReadonlyMap<string, Entry>;
  readonly #unserved: Unserved;
  readonly #many: boolean;
  readonly #deps: Pick<MachineDeps, "log" | "running">;
  /** Whether the machines are being drained. */
  stopping = false;

  /**
   * Creates the overview of the VMs of a set, and of those that it refused.
   *
   * @param many whether there can be any number of VMs
   */
  constructor(
    entries: ReadonlyMap<string, Entry>,
    unserved: Unserved,
    many: boolean,
    deps: Pick<MachineDeps, "log" | "running">,
  ) {
    this.#entries = entries;
    this.#unserved = unserved;
    this.#many = many;
    this.#deps = deps;
  }

  /** Yields the machines that are served. */
  *machines(): Generator<Machine> {
    for (const { machine } of this.#entries.values()) if (machine !== undefined) yield machine;
  }

  /** Returns the VMs for administrators, in the order of their names. */
  administered(): Administered[] {
    const served = Array.from(this.machines(), (machine) => machine.administered);
    return [...served, ...this.#notServed()].toSorted((a, b) => a.name < b.name ? -1 : 1);
  }

  /** Whether each VM that is served, or is being opened, has had a QEMU that was ready. */
  get served(): boolean {
    const served = ({ machine, opening }: Entry): boolean =>
      machine?.served ?? opening === undefined;
    return this.#entries.values().every(served);
  }

  /** The state in a few words. */
  get text(): string {
    const machines = [...this.machines()];
    let clients = 0;
    for (const machine of machines) clients += machine.clients;
    const shown = `${clients} ${clients === 1 ? "client" : "clients"}`;
    if (!this.#many) return `${machines[0]?.statusText ?? "starting"}, ${shown}`;
    if (this.stopping) return `shutting down, ${shown}`;
    const connected = machines.filter(({ awaitsQemu }) => !awaitsQemu).length;
    const stalled = machines.filter((machine) => machine.stalled).length;
    const failed = this.#count - machines.length;
    const parts = [
      `${this.#count} ${this.#count === 1 ? "VM" : "VMs"}`,
      `${connected} connected`,
      ...(stalled > 0 ? [`${stalled} stalled`] : []),
      ...(failed > 0 ? [`${failed} not served`] : []),
      shown,
    ];
    return parts.join(", ");
  }

  /** Logs the state of each VM and of the audit: of the only VM in one line. */
  log(audit: string): void {
    for (const machine of this.machines()) machine.logStatus(this.#many ? undefined : audit);
    if (!this.#many) return;
    const { log } = this.#deps;
    for (const vm of this.#notServed()) {
      log.withVm(vm.name).info(`status: not served: ${vm.status().reason}`);
    }
    log.info(`status: ${this.#count} VMs; ${audit}`);
  }

  /** The number of VMs that are served, or should be. */
  get #count(): number {
    return this.#entries.size + this.#unserved.refused.size;
  }

  *#notServed(): Generator<Administered> {
    const age = this.#deps.running();
    for (const { vm, machine, problem } of this.#entries.values()) {
      if (machine === undefined) yield notServed(vm, problem || "it is being opened", age);
    }
    for (const [vm, reason] of this.#unserved.refused) yield notServed(vm, reason, age);
  }
}
