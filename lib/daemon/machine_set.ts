/**
 * The machines of the process: one, or one for each VM that has a name or is found.
 *
 * With several VMs, what is wrong with one is logged, and tried again; the others do not notice.
 *
 * @module
 */

import { addressText } from "../policy/address.ts";
import { UsageError } from "../policy/usage_error.ts";
import type { Machines, MachineSettings } from "../config/machines.ts";
import { runLater } from "../platform/clock.ts";
import type { Change } from "../platform/socket_file.ts";
import { Discovery } from "./discovery.ts";
import { ListenerAddresses } from "./listener_addresses.ts";
import { Machine, type MachineDeps } from "./machine.ts";
import { Overview } from "./overview.ts";
import { Unserved, type UnservedDeps } from "./unserved.ts";
import { type Entry, naming, newEntry } from "./vm_entry.ts";

/** The time that clients of a VM whose socket's place is gone are held, with `on-loss=hold`. */
const HOLD_SECONDS = 30;

/** The time in which changes of many VMs are reported together. */
const REPORT_MS = 50;

/** The parts of the daemon that the set uses. */
export interface MachineSetDeps extends Omit<MachineDeps, "many">, UnservedDeps {
  /** Called when every VM that was there at the start listens, or could not. */
  allOpened(): void;
  /** Called once, when each VM that is served has had a QEMU that was ready. */
  allServed(): void;
}

/** The machines by the names of their VMs. */
export class MachineSet implements Disposable {
  #machines: Machines;
  readonly #deps: MachineSetDeps;
  readonly #entries = new Map<string, Entry>();
  readonly #unserved: Unserved;
  /** The state of all VMs. */
  readonly overview: Overview;
  readonly #addresses = new ListenerAddresses();
  #discovery: Discovery | undefined;
  #stopping = false;
  /** Whether the VMs that were there at the start have been opened. */
  #isOpen = false;
  #isServed = false;
  /** Whether a change will be reported. */
  #reports = false;
  readonly #stopped = Promise.withResolvers<void>();

  /** Creates a set that serves nothing yet. */
  constructor(machines: Machines, deps: MachineSetDeps) {
    this.#machines = machines;
    this.#deps = deps;
    this.#unserved = new Unserved(deps);
    this.overview = new Overview(this.#entries, this.#unserved, machines.many, deps);
  }

  /** Listens for the clients of every VM with a name; @throws Failure if the only VM cannot */
  async open(): Promise<void> {
    for (const [vm, settings] of this.#machines.named) {
      const entry = this.#add(vm, settings);
      if (this.#machines.many) await this.#open(entry);
      else entry.machine = await this.#opened(vm, settings);
    }
  }

  /**
   * Serves until the machines are drained, or until the only QEMU of the only VM has left.
   *
   * @throws Failure if the peer of the only VM is not QEMU
   */
  async run(): Promise<void> {
    const { many } = this.#machines;
    if (!many) {
      this.#opensNoMore();
      const [{ machine } = { machine: undefined }] = this.#entries.values();
      return await machine?.run();
    }
    this.#discover();
    this.#deps.keep(this.#openedAll());
    await this.#stopped.promise;
    this.#discovery?.[Symbol.dispose]();
    await Promise.all(this.#entries.values().map(({ running }) => running));
  }

  async #openedAll(): Promise<void> {
    await Promise.all(this.#entries.values().map(({ opening }) => opening));
    this.#opensNoMore();
  }

  #opensNoMore(): void {
    this.#isOpen = true;
    this.#deps.allOpened();
    this.#changed();
  }

  /** Reports that the state of a VM has changed: of many VMs several changes together, as all are looked at. */
  #changed(): void {
    if (!this.#machines.many) return this.#report();
    if (this.#reports) return;
    this.#reports = true;
    runLater(REPORT_MS, () => {
      this.#reports = false;
      this.#report();
    });
  }

  #report(): void {
    if (this.#isOpen && !this.#isServed && this.overview.served) {
      this.#isServed = true;
      this.#deps.allServed();
    }
    this.#deps.changed();
  }

  /** Drains every machine; `run` resolves then. */
  drain(): void {
    this.#stopping = this.overview.stopping = true;
    for (const machine of this.overview.machines()) machine.drain();
    this.#stopped.resolve();
  }

  /** Ends draining now. */
  disconnect(): void {
    for (const machine of this.overview.machines()) machine.disconnect();
  }

  /** Disconnects all clients and accepts no more. */
  [Symbol.dispose](): void {
    this.#stopping = this.overview.stopping = true;
    this.#stopped.resolve();
    this.#discovery?.[Symbol.dispose]();
    for (const machine of this.overview.machines()) machine[Symbol.dispose]();
  }

  /**
   * Runs every step of adopting new settings that can fail: new VMs listen, and accept nobody before
   * the commit.
   *
   * @throws Failure if it cannot; nothing has changed then
   */
  async prepare(machines: Machines): Promise<Change> {
    const changes: Change[] = [];
    const opened = new Map<string, Machine>();
    const later = (entry: Entry): MachineSettings | undefined => this.#wantedFor(machines, entry);
    const undo = (): void => {
      for (const machine of opened.values()) machine[Symbol.dispose]();
      for (const change of changes) change.undo();
    };
    try {
      for (const entry of this.#entries.values()) {
        const wanted = later(entry);
        const { vm, machine } = entry;
        if (wanted === undefined || machine === undefined) continue;
        changes.push(
          await naming(vm, machines.many, () => {
            this.#addresses.check(vm, wanted, later);
            return machine.prepare(wanted);
          }),
        );
      }
      for (const [vm, settings] of machines.named) {
        if (this.#entries.has(vm)) continue;
        opened.set(vm, await naming(vm, machines.many, () => this.#opened(vm, settings, later)));
      }
    } catch (error) {
      undo();
      throw error;
    }
    return {
      commit: () => {
        for (const { commit } of changes) commit();
        this.#adopt(machines, opened);
      },
      undo,
    };
  }

  /** Adopts the settings of machines that are prepared. */
  #adopt(machines: Machines, opened: ReadonlyMap<string, Machine>): void {
    for (const entry of [...this.#entries.values()]) {
      const wanted = this.#wantedFor(machines, entry);
      this.#addresses.free(entry);
      if (wanted === undefined) this.#remove(entry, "it is no longer configured");
      else entry.settings = wanted;
      entry.retryAt = 0;
    }
    for (const entry of this.#entries.values()) this.#addresses.take(entry);
    this.#machines = machines;
    for (const [vm, machine] of opened) {
      this.#serve(this.#add(vm, machines.named.get(vm)!), machine);
    }
    if (machines.many && !this.#stopping) this.#discover();
  }

  /** Returns the settings of a VM in a configuration; `undefined` if it is another VM there, or none. */
  #wantedFor(machines: Machines, { vm, settings }: Entry): MachineSettings | undefined {
    const named = machines.named.get(vm);
    if (named !== undefined || machines.pattern === undefined) return named;
    const found = machines.settingsOf(vm);
    const wasNamed = this.#machines.named.has(vm);
    return wasNamed && addressText(found.qemu) !== addressText(settings.qemu) ? undefined : found;
  }

  /** Records with the present observers from now on. */
  adoptRecording(): void {
    for (const machine of this.overview.machines()) machine.adoptRecording();
  }

  /** Whether `tick` must be called: something of a VM may be due, or one is tried again. */
  get needsTime(): boolean {
    return this.#entries.values().some(({ machine }) => machine?.needsTime ?? true);
  }

  /** Advances the time to `now`, in seconds. */
  tick(now: number): void {
    for (const entry of this.#entries.values()) {
      entry.machine?.tick(now);
      if (entry.machine !== undefined || entry.opening || now < entry.retryAt) continue;
      this.#open(entry);
    }
  }

  /** Looks for VMs from now on. */
  #discover(): void {
    this.#discovery?.[Symbol.dispose]();
    const { log } = this.#deps;
    if (this.#machines.pattern === undefined) this.#unserved.present(new Set());
    this.#discovery = new Discovery(this.#machines.pattern, {
      log,
      named: () => this.#namedPaths(),
      present: (vms) => this.#present(vms),
      awaited: (vm) => this.#entries.get(vm)?.machine?.awaitsQemu ?? true,
      appeared: (vm) => this.#appeared(vm),
      denied: (vm, path) => this.#unserved.denied(vm, this.#entries.has(vm) ? undefined : path),
      compare: (vm) => this.#entries.get(vm)?.machine?.compareSocket(),
    });
    this.#discovery.scan();
  }

  #namedPaths(): ReadonlyMap<string, string> {
    const paths = new Map<string, string>();
    for (const vm of this.#machines.named.keys()) {
      const path = this.#entries.get(vm)?.machine?.qemuPath;
      if (path !== undefined) paths.set(vm, path);
    }
    return paths;
  }

  /** Removes the VMs whose place is gone. */
  #present(vms: ReadonlySet<string>): void {
    const now = this.#deps.running();
    const before = this.#entries.size;
    this.#unserved.present(vms);
    for (const entry of [...this.#entries.values()]) {
      if (this.#machines.named.has(entry.vm)) continue;
      if (vms.has(entry.vm)) {
        entry.goneSince = undefined;
        continue;
      }
      entry.goneSince ??= now;
      const holds = entry.settings["on-loss"] === "hold" && (entry.machine?.clients ?? 0) > 0;
      if (holds && now - entry.goneSince < HOLD_SECONDS) continue;
      this.#remove(entry, "it is gone");
    }
    // There may be room for others now.
    for (const vm of this.#unserved.retried()) {
      if (this.#entries.size < before) this.#appeared(vm);
    }
  }

  /** Serves a VM that was found, or connects to its QEMU. */
  #appeared(vm: string): void {
    const known = this.#entries.get(vm);
    if (known !== undefined) {
      known.machine?.qemuAppeared();
      known.retryAt = 0;
      return;
    }
    try {
      const settings = this.#machines.settingsOf(vm);
      const most = settings["max-vms"];
      if (this.#entries.size >= most) return this.#unserved.excess(vm, most);
      this.#open(this.#add(vm, settings));
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      this.#unserved.invalid(vm, error.message.replace(/^VM \S+: /, ""));
    }
  }

  #add(vm: string, settings: MachineSettings): Entry {
    const entry = newEntry(vm, settings);
    this.#unserved.accepted(vm);
    this.#entries.set(vm, entry);
    this.#addresses.take(entry);
    this.#deps.awake();
    return entry;
  }

  /** Begins to serve a VM; logs what is wrong, and tries again later. */
  #open(entry: Entry): Promise<void> {
    entry.opening = this.#tryToOpen(entry).finally(() => {
      entry.opening = undefined;
      this.#changed();
    });
    this.#deps.keep(entry.opening);
    return entry.opening;
  }

  async #tryToOpen(entry: Entry): Promise<void> {
    const { vm } = entry;
    try {
      const { settings } = entry;
      // Another VM may have had an address of this one until now.
      this.#addresses.take(entry);
      const machine = await this.#opened(vm, settings);
      // A reload may have removed it or changed its settings meanwhile.
      const isPresent = this.#entries.get(vm) === entry && !this.#stopping;
      if (isPresent && entry.settings === settings) return this.#serve(entry, machine);
      machine[Symbol.dispose]();
      entry.retryAt = 0;
    } catch (error) {
      this.#failed(entry, error);
    }
  }

  /** Opens a machine; @throws Failure if it cannot listen */
  async #opened(
    vm: string,
    settings: MachineSettings,
    later?: (other: Entry) => MachineSettings | undefined,
  ): Promise<Machine> {
    const { many } = this.#machines;
    this.#addresses.check(vm, settings, later);
    const label = settings.isNamed ? vm : undefined;
    const changed = (): void => {
      this.#changed();
      this.#discovery?.lost();
    };
    const machine = new Machine(settings, label, { ...this.#deps, many, changed });
    // Ages count from the start of the process.
    machine.tick(this.#deps.running());
    try {
      await machine.open();
      return machine;
    } catch (error) {
      machine[Symbol.dispose]();
      throw error;
    }
  }

  /** Serves a VM until its machine ends. */
  #serve(entry: Entry, machine: Machine): void {
    entry.machine = machine;
    entry.problem = "";
    machine.adoptRecording();
    entry.running = this.#run(entry, machine);
    this.#deps.keep(entry.running);
    this.#changed();
  }

  async #run(entry: Entry, machine: Machine): Promise<void> {
    try {
      await machine.run();
    } catch (error) {
      this.#failed(entry, error);
    } finally {
      // While the process drains, clients of other VMs still get replies; the daemon ends the machines.
      if (!this.#stopping) {
        machine[Symbol.dispose]();
        if (entry.machine === machine) entry.machine = undefined;
        this.#deps.awake();
        this.#changed();
      }
    }
  }

  /** Tries a VM again later. An internal error ends no other VM. */
  #failed(entry: Entry, error: unknown): void {
    if (!this.#machines.many) throw error;
    this.#unserved.failed(entry, error);
  }

  #remove(entry: Entry, because: string): void {
    this.#entries.delete(entry.vm);
    this.#addresses.free(entry);
    const { machine } = entry;
    entry.machine = undefined;
    if (machine !== undefined) {
      machine[Symbol.dispose]();
      this.#deps.log.withVm(entry.vm).info(`no longer served: ${because}`);
    }
    this.#changed();
  }
}
