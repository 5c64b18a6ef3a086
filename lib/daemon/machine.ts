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
import type { Gauges } from "../observe/metrics_recorder.ts";
import type { Greeting } from "../wire/message.ts";
import { type Clock, withTimeout } from "../platform/clock.ts";
import { checkPlace } from "../platform/dial.ts";
import type { TakePassed } from "../platform/listener.ts";
import type { Log } from "../platform/log.ts";
import { TURNS } from "../platform/turns.ts";
import { ClientRegistry } from "./client_registry.ts";
import { InternalErrors, LimitLog } from "./limit_log.ts";
import { QemuLink } from "./qemu_link.ts";
import { nameOf, type Records } from "./records.ts";

/** The parts of the daemon that a machine uses. */
export interface MachineDeps {
  /** Receives its log lines. */
  readonly log: Log;
  /** Measures its time. */
  readonly clock: Clock;
  /** Records its commands. */
  readonly records: Records;
  /** The version of qmpmux. */
  readonly version: string;
  /** Finds passed sockets. */
  readonly take: TakePassed;
  /** Returns the seconds that the daemon has run. */
  running(): number;
  /** Takes over a promise: an error ends the daemon. */
  keep(promise: Promise<void>): void;
  /** Reloads the settings; returns the problems found. */
  reload(): Promise<readonly string[]>;
  /** Called once, when the first QEMU is ready. */
  ready(): void;
  /** Called when the state of QEMU has changed. */
  changed(): void;
}

/** A machine, from the daemon's start to its exit. */
export class Machine implements Disposable {
  #settings: MachineSettings;
  readonly #deps: MachineDeps;
  readonly #limitLog: LimitLog;
  readonly #errors: InternalErrors;
  readonly #mux: Mux;
  readonly #link: QemuLink;
  readonly #clients: ClientRegistry;
  readonly #stop = new AbortController();
  /** Resolves when draining has finished. */
  readonly #drained = Promise.withResolvers<void>();

  /**
   * Creates a machine without clients and without QEMU.
   *
   * @throws Failure if QEMU's address cannot be a monitor
   */
  constructor(settings: MachineSettings, deps: MachineDeps) {
    checkPlace(settings.qemu);
    const { clock, records, keep, take, reload, changed } = deps;
    const name = nameOf(settings);
    const log = name === undefined ? deps.log : deps.log.withVm(name);
    this.#settings = settings;
    this.#deps = deps;
    this.#limitLog = new LimitLog(log, records.limitReached);
    this.#errors = new InternalErrors(this.#limitLog, records.internalError);
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
    }, records.recording);
    const shared = { mux: this.#mux, log, limitLog: this.#limitLog, errors, clock, turns: TURNS };
    this.#link = new QemuLink({
      ...shared,
      stop: this.#stop.signal,
      settings: () => this.#settings,
      disconnected: changed,
    });
    this.#clients = new ClientRegistry(settings, { ...shared, take, keep });
  }

  /** Listens for clients; @throws Failure if it cannot */
  async open(): Promise<void> {
    await this.#clients.open();
  }

  /** Serves QEMU until the machine is drained, or until the first QEMU disconnects with `once`. */
  async run(): Promise<void> {
    try {
      await this.#link.run(this.#clients.poller?.libc);
    } finally {
      this.#drained.resolve();
    }
  }

  /** Makes no new connection to QEMU, waits for pending commands, then disconnects; `run` then resolves. */
  drain(): void {
    if (this.#stop.signal.aborted) return;
    this.#stop.abort();
    if (this.#link.connected) this.#deps.keep(this.#drain());
  }

  async #drain(): Promise<void> {
    this.#mux.drain();
    await withTimeout(this.#settings["drain-timeout"] * 1000, this.#drained.promise, undefined);
    this.#link.close({ kind: "shutdown", text: "qmpmux is shutting down" });
  }

  /** Ends draining now. */
  disconnect(): void {
    this.#drained.resolve();
  }

  /** Adopts new settings, all or nothing; @throws Failure if it cannot */
  async adopt(settings: MachineSettings): Promise<void> {
    await this.#clients.adopt(settings);
    this.#settings = settings;
    this.#mux.adopt(this.#muxOptions(settings));
  }

  /** Uses the present observers from now on. */
  adoptRecording(): void {
    this.#mux.adoptRecording(this.#deps.records.recording);
  }

  /** Advances the time to `now`, in seconds. */
  tick(now: number): void {
    this.#errors.attempt("other", () => this.#mux.tick(now));
    this.#errors.attempt("other", () => this.#clients.tick(now));
    this.#limitLog.tick(now);
  }

  /** Disconnects the clients and accepts no more. */
  [Symbol.dispose](): void {
    this.#errors.attempt("teardown", () => this.#clients[Symbol.dispose]());
    this.#errors.attempt("teardown", () => this.#mux.dismissAll("qmpmux is shutting down"));
  }

  /** Resolves when the thread that polls sockets has ended; call it when the last client has left. */
  async idle(): Promise<void> {
    await this.#clients.idle();
  }

  /** Whether any QEMU has been ready since the start. */
  get served(): boolean {
    return this.#link.served;
  }

  /** Whether QEMU has stalled. */
  get stalled(): boolean {
    return this.#mux.status().qemu === "stalled";
  }

  /** The present values of its gauges. */
  get gauges(): Gauges {
    return this.#mux.gauges();
  }

  /** Its state in a few words. */
  get statusText(): string {
    const { size } = this.#mux.monitors;
    const qemu = this.#stop.signal.aborted ? "shutting down" : this.#link.statusText;
    return `${qemu}, ${size} ${size === 1 ? "client" : "clients"}`;
  }

  /** Its state in one line. */
  get summary(): string {
    const { qemu, version, sessions, clients, waiting, inFlight, age } = this.#mux.status();
    const state = version === null ? qemu : `${version} ${qemu}`;
    return `QEMU ${state}, session ${sessions}; ${clients} clients; ` +
      `${inFlight} commands at QEMU, ${waiting} waiting; ${this.#deps.records.status}; ` +
      `up ${Math.floor(age)} s`;
  }

  #ready(greeting: Greeting): void {
    this.#clients.qemuReady(true);
    const first = !this.served;
    this.#link.ready(greeting);
    if (first) this.#deps.ready();
    this.#deps.changed();
  }

  /** Returns the settings that concern the hub. */
  #muxOptions(settings: MachineSettings): MuxOptions {
    const { clock, version, running } = this.#deps;
    return {
      vm: settings.vm,
      isNamed: nameOf(settings) !== undefined,
      version,
      handshakeTime: settings["handshake-timeout"],
      onLoss: settings["on-loss"],
      stallTime: settings["stall-timeout"],
      probesWhenIdle: settings.watchdog === "qemu",
      deadlines: settings.deadline,
      timeOfDay: () => clock.timeOfDay(),
      clock: () => clock.now(),
      running,
      later: (task) => TURNS.add(task),
    };
  }
}
