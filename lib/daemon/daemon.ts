/**
 * The daemon: the reception of clients, the QEMUs they talk to, the clock and the signals.
 *
 * @module
 */

import { gaugesOf } from "../hub/census.ts";
import { Mux, type MuxOptions } from "../hub/mux.ts";
import { UsageError } from "../policy/usage_error.ts";
import { ConfigError } from "../config/config_error.ts";
import { placeText } from "../config/recording.ts";
import { changedForRestart, type ServeSettings } from "../config/settings.ts";
import type { InternalErrorPlace } from "../observe/observer.ts";
import type { Greeting } from "../wire/message.ts";
import { RunningTime, STEADY } from "../platform/clock.ts";
import { type ExitStatus, Failure } from "../platform/failure.ts";
import { InternalErrors } from "./internal_errors.ts";
import { LimitLog } from "./limit_log.ts";
import type { Log } from "../platform/log.ts";
import { dropPermissions } from "../platform/permissions.ts";
import { MetricsServer } from "./metrics_server.ts";
import { checkPlace } from "./qemu.ts";
import { ClientRegistry } from "./client_registry.ts";
import { Records } from "./records.ts";
import { type Change, NO_CHANGE } from "../platform/socket_file.ts";
import { QemuLink } from "./qemu_link.ts";
import { Notifier, readServiceEnvironment } from "../platform/systemd.ts";
import { TURNS } from "../platform/turns.ts";

const TICK_MS = 1000;
/** The end may take this long when everything under way has finished: clients are given two seconds to read. */
const TEARDOWN_MS = 10_000;
/** And this long after a second signal. */
const SECOND_SIGNAL_MS = 3000;
/** Seconds that count at most from one tick to the next; a loaded machine makes ticks a little late. */
const LONGEST_TICK = 1.5;
const STOP_SIGNALS = ["SIGTERM", "SIGINT"] as const;
/** `deno run` of 2.9.2 and later opens its debugger as well at the first of them, not at the second. */
const STATUS_SIGNALS = ["SIGUSR1", "SIGUSR2"] as const;

/**
 * Serves until it is told to end.
 *
 * @param reread gives the settings anew, at SIGHUP; what it throws is told, and changes nothing
 * @param version of qmpmux, for the metrics
 * @throws Failure where it cannot
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
  readonly #mux: Mux;
  readonly #qemus: QemuLink;
  #clientRegistry: ClientRegistry | undefined;
  readonly #limitLog: LimitLog;
  readonly #running = new Set<Promise<void>>();
  /** Told when it is time to end. */
  readonly #stop = new AbortController();
  /** Told when it is time to end at once. */
  readonly #now = new AbortController();
  readonly #forced = Promise.withResolvers<ExitStatus>();
  readonly #errors: InternalErrors;
  /** What the clients' and QEMU's times are counted in. */
  readonly #time = new RunningTime(LONGEST_TICK, STEADY.now());
  readonly #service = readServiceEnvironment();
  readonly #notifier: Notifier;
  readonly #records: Records;
  #metrics: MetricsServer | undefined;
  /** Its address as it is written. */
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
    this.#records = new Records(settings, log, version);
    this.#limitLog = new LimitLog(
      log,
      (limit) => this.#records.metricsRecorder?.limitReached(limit),
    );
    this.#errors = new InternalErrors(
      this.#limitLog,
      (where) => this.#records.metricsRecorder?.internalError(where),
    );
    this.#notifier = new Notifier(this.#service.notifySocket, log);
    this.#mux = new Mux(this.#muxOptions(settings), {
      stalled: (stalled) => {
        this.#qemus.stalled(stalled);
        this.#report();
      },
      ready: (greeting) => this.#ready(greeting),
      lost: () => this.#clientRegistry?.qemuReady(false),
      idle: () => this.#qemus.idle(),
      reload: (done) => this.#keep(this.#nextReload().then(done)),
      failed: (where, error, client) => this.#errors.report(where, error, client),
      lacksFds: ({ name, grant }) =>
        this.#limitLog.logged(
          `${grant.name}: no file descriptor came`,
          `client ${name} asked QEMU to take a file descriptor, and none came: its listener has no ` +
            "fds=on; add it if clients are to pass descriptors",
        ),
    }, this.#records.observer);
    this.#qemus = new QemuLink({
      mux: this.#mux,
      errors: this.#errors,
      log,
      stop: this.#stop.signal,
      atOnce: this.#now.signal,
      settings: () => this.#settings,
      keep: (promise) => this.#keep(promise),
      gone: () => this.#report(),
    });
  }

  /** Resolves where the daemon does not end by itself, though it has to. */
  get forced(): Promise<ExitStatus> {
    return this.#forced.promise;
  }

  async run(): Promise<ExitStatus> {
    using _errors = this.#errors.catchAll();
    try {
      return await this.#run();
    } finally {
      this.#notifier.stopping();
      await this.#records.close();
      await this.#notifier.close();
    }
  }

  async #run(): Promise<ExitStatus> {
    checkPlace(this.#settings.qemu);
    const { sockets, watchdogMs } = this.#service;
    using _signals = this.#signals();
    const clientRegistry = this.#newReception();
    this.#clientRegistry = clientRegistry;
    try {
      await clientRegistry.open();
      (await this.#prepareMetrics(this.#settings)).commit();
      using _metrics = { [Symbol.dispose]: (): void => this.#metrics?.[Symbol.dispose]() };
      for (const name of sockets.untaken) {
        this.#log.warn(`systemd passed the socket ${name}, which no --listen fd:${name} takes`);
      }
      await dropPermissions(this.#settings, this.#notifier.active, this.#reread !== undefined);
      using _watchdog = this.#watchdog(watchdogMs);
      if (this.#settings.ready === "listening") this.#notifier.ready();
      this.#report();
      using _clock = this.#clock();
      await this.#qemus.run(clientRegistry.ffi?.libc);
    } finally {
      this.#forceWithin(TEARDOWN_MS);
      this.#attempt(() => clientRegistry[Symbol.dispose]());
      this.#attempt(() => this.#mux.dismissAll("qmpmux is ending"));
      await this.#lastWords();
      await clientRegistry.idle();
    }
    if (this.#failed !== undefined) throw this.#failed;
    return 0;
  }

  /** What of the settings the hub needs. */
  #muxOptions(settings: ServeSettings): MuxOptions {
    const timeOfDay = (): number => Date.now() / 1000;
    const clock = (): number => STEADY.now();
    const running = (): number => this.#time.at(STEADY.now());
    return {
      vm: settings.vm,
      version: this.#version,
      handshakeTime: settings["handshake-timeout"],
      onLoss: settings["on-loss"],
      stallTime: settings["stall-timeout"],
      deadlines: settings.deadline,
      timeOfDay,
      clock,
      running,
      later: (task) => TURNS.add(task),
    };
  }

  #newReception(): ClientRegistry {
    const { sockets } = this.#service;
    return new ClientRegistry(this.#settings, {
      mux: this.#mux,
      log: this.#log,
      limitLog: this.#limitLog,
      errors: this.#errors,
      take: (name) => sockets.take(name),
      keep: (promise) => this.#keep(promise),
    });
  }

  /**
   * Opens where metrics can be fetched, if that is another place than before.
   *
   * @throws Failure where it cannot listen there
   */
  async #prepareMetrics({ metrics }: ServeSettings): Promise<Change> {
    const old = this.#metrics;
    const place = metrics && placeText(metrics);
    if (place === this.#metricsPlace) return NO_CHANGE;
    const { sockets } = this.#service;
    const render = (): string => this.#records.metricsRecorder?.render(gaugesOf(this.#mux)) ?? "";
    const hosts = (): readonly string[] => this.#settings["metrics-host"] ?? [];
    const take = (name: string): number => sockets.take(name);
    const server = metrics && await MetricsServer.open(metrics, render, hosts, take);
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

  /** Reads the settings again, one time after the other; gives what was wrong with them. */
  #nextReload(): Promise<readonly string[]> {
    return this.#reloading = this.#reloading.then(() => this.#reload());
  }

  /** Takes new settings without dropping a client; where they are wrong nothing changes. */
  async #reload(): Promise<readonly string[]> {
    this.#notifier.reloading();
    this.#records.reopen();
    try {
      if (this.#reread === undefined) {
        throw new Failure(78, "there is no configuration file; start with --config");
      }
      const settings = this.#reread();
      const changed = changedForRestart(this.#settings, settings);
      if (changed.length > 0) {
        throw new Failure(78, `${changed.join(", ")} cannot change while qmpmux runs; restart it`);
      }
      await this.#adopt(settings);
      this.#settings = settings;
      this.#mux.adopt(this.#muxOptions(settings));
      this.#mux.record(this.#records.observer);
      this.#log.info("the configuration has been read again");
      return [];
    } catch (error) {
      const problems = problemsOf(error);
      for (const problem of problems) this.#log.warn(`not read again: ${problem}`);
      return problems;
    } finally {
      this.#notifier.reloaded();
    }
  }

  /** Takes new settings, all or nothing: what can fail comes first. */
  async #adopt(settings: ServeSettings): Promise<void> {
    const changes: Change[] = [];
    try {
      changes.push(this.#records.prepare(settings));
      changes.push(await this.#prepareMetrics(settings));
      await this.#clientRegistry?.adopt(settings);
    } catch (error) {
      for (const { undo } of changes) undo();
      throw error;
    }
    for (const { commit } of changes) commit();
  }

  #ready(greeting: Greeting): void {
    this.#clientRegistry?.qemuReady(true);
    const first = this.#qemus.ready(greeting);
    if (first && this.#settings.ready === "qemu") this.#notifier.ready();
    this.#report();
  }

  /** Tells the time, once a second. */
  #clock(): Disposable {
    const timer = setInterval(() => this.#tick(this.#time.tick(STEADY.now())), TICK_MS);
    return { [Symbol.dispose]: (): void => clearInterval(timer) };
  }

  #tick(now: number): void {
    this.#attempt(() => this.#mux.tick(now), "other");
    this.#attempt(() => this.#clientRegistry?.tick(now), "other");
    this.#limitLog.tick(now);
    this.#records.tick();
    this.#report();
  }

  /** Runs what must not keep the rest from running. */
  #attempt(run: () => void, where: InternalErrorPlace = "teardown"): void {
    try {
      run();
    } catch (error) {
      this.#errors.report(where, error);
    }
  }

  /** Ends the process after a while, whatever still hangs. */
  #forceWithin(milliseconds: number): void {
    const timer = setTimeout(() => {
      this.#log.warn("qmpmux ends, though something has not come to its end");
      this.#forced.resolve(1);
    }, milliseconds);
    Deno.unrefTimer(timer);
  }

  /** Says how things are: at every change of QEMU's, and of the clients once a second. */
  #report(): void {
    const { size } = this.#mux.monitors;
    const clients = `${size} ${size === 1 ? "client" : "clients"}`;
    const qemu = this.#stop.signal.aborted ? "ending" : this.#qemus.statusText;
    this.#notifier.status(`${qemu}, ${clients}`);
  }

  /** How it stands, in one line. */
  #statusText(): string {
    const { qemu, version, sessions, clients, waiting, inFlight, age } = this.#mux.status();
    const state = version === null ? qemu : `${version} ${qemu}`;
    return `status: QEMU ${state}, session ${sessions}; ${clients} clients; ` +
      `${inFlight} commands at QEMU, ${waiting} waiting; ${this.#records.status}; ` +
      `up ${Math.floor(age)} s`;
  }

  /** Tells of this loop, whatever QEMU does: no healthy qmpmux is to end for QEMU's fault. */
  #watchdog(period: number | undefined): Disposable {
    if (period === undefined) return { [Symbol.dispose](): void {} };
    const timer = setInterval(() => {
      const concerns = this.#settings.watchdog === "qemu" &&
        this.#mux.status().qemu === "stalled";
      if (!concerns) this.#notifier.alive();
    }, period / 2);
    return { [Symbol.dispose]: (): void => clearInterval(timer) };
  }

  /** Owns a promise: what it throws ends the daemon. */
  #keep(promise: Promise<void>): void {
    const kept = promise.catch((error) => {
      this.#failed ??= error;
      this.#stop.abort();
      this.#now.abort();
    }).finally(() => this.#running.delete(kept));
    this.#running.add(kept);
  }

  /** Waits for the clients to read what is left for them. */
  async #lastWords(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  #signals(): Disposable {
    const stop = () => {
      if (this.#stop.signal.aborted) {
        this.#now.abort();
        this.#forceWithin(SECOND_SIGNAL_MS);
      }
      this.#stop.abort();
      this.#notifier.stopping();
      this.#report();
    };
    const reload = () => {
      // Without a file of settings there is nothing else to read again.
      if (this.#reread === undefined && this.#records.reopen()) return;
      this.#keep(this.#nextReload().then(() => {}));
    };
    const tell = () => this.#log.info(this.#statusText());
    for (const signal of STOP_SIGNALS) Deno.addSignalListener(signal, stop);
    Deno.addSignalListener("SIGHUP", reload);
    for (const signal of STATUS_SIGNALS) Deno.addSignalListener(signal, tell);
    return {
      [Symbol.dispose](): void {
        Deno.removeSignalListener("SIGHUP", reload);
        for (const signal of STATUS_SIGNALS) Deno.removeSignalListener(signal, tell);
        for (const signal of STOP_SIGNALS) Deno.removeSignalListener(signal, stop);
      },
    };
  }
}

/** What is wrong with settings, for people; a bug of ours is thrown on. */
function problemsOf(error: unknown): readonly string[] {
  if (error instanceof ConfigError) return error.problems;
  if (error instanceof Failure || error instanceof UsageError) return [error.message];
  throw error;
}
