/**
 * One virtual machine: its hub, the link to its QEMU, and its clients.
 *
 * The daemon passes it the time and its settings. It drains itself.
 *
 * @module
 */

import { Mux } from "../hub/mux.ts";
import type { MuxOptions } from "../hub/mux_options.ts";
import type { MachineSettings } from "../config/machines.ts";
import type { ServeSettings } from "../config/settings.ts";
import type { Administered } from "../hub/administration.ts";
import type { Taps } from "../observe/taps.ts";
import type { TrafficSource } from "../observe/traffic.ts";
import { addressText, isFile } from "../policy/address.ts";
import type { Greeting } from "../wire/message.ts";
import type { QemuEnding } from "../wire/peer.ts";
import { type Clock, withTimeout } from "../platform/clock.ts";
import { checkPlace } from "../platform/dial.ts";
import type { Store } from "../platform/descriptor_store.ts";
import type { TakePassed } from "../platform/listener.ts";
import type { Log } from "../platform/log.ts";
import type { Poller } from "../platform/poller.ts";
import type { ReplyBudget } from "../platform/reply_budget.ts";
import type { Change } from "../platform/socket_file.ts";
import { TURNS } from "../platform/turns.ts";
import { ClientRegistry } from "./client_registry.ts";
import { InternalErrors, LimitLog } from "./limit_log.ts";
import { QemuLink } from "./qemu_link.ts";
import type { Records, VmRecords } from "./records.ts";

/** The parts of the daemon that a machine uses. */
export interface MachineDeps {
  /** Receives its log lines. */
  readonly log: Log;
  /** Measures its time. */
  readonly clock: Clock;
  /** Records what happens. */
  readonly records: Records;
  /** The taps on the machines. */
  readonly taps: Taps;
  /** The version of qmpmux. */
  readonly version: string;
  /** Whether other VMs are served as well. */
  readonly many: boolean;
  /** FFI, if a listener needs it and it is available. */
  readonly poller: Poller | undefined;
  /** Keeps listening sockets while qmpmux restarts, if systemd has a store. */
  readonly store: Store | undefined;
  /** Limits the replies that the clients of all machines leave unread. */
  readonly budget: ReplyBudget;
  /** Finds passed sockets. */
  readonly take: TakePassed;
  /** Returns the seconds that the daemon has run. */
  running(): number;
  /** Asks for ticks, because something may be due. */
  awake(): void;
  /** Takes over a promise: an error ends the daemon. */
  keep(promise: Promise<void>): void;
  /** Reloads the settings; returns the problems found. */
  reload(): Promise<readonly string[]>;
  /** Called when the state of QEMU has changed. */
  changed(): void;
}

const ENDED: QemuEnding = { kind: "shutdown", text: "qmpmux is shutting down" };

/** A machine from the daemon's start to its end. */
export class Machine implements Disposable {
  #settings: MachineSettings;
  readonly #deps: MachineDeps;
  readonly #records: VmRecords;
  readonly #log: Log;
  readonly #limitLog: LimitLog;
  readonly #errors: InternalErrors;
  readonly #mux: Mux;
  /** Its name in cursors, which no other machine has. */
  readonly #run = crypto.randomUUID().replaceAll("-", "").slice(0, 16);
  readonly #traffic: TrafficSource;
  readonly #link: QemuLink;
  readonly #clients: ClientRegistry;
  readonly #stop = new AbortController();
  /** Resolves when draining has finished. */
  readonly #drained = Promise.withResolvers<void>();

  /**
   * Creates a machine without clients and without QEMU.
   *
   * @param label its name in the log and the records, if it has one there
   * @throws Failure if QEMU cannot be at its address
   */
  constructor(settings: MachineSettings, label: string | undefined, deps: MachineDeps) {
    checkPlace(settings.qemu);
    const { clock, keep, reload, changed } = deps;
    const log = label === undefined ? deps.log : deps.log.withVm(label);
    this.#settings = settings;
    this.#deps = deps;
    this.#log = log;
    this.#records = deps.records.ofVm(label);
    this.#limitLog = new LimitLog(log, this.#records.limitReached, deps.awake);
    this.#errors = new InternalErrors(this.#limitLog, this.#records.internalError);
    const errors = this.#errors;
    this.#mux = new Mux(this.#muxOptions(settings), {
      stalled: (stalled) => {
        this.#link.stalled(stalled);
        changed();
      },
      ready: (greeting) => this.#ready(greeting),
      lost: () => this.#clients.qemuReady(false),
      idle: () => this.#drained.resolve(),
      reload: (done) => keep(reload().then(done)),
      failed: (where, error, client) => errors.report(where, error, client),
      mayLackFdsOption: ({ name, grant }) =>
        this.#limitLog.logged(
          `${grant.name}: a descriptor was missing`,
          `client ${name} sent a command that takes a file descriptor, but none was passed: its listener has no ` +
            "fds=on; add it if clients should pass descriptors",
        ),
    }, this.#records.recording);
    this.#records.measure(() => this.#mux.gauges());
    this.#traffic = this.#mux.traffic;
    deps.taps.join(this.#traffic);
    const shared = {
      mux: this.#mux,
      log,
      limitLog: this.#limitLog,
      errors,
      clock,
      turns: TURNS,
      awake: deps.awake,
    };
    this.#link = new QemuLink({
      ...shared,
      stop: this.#stop.signal,
      many: deps.many,
      settings: () => this.#settings,
      disconnected: changed,
    });
    this.#clients = new ClientRegistry(settings, { ...deps, ...shared });
  }

  /** Listens for clients; @throws Failure if it cannot */
  async open(): Promise<void> {
    await this.#clients.open();
  }

  /** Serves QEMU until the machine is drained, or until the first QEMU disconnects with `once`. */
  async run(): Promise<void> {
    try {
      await this.#link.run(this.#deps.poller?.libc);
    } finally {
      this.#drained.resolve();
    }
  }

  /** Makes no new connection to QEMU, waits for pending commands, then disconnects; `run` then resolves. */
  drain(): void {
    if (this.#stop.signal.aborted) return;
    this.#stop.abort();
    // New clients wait for the next process.
    if (this.#deps.store?.leaving) this.#clients[Symbol.dispose]();
    if (this.#link.connected) this.#deps.keep(this.#drain());
  }

  async #drain(): Promise<void> {
    this.#mux.drain();
    await withTimeout(this.#settings["drain-timeout"] * 1000, this.#drained.promise, undefined);
    this.#link.close(ENDED);
  }

  /** Ends draining now. */
  disconnect(): void {
    this.#drained.resolve();
  }

  /**
   * Runs every step of adopting new settings that can fail. If QEMU has another address, the commit
   * ends the present session.
   *
   * @throws Failure if it cannot
   */
  async prepare(settings: MachineSettings): Promise<Change> {
    const moves = addressText(settings.qemu) !== addressText(this.#settings.qemu);
    if (moves) checkPlace(settings.qemu);
    const clients = await this.#clients.prepare(settings);
    return {
      commit: () => {
        clients.commit();
        this.#settings = settings;
        this.#mux.adopt(this.#muxOptions(settings));
        if (!moves) return;
        this.#link.close({ kind: "closed", text: "QEMU's address has changed" });
        this.#link.redial();
      },
      undo: clients.undo,
    };
  }

  /** Connects to QEMU now, if it is not connected: its socket has appeared. */
  qemuAppeared(): void {
    this.#link.redial();
  }

  /** Connects to QEMU again if another socket has taken the place of its own. */
  compareSocket(): void {
    this.#link.compare();
  }

  /** Whether it has no connection to a QEMU. */
  get awaitsQemu(): boolean {
    return !this.#link.connected;
  }

  /** The path of QEMU's socket file, if it is one. */
  get qemuPath(): string | undefined {
    const { qemu } = this.#settings;
    return qemu.transport === "unix" && isFile(qemu) ? qemu.path : undefined;
  }

  /** Its part for administrators. */
  get administered(): Administered {
    return this.#mux.administered;
  }

  /** Uses the present observers from now on. */
  adoptRecording(): void {
    this.#mux.adoptRecording(this.#records.recording);
  }

  /** Whether `tick` must be called: something may be due. */
  get needsTime(): boolean {
    return this.#mux.needsTime || this.#clients.needsTime || this.#limitLog.needsTime;
  }

  /** Advances the time to `now`, in seconds. */
  tick(now: number): void {
    this.#errors.attempt("other", () => this.#mux.tick(now));
    this.#errors.attempt("other", () => this.#clients.tick(now));
    this.#limitLog.tick(now);
  }

  /** Disconnects the clients and accepts no more; `run` resolves soon. */
  [Symbol.dispose](): void {
    this.#stop.abort();
    this.#drained.resolve();
    this.#errors.attempt("teardown", () => this.#clients[Symbol.dispose]());
    this.#errors.attempt("teardown", () => this.#mux.dismissAll("qmpmux is shutting down"));
    this.#errors.attempt("teardown", () => this.#link.close(ENDED));
    this.#errors.attempt("teardown", () => this.#records[Symbol.dispose]());
    this.#deps.taps.leave(this.#traffic);
  }

  /** Whether any QEMU has been ready since the start. */
  get served(): boolean {
    return this.#link.served;
  }

  /** Whether QEMU has stalled. */
  get stalled(): boolean {
    return this.#mux.status().qemu === "stalled";
  }

  /** The number of its clients. */
  get clients(): number {
    return this.#mux.monitors.size;
  }

  /** The state of its QEMU in a few words. */
  get statusText(): string {
    return this.#stop.signal.aborted ? "shutting down" : this.#link.statusText;
  }

  /** Logs its state in one line, which has the state of the audit too if that is given. */
  logStatus(audit?: string): void {
    const { qemu, version, sessions, clients, waiting, inFlight, age } = this.#mux.status();
    const state = version === null ? qemu : `${version} ${qemu}`;
    this.#log.info(
      `status: QEMU ${state}, session ${sessions}; ${clients} clients; ` +
        `${inFlight} commands at QEMU, ${waiting} waiting; ` +
        `${audit === undefined ? "" : `${audit}; `}up ${Math.floor(age)} s`,
    );
  }

  #ready(greeting: Greeting): void {
    this.#clients.qemuReady(true);
    this.#link.ready(greeting);
    this.#deps.changed();
  }

  /** Returns the settings that concern the hub. */
  #muxOptions(settings: MachineSettings): MuxOptions {
    return {
      ...commonOptions(settings, this.#deps),
      vm: settings.vm,
      run: this.#run,
      makeKey: () => `${this.#run}-${crypto.randomUUID()}`,
      eventLog: { bytes: settings["event-log-bytes"], events: settings["event-log-events"] },
      isNamed: this.#records.label !== undefined,
      probesWhenIdle: settings.watchdog === "qemu",
      deadlines: settings.deadline,
    };
  }
}

/** Returns the settings of a hub that has a QEMU, and of that of a control socket. */
export function commonOptions(
  settings: ServeSettings | MachineSettings,
  { clock, version, running }: Pick<MachineDeps, "clock" | "version" | "running">,
): Omit<MuxOptions, "vm" | "deadlines"> {
  return {
    roles: settings.roles,
    version,
    handshakeTime: settings["handshake-timeout"],
    onLoss: settings["on-loss"],
    stallTime: settings["stall-timeout"],
    timeOfDay: () => clock.timeOfDay(),
    clock: () => clock.now(),
    running,
    later: (task) => TURNS.add(task),
  };
}
