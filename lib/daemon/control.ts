/**
 * The control socket: administrators of all VMs connect to it, whether there is a QEMU or not.
 *
 * @module
 */

import type { Administered, Administration } from "../hub/administration.ts";
import { Mux } from "../hub/mux.ts";
import type { MuxOptions } from "../hub/mux_options.ts";
import type { OpenTap } from "../hub/tap_request.ts";
import { DEFAULT_VM } from "../config/machines.ts";
import type { ServeSettings } from "../config/settings.ts";
import type { Change } from "../platform/socket_file.ts";
import { TURNS } from "../platform/turns.ts";
import { ClientRegistry, type ClientSettings, type RegistryDeps } from "./client_registry.ts";
import { InternalErrors, LimitLog } from "./limit_log.ts";
import { commonOptions, type MachineDeps } from "./machine.ts";

/** The parts of the daemon that the control socket uses. */
export interface ControlDeps
  extends
    Pick<MachineDeps, "log" | "clock" | "records" | "version" | "running" | "reload" | "awake">,
    Pick<MachineDeps, "taps">,
    Pick<RegistryDeps, "poller" | "store" | "budget" | "take" | "keep"> {
  /** Returns the VMs. */
  vms(): Iterable<Administered>;
}

/** The control socket, and the administrators connected to it. */
export class Control implements Disposable {
  readonly #deps: ControlDeps;
  readonly #limitLog: LimitLog;
  readonly #errors: InternalErrors;
  readonly #mux: Mux;
  readonly #clients: ClientRegistry;
  readonly #administration: Administration;
  /** The name of the only VM. */
  readonly #vm: string;

  /**
   * Creates it without administrators.
   *
   * @param many whether there can be several VMs
   */
  constructor(settings: ServeSettings, many: boolean, deps: ControlDeps) {
    const { log, clock, records, keep, reload, vms } = deps;
    this.#deps = deps;
    this.#limitLog = new LimitLog(log, records.limitReached, deps.awake);
    this.#errors = new InternalErrors(this.#limitLog, records.internalError);
    const [errors, limitLog] = [this.#errors, this.#limitLog];
    this.#administration = { many, vms };
    this.#vm = settings.vm ?? DEFAULT_VM;
    this.#mux = new Mux(this.#muxOptions(settings), {
      ready: () => {},
      lost: () => {},
      stalled: () => {},
      idle: () => {},
      reload: (done) => keep(reload().then(done)),
      failed: (where, error, client) => errors.report(where, error, client),
    }, records.ofControl);
    const shared = {
      mux: this.#mux,
      log,
      limitLog,
      errors,
      clock,
      turns: TURNS,
      awake: deps.awake,
    };
    this.#clients = new ClientRegistry(listenersOf(settings), { ...deps, ...shared });
  }

  /** Listens, if the settings have an address; @throws Failure if it cannot */
  async open(): Promise<void> {
    await this.#clients.open();
  }

  /** Runs every step of adopting new settings that can fail; @throws Failure if it cannot */
  async prepare(settings: ServeSettings): Promise<Change> {
    const { commit, undo } = await this.#clients.prepare(listenersOf(settings));
    return {
      commit: () => {
        commit();
        this.#mux.adopt(this.#muxOptions(settings));
      },
      undo,
    };
  }

  /** Records with the present observers from now on. */
  adoptRecording(): void {
    this.#mux.adoptRecording(this.#deps.records.ofControl);
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

  /** Disconnects the administrators and accepts no more. */
  [Symbol.dispose](): void {
    this.#errors.attempt("teardown", () => this.#clients[Symbol.dispose]());
    this.#errors.attempt("teardown", () => this.#mux.dismissAll("qmpmux is shutting down"));
  }

  /** Opens a tap for an administrator; what that needs is loaded when it is first used. */
  readonly #openTap: OpenTap = (monitor, request, done) => {
    const { taps, clock, version, poller, keep } = this.#deps;
    const vm = this.#administration.many ? undefined : this.#vm;
    const failed = (error: unknown): void => this.#errors.report("client", error, monitor.name);
    const opening = import("./control_tap.ts").then(({ openTap }) =>
      openTap(monitor, request, { taps, clock, version, vm, libc: poller?.libc, failed }, done)
    );
    keep(opening);
  };

  #muxOptions(settings: ServeSettings): MuxOptions {
    return {
      ...commonOptions(settings, this.#deps),
      vm: settings.vm ?? DEFAULT_VM,
      administration: this.#administration,
      openTap: this.#openTap,
      deadlines: [],
    };
  }
}

/** The control socket as the only listener; without one, nobody can connect. */
function listenersOf(settings: ServeSettings): ClientSettings {
  const { control } = settings;
  return {
    listeners: control === undefined ? [] : [control],
    "max-clients": settings["max-clients"],
  };
}
