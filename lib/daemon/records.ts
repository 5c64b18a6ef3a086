/**
 * The records of a running daemon: metrics for Prometheus, and the audit.
 *
 * Each VM has metrics of its own; all VMs share one audit.
 *
 * @module
 */

import { HARMLESS, isOwn } from "../hub/own_commands.ts";
import { Audit } from "../observe/audit.ts";
import type { InternalErrorPlace, Observer, Recording } from "../observe/observer.ts";
import { type Gauges, MetricsRecorder, ProcessRecorder } from "../observe/metrics_recorder.ts";
import { type Metrics, MetricsText } from "../observe/prometheus.ts";
import { OBSERVER_COMMANDS } from "../policy/observer_role.ts";
import { operatorRows } from "../policy/operator_role.ts";
import type { ServeSettings } from "../config/settings.ts";
import { AuditFile } from "../platform/audit_file.ts";
import { AuditTrail } from "./audit_trail.ts";
import type { Reached } from "./limit_log.ts";
import type { Clock } from "../platform/clock.ts";
import { Journal } from "../platform/journal.ts";
import type { Log } from "../platform/log.ts";
import { DENO_VERSION } from "../platform/runtime.ts";
import type { Change } from "../platform/socket_file.ts";
import { TURNS, UnbrokenWork } from "../platform/turns.ts";

/** The commands that only read, or that affect only the client itself. */
const READ: ReadonlySet<string> = new Set([
  ...OBSERVER_COMMANDS,
  "async_msg_enable",
  "async_msg_disable",
  "qmp_switch_mode",
  "query-qmp-mode",
  ...HARMLESS,
]);

/** The length of a slice of rendering, in seconds: as that of one client's work, or one VM if that takes longer. */
const RENDER_SLICE_SECONDS = 0.0005;

const ENCODER = new TextEncoder();

/** The recorders that are enabled in the settings. */
export class Records {
  readonly #log: Log;
  readonly #version: string;
  readonly #clock: Clock;
  readonly #awake: () => void;
  /** The metrics of the process, if metrics are configured; a reload does not reset them. */
  #process: ProcessRecorder | undefined;
  #trail: AuditTrail | undefined;
  #settings: ServeSettings;
  readonly #vms = new Set<VmRecords>();
  /** The audits that are being closed. */
  readonly #closing: Promise<void>[] = [];

  /**
   * Opens the recorders that are enabled in the settings.
   *
   * @param version the version of qmpmux
   * @param awake is called when `tick` must be called, because records cannot be written
   * @throws Failure if the audit cannot be written
   */
  constructor(
    settings: ServeSettings,
    log: Log,
    version: string,
    clock: Clock,
    awake: () => void,
  ) {
    this.#log = log;
    this.#awake = awake;
    this.#version = version;
    this.#clock = clock;
    this.#settings = settings;
    this.prepare(settings).commit();
  }

  /**
   * Opens the recorders that new settings enable; they record nothing before the commit.
   *
   * @throws Failure if the audit cannot be written
   */
  prepare(settings: ServeSettings): Change {
    const { metrics, audit } = settings;
    const old = this.#trail;
    const failed = (): void => {
      this.#process?.observe({ kind: "audit-failed" });
      this.#awake();
    };
    const trail = audit === undefined || audit === old?.name
      ? old
      : trailOf(audit, this.#log, failed);
    return {
      commit: () => {
        const build = { version: this.#version, deno: DENO_VERSION };
        if (metrics === undefined) this.#process = undefined;
        else this.#process ??= new ProcessRecorder(isKnown, build);
        this.#trail = audit === undefined ? undefined : trail;
        this.#settings = settings;
        if (old !== undefined && this.#trail !== old) this.#closing.push(old.close());
        for (const vm of this.#vms) vm.adopt(this.#process !== undefined, this.#gate(vm.label));
      },
      undo: () => {
        if (trail !== undefined && trail !== old) this.#closing.push(trail.close());
      },
    };
  }

  /**
   * Returns the records of a VM, until they are disposed of.
   *
   * @param label its name in the records, if it has one
   */
  ofVm(label: string | undefined): VmRecords {
    const records: VmRecords = new VmRecords(label, () => this.#vms.delete(records));
    records.adopt(this.#process !== undefined, this.#gate(label));
    this.#vms.add(records);
    return records;
  }

  /** The observers and the gate of the commands of the control socket. */
  get ofControl(): Recording {
    return recordingOf(this.#process, this.#gate(undefined));
  }

  /** Returns all metrics in Prometheus' text format, as parts of it; others have their turns meanwhile. */
  async render(): Promise<readonly Uint8Array[]> {
    const parts: Uint8Array[] = [];
    const steps = this.#rendering(parts);
    const work = new UnbrokenWork(this.#clock, RENDER_SLICE_SECONDS);
    while (work.run(() => !steps.next().done)) await TURNS.next();
    return parts;
  }

  /** Renders the metrics; yields after each VM, and after each part. */
  *#rendering(parts: Uint8Array[]): Generator<undefined> {
    if (this.#process === undefined) return;
    this.#process.update(this.#vms.size);
    const text = new MetricsText();
    text.add(this.#process.metrics);
    for (const vm of [...this.#vms]) {
      const { metrics } = vm;
      if (metrics !== undefined) text.add(metrics);
      yield;
    }
    for (const part of text.parts()) {
      parts.push(ENCODER.encode(part));
      yield;
    }
  }

  /** Counts a limit that was reached outside the VMs. */
  readonly limitReached = (limit: Reached): void =>
    this.#process?.observe({ kind: "limit", limit });

  /** Counts an internal error outside the VMs. */
  readonly internalError = (place: InternalErrorPlace): void =>
    this.#process?.observe({ kind: "internal-error", place });

  /** Counts a failure to write the recording of traffic. */
  readonly recordFailed = (): void => this.#process?.observe({ kind: "record-failed" });

  /** Retries to write records after a failure. */
  tick(): void {
    this.#trail?.tick();
  }

  /** Whether records wait to be written again. */
  get failing(): boolean {
    return this.#trail?.failing ?? false;
  }

  /** Reopens the audit; returns whether there is one. */
  reopen(): boolean {
    this.#trail?.reopen();
    return this.#trail !== undefined;
  }

  /** The state of the audit, for the log. */
  get status(): string {
    if (this.#trail === undefined) return "no audit";
    return this.#trail.failing ? "audit cannot be written" : "audit is written";
  }

  /** Writes the queued records, then closes. */
  async close(): Promise<void> {
    await Promise.all([...this.#closing, this.#trail?.close()]);
  }

  #gate(vm: string | undefined): Audit | undefined {
    return this.#trail && auditOf(this.#settings, this.#trail, this.#clock, vm);
  }
}

/** The records of one VM. */
export class VmRecords implements Disposable {
  /** The VM's name in the records, if it has one. */
  readonly label: string | undefined;
  readonly #forget: () => void;
  #metrics: MetricsRecorder | undefined;
  #gauges: (() => Gauges) | undefined;
  /** The observers of the VM's hub, and its gate. */
  recording: Recording = { observers: [] };

  /**
   * Creates records that record nothing yet.
   *
   * @param forget is called when they are disposed of
   */
  constructor(label: string | undefined, forget: () => void) {
    this.label = label;
    this.#forget = forget;
  }

  /** Adopts settings: whether there are metrics, and the audit if there is one. */
  adopt(hasMetrics: boolean, gate: Audit | undefined): void {
    if (hasMetrics) this.#metrics ??= new MetricsRecorder(isKnown, this.label);
    else this.#metrics = undefined;
    this.recording = recordingOf(this.#metrics, gate);
  }

  /** Takes the function that looks up the VM's present numbers. */
  measure(gauges: () => Gauges): void {
    this.#gauges = gauges;
  }

  /** The metrics with present numbers; `undefined` where they are not configured. */
  get metrics(): Metrics | undefined {
    if (this.#gauges !== undefined) this.#metrics?.update(this.#gauges());
    return this.#metrics?.metrics;
  }

  /** Counts a limit that was reached. */
  readonly limitReached = (limit: Reached): void =>
    this.#metrics?.observe({ kind: "limit", limit });

  /** Counts an internal error. */
  readonly internalError = (place: InternalErrorPlace): void =>
    this.#metrics?.observe({ kind: "internal-error", place });

  /** Ends the records: their metrics are shown no more. */
  [Symbol.dispose](): void {
    this.#forget();
  }
}

function recordingOf(metrics: Observer | undefined, gate: Audit | undefined): Recording {
  return { observers: [metrics, gate].filter((each) => each !== undefined), gate };
}

/** Returns whether the meaning of a command's arguments is known. */
export function isKnown(command: string): boolean {
  return operatorRows().has(command) || isOwn(command);
}

function trailOf(to: string, log: Log, failed: () => void): AuditTrail {
  return new AuditTrail(to === "journal" ? new Journal() : new AuditFile(to), log, failed);
}

function auditOf(
  settings: ServeSettings,
  trail: AuditTrail,
  clock: Clock,
  vm: string | undefined,
): Audit {
  return new Audit(trail, {
    vm,
    isRead: (command) => READ.has(command),
    isKnown,
    all: settings["audit-all"],
    refuses: settings["audit-failure"] === "refuse",
    timeOfDay: () => clock.timeOfDay() * 1000,
  });
}
