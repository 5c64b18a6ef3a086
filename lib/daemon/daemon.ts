/**
 * The process: the clock, the signals, systemd, the records, the control socket, and the machines.
 *
 * @module
 */

import type { Administered } from "../hub/administration.ts";
import { Taps } from "../observe/taps.ts";
import { ConfigError, UsageError } from "../policy/usage_error.ts";
import { placeText } from "../config/recording.ts";
import { machinesOf } from "../config/machines.ts";
import { changedForRestart, isForMany, type ServeSettings } from "../config/settings.ts";
import { CLOCK, runLater, RunningTime } from "../platform/clock.ts";
import { type ExitStatus, Failure } from "../platform/failure.ts";
import type { Log } from "../platform/log.ts";
import { DescriptorStore } from "../platform/descriptor_store.ts";
import { Listener } from "../platform/listener.ts";
import { openPoller, type Poller } from "../platform/poller.ts";
import { ReplyBudget } from "../platform/reply_budget.ts";
import { dropPermissions, onSignals } from "../platform/runtime.ts";
import { type Change, NO_CHANGE } from "../platform/socket_file.ts";
import { Notifier, readServiceEnvironment } from "../platform/systemd.ts";
import { InternalErrors, LimitLog } from "./limit_log.ts";
import { Control } from "./control.ts";
import type { MachineDeps } from "./machine.ts";
import { MachineSet } from "./machine_set.ts";
import { MetricsServer } from "./metrics_server.ts";
import { ProcessRecording } from "./recording.ts";
import { Records } from "./records.ts";

const TICK_MS = 1000;
/** The limit of teardown after draining. Clients have the first two seconds to read. */
const TEARDOWN_MS = 10_000;
/** The time for everything after a second signal. */
const SECOND_SIGNAL_MS = 3000;
/**
 * The most seconds that one tick adds to the running time.
 *
 * The rest of a longer pause, such as SIGSTOP, does not count. On a loaded host ticks are a little late.
 */
const LONGEST_TICK = 1.5;

/**
 * Serves until a signal ends it.
 *
 * @param reread reads the settings again for a reload; after an error nothing changes
 * @param version the version of qmpmux, for the metrics
 * @throws Failure if it cannot serve
 */
export async function serve(
  settings: ServeSettings,
  log: Log,
  reread?: () => ServeSettings,
  version = "unknown",
): Promise<ExitStatus> {
  const daemon = new Daemon(settings, log, reread, version);
  return await Promise.race([daemon.run(), daemon.forced]);
}

class Daemon {
  #settings: ServeSettings;
  readonly #reread: (() => ServeSettings) | undefined;
  readonly #version: string;
  readonly #log: Log;
  readonly #machines: MachineSet;
  readonly #control: Control;
  /** FFI, if a listener needs it and it is available. */
  readonly #poller: Poller | undefined;
  /** systemd's descriptor store, if listening sockets are in it or should be. */
  readonly #store: DescriptorStore | undefined;
  readonly #budget: ReplyBudget;
  readonly #running = new Set<Promise<void>>();
  #stopping = false;
  readonly #forced = Promise.withResolvers<ExitStatus>();
  readonly #limitLog: LimitLog;
  readonly #errors: InternalErrors;
  /** The time that the timeouts of clients and of QEMU are measured in. */
  readonly #time = new RunningTime(LONGEST_TICK, CLOCK.now());
  readonly #service = readServiceEnvironment();
  readonly #notifier: Notifier;
  readonly #records: Records;
  readonly #taps = new Taps();
  readonly #recording: ProcessRecording;
  /** The ticks, while something needs the time. */
  #ticks: Disposable | undefined;
  #closed = false;
  #metrics: MetricsServer | undefined;
  /** The address of the metrics as it is configured. */
  #metricsPlace: string | undefined;
  #reloading: Promise<readonly string[]> = Promise.resolve([]);
  #failed: unknown;

  constructor(
    settings: ServeSettings,
    log: Log,
    reread: (() => ServeSettings) | undefined,
    version: string,
  ) {
    this.#settings = settings;
    this.#reread = reread;
    this.#version = version;
    this.#log = log;
    this.#records = new Records(settings, log, version, CLOCK, () => this.#awake());
    this.#limitLog = new LimitLog(log, this.#records.limitReached, () => this.#awake());
    this.#errors = new InternalErrors(this.#limitLog, this.#records.internalError);
    this.#notifier = new Notifier(this.#service.notifySocket, log);
    const { sockets, notifySocket } = this.#service;
    if (needsFfi(settings) || sockets.hasStored) this.#poller = openPoller(log);
    const poller = this.#poller;
    this.#store = DescriptorStore.open(settings["fd-store"], notifySocket, {
      sockets,
      poller,
      log,
    });
    this.#budget = new ReplyBudget(settings["max-unread"]);
    const broken = (error: unknown): void => this.#errors.report("other", error, "recording");
    const means = { libc: poller?.libc, failed: this.#records.recordFailed, broken };
    const common = { taps: this.#taps, clock: CLOCK, log, version };
    this.#recording = new ProcessRecording({ ...common, ...means });
    const machines = machinesOf(settings);
    const deps = this.#machineDeps();
    this.#machines = new MachineSet(machines, {
      ...deps,
      limitLog: this.#limitLog,
      errors: this.#errors,
      allOpened: () => this.#store?.closeRest(),
      allServed: () => {
        if (this.#settings.ready === "qemu") this.#notifier.ready();
      },
    });
    const vms = (): Iterable<Administered> => this.#machines.overview.administered();
    this.#control = new Control(settings, machines.many, { ...deps, vms });
  }

  /** Resolves with the exit status if the daemon must be forced to exit. */
  get forced(): Promise<ExitStatus> {
    return this.#forced.promise;
  }

  async run(): Promise<ExitStatus> {
    using _errors = this.#errors.catchAll();
    try {
      return await this.#run();
    } finally {
      this.#notifier.stopping();
      await Promise.all([this.#records.close(), this.#recording.close()]);
      await this.#notifier.close();
    }
  }

  async #run(): Promise<ExitStatus> {
    const { sockets, watchdogMs } = this.#service;
    using _signals = this.#signals();
    try {
      (await this.#recording.prepare(this.#settings)).commit();
      await this.#machines.open();
      await this.#control.open();
      this.#poller?.libc.noteListening();
      (await this.#prepareMetrics(this.#settings)).commit();
      using _metrics = { [Symbol.dispose]: (): void => this.#metrics?.[Symbol.dispose]() };
      for (const name of sockets.untaken) {
        this.#log.warn(`systemd passed the socket ${name}, but no --listen fd:${name} uses it`);
      }
      await dropPermissions(this.#settings, this.#notifier.active, this.#reread !== undefined);
      using _watchdog = this.#watchdog(watchdogMs);
      if (this.#settings.ready === "listening") this.#notifier.ready();
      this.#report();
      this.#awake();
      await this.#machines.run();
    } finally {
      this.#forceWithin(TEARDOWN_MS);
      this.#machines[Symbol.dispose]();
      this.#control[Symbol.dispose]();
      // Clients get time to read what is queued for them.
      while (this.#running.size > 0) await Promise.all(this.#running);
      this.#store?.close();
      await this.#poller?.idle();
      this.#closed = true;
      this.#rest();
    }
    if (this.#failed !== undefined) throw this.#failed;
    return 0;
  }

  #machineDeps(): Omit<MachineDeps, "many"> {
    return {
      log: this.#log,
      clock: CLOCK,
      records: this.#records,
      taps: this.#taps,
      version: this.#version,
      poller: this.#poller,
      store: this.#store,
      budget: this.#budget,
      take: (name) => this.#service.sockets.take(name),
      running: () => this.#time.at(CLOCK.now()),
      awake: () => this.#awake(),
      keep: (promise) => this.#keep(promise),
      reload: () => this.#nextReload(),
      changed: () => this.#report(),
    };
  }

  /**
   * Opens a metrics server if its address has changed.
   *
   * @throws Failure if it cannot listen there
   */
  async #prepareMetrics({ metrics }: ServeSettings): Promise<Change> {
    const old = this.#metrics;
    const place = metrics && placeText(metrics);
    if (place === this.#metricsPlace) return NO_CHANGE;
    const render = (): ReturnType<Records["render"]> => this.#records.render();
    const hosts = (): readonly string[] => this.#settings["metrics-host"] ?? [];
    const take = (name: string): number => this.#service.sockets.take(name);
    const server = metrics &&
      new MetricsServer(await Listener.open(metrics, { take }), render, hosts);
    return {
      commit: () => {
        this.#metrics = server;
        this.#metricsPlace = place;
        old?.[Symbol.dispose]();
        if (server === undefined) return;
        this.#log.info(`metrics on ${server.address}`);
        this.#keep(server.run(this.#log));
      },
      undo: () => server?.[Symbol.dispose](),
    };
  }

  /** Reloads the settings, after any reload in progress; returns the problems found. */
  #nextReload(): Promise<readonly string[]> {
    return this.#reloading = this.#reloading.then(() => this.#reload());
  }

  /** Adopts new settings without dropping a client; if they are invalid, nothing changes. */
  async #reload(): Promise<readonly string[]> {
    this.#notifier.reloading();
    this.#reopen();
    try {
      if (this.#reread === undefined) {
        throw new Failure(78, "no configuration file was given; restart qmpmux with --config");
      }
      const settings = this.#reread();
      const changed = changedForRestart(this.#settings, settings);
      if (changed.length > 0) {
        throw new Failure(78, `${changed.join(", ")} cannot change while qmpmux runs; restart it`);
      }
      if (isForMany(settings) && needsFfi(settings) && !needsFfi(this.#settings)) {
        throw new Failure(
          78,
          "the first identity, which allow, role-for, user-rate and fds imply, cannot be added while " +
            "qmpmux runs; restart it",
        );
      }
      await this.#adopt(settings);
      this.#log.info("the configuration has been reloaded");
      return [];
    } catch (error) {
      const problems = problemsOf(error);
      for (const problem of problems) this.#log.warn(`not reloaded: ${problem}`);
      return problems;
    } finally {
      this.#notifier.reloaded();
    }
  }

  /** Adopts new settings, all or nothing: the steps that can fail come first. */
  async #adopt(settings: ServeSettings): Promise<void> {
    const changes: Change[] = [];
    try {
      changes.push(this.#records.prepare(settings));
      changes.push(await this.#recording.prepare(settings));
      changes.push(await this.#prepareMetrics(settings));
      changes.push(await this.#control.prepare(settings));
      changes.push(await this.#machines.prepare(machinesOf(settings)));
    } catch (error) {
      for (const { undo } of changes) undo();
      throw error;
    }
    for (const { commit } of changes) commit();
    this.#settings = settings;
    this.#budget.limit = settings["max-unread"];
    this.#poller?.libc.noteListening();
    this.#machines.adoptRecording();
    this.#control.adoptRecording();
  }

  #tick(now: number): void {
    this.#machines.tick(now);
    this.#control.tick(now);
    this.#limitLog.tick(now);
    this.#records.tick();
    this.#report();
    const needsTime = this.#machines.needsTime || this.#control.needsTime ||
      this.#limitLog.needsTime || this.#records.failing;
    if (!needsTime) this.#rest();
  }

  /** Ticks once a second from now on, until nothing needs the time. */
  #awake(): void {
    if (this.#ticks !== undefined || this.#closed) return;
    this.#time.tick(CLOCK.now());
    this.#ticks = every(TICK_MS, () => this.#tick(this.#time.tick(CLOCK.now())));
  }

  /** Ends the ticks. */
  #rest(): void {
    this.#ticks?.[Symbol.dispose]();
    this.#ticks = undefined;
    this.#time.rest();
  }

  /** Forces the process to exit after a while, even if something is still pending. */
  #forceWithin(milliseconds: number): void {
    runLater(milliseconds, () => {
      this.#log.warn("qmpmux exits although something is still pending");
      this.#forced.resolve(1);
    });
  }

  /** Sends the status to systemd: whenever QEMU's state changes, and once a second for the clients. */
  #report(): void {
    this.#notifier.status(this.#machines.overview.text);
  }

  /** Notifies systemd's watchdog while this event loop runs, and if so configured only while QEMU answers. */
  #watchdog(period: number | undefined): Disposable | undefined {
    return period === undefined ? undefined : every(period / 2, () => {
      const stalled = this.#machines.overview.machines().some((machine) => machine.stalled);
      if (!stalled || this.#settings.watchdog !== "qemu") this.#notifier.alive();
    });
  }

  /** Takes over a promise: an error ends the daemon. */
  #keep(promise: Promise<void>): void {
    const kept = promise.catch((error) => {
      this.#failed ??= error;
      this.#stop();
      this.#disconnect();
    }).finally(() => this.#running.delete(kept));
    this.#running.add(kept);
  }

  /** Reopens the audit and the recording; returns whether there is one of them. */
  #reopen(): boolean {
    return [this.#records.reopen(), this.#recording.reopen()].some(Boolean);
  }

  #stop(): void {
    this.#stopping = true;
    this.#store?.leave();
    this.#machines.drain();
  }

  #disconnect(): void {
    this.#machines.disconnect();
  }

  #signals(): Disposable {
    return onSignals(
      () => {
        if (this.#stopping) {
          this.#disconnect();
          this.#forceWithin(SECOND_SIGNAL_MS);
        }
        this.#stop();
        this.#notifier.stopping();
        this.#report();
      },
      () => {
        // Without a configuration file, SIGHUP only reopens the files.
        if (this.#reread === undefined && this.#reopen()) return;
        this.#keep(this.#nextReload().then(() => {}));
      },
      () => this.#machines.overview.log(this.#records.status),
    );
  }
}

/** Returns whether a listener needs FFI. */
function needsFfi(settings: ServeSettings): boolean {
  const { listeners, vms, control } = settings;
  const all = [...listeners, ...vms.flatMap((vm) => vm.listeners)];
  return settings["fd-store"] || control !== undefined || all.some(({ identity }) => identity);
}

function every(milliseconds: number, run: () => void): Disposable {
  const timer = setInterval(run, milliseconds);
  return { [Symbol.dispose]: (): void => clearInterval(timer) };
}

/** Returns the problems that an error describes, for people; throws any other error again. */
function problemsOf(error: unknown): readonly string[] {
  if (error instanceof ConfigError) return error.problems;
  if (error instanceof Failure || error instanceof UsageError) return [error.message];
  throw error;
}
