/**
 * The records of a running daemon: metrics for Prometheus, and the audit.
 *
 * @module
 */

import { HARMLESS, isOwn } from "../hub/own_commands.ts";
import { Audit } from "../observe/audit.ts";
import type { InternalErrorPlace, Recording } from "../observe/observer.ts";
import { type Gauges, MetricsRecorder, ProcessRecorder } from "../observe/metrics_recorder.ts";
import { Metrics } from "../observe/prometheus.ts";
import { OBSERVER_COMMANDS } from "../policy/observer_role.ts";
import { operatorRows } from "../policy/operator_role.ts";
import type { SettingValues } from "../config/settings.ts";
import { AuditFile } from "../platform/audit_file.ts";
import { AuditTrail } from "./audit_trail.ts";
import type { Reached } from "./limit_log.ts";
import type { Clock } from "../platform/clock.ts";
import { Journal } from "../platform/journal.ts";
import type { Log } from "../platform/log.ts";
import { DENO_VERSION } from "../platform/runtime.ts";
import type { Change } from "../platform/socket_file.ts";

/** The commands that only read, or that affect only the client itself. */
const READ: ReadonlySet<string> = new Set([
  ...OBSERVER_COMMANDS,
  "async_msg_enable",
  "async_msg_disable",
  "qmp_switch_mode",
  "query-qmp-mode",
  ...HARMLESS,
]);

/** The recorders that are enabled in the settings. */
export class Records {
  readonly #log: Log;
  readonly #version: string;
  readonly #clock: Clock;
  /** The VM's name, if it was given one. */
  readonly #vm: string | undefined;
  /** The metrics of the process and of the VM, if they are configured; a reload does not reset them. */
  #metrics: { process: ProcessRecorder; vm: MetricsRecorder } | undefined;
  #trail: AuditTrail | undefined;
  /** The observers of the hub, and its gate. */
  recording: Recording = { observers: [] };
  /** The audits that are being closed. */
  readonly #closing: Promise<void>[] = [];

  /**
   * Opens the recorders that are enabled in the settings.
   *
   * @param version the version of qmpmux
   * @throws Failure if the audit cannot be written
   */
  constructor(settings: SettingValues, log: Log, version: string, clock: Clock) {
    this.#log = log;
    this.#version = version;
    this.#clock = clock;
    this.#vm = nameOf(settings);
    this.prepare(settings).commit();
  }

  /**
   * Opens the recorders that new settings enable; they record nothing before the commit.
   *
   * @throws Failure if the audit cannot be written
   */
  prepare(settings: SettingValues): Change {
    const { metrics, audit } = settings;
    const old = this.#trail;
    const failed = (): void => this.#metrics?.process.observe({ kind: "audit-failed" });
    const trail = audit === undefined || audit === old?.name
      ? old
      : trailOf(audit, this.#log, failed);
    return {
      commit: () => {
        const versions = { version: this.#version, deno: DENO_VERSION };
        if (metrics === undefined) this.#metrics = undefined;
        else {
          this.#metrics ??= {
            process: new ProcessRecorder(isKnown, versions),
            vm: new MetricsRecorder(isKnown, this.#vm),
          };
        }
        this.#trail = audit === undefined ? undefined : trail;
        if (old !== undefined && this.#trail !== old) this.#closing.push(old.close());
        const gate = this.#trail && auditOf(settings, this.#vm, this.#trail, this.#clock);
        const observers = [this.#metrics?.vm, gate].filter((each) => each !== undefined);
        this.recording = { observers, gate };
      },
      undo: () => {
        if (trail !== undefined && trail !== old) this.#closing.push(trail.close());
      },
    };
  }

  /** Counts a limit that was reached. */
  readonly limitReached = (limit: Reached): void =>
    this.#metrics?.vm.observe({ kind: "limit", limit });

  /** Counts an internal error. */
  readonly internalError = (place: InternalErrorPlace): void =>
    this.#metrics?.vm.observe({ kind: "internal-error", place });

  /** Returns the metrics of the process and its VMs in Prometheus' text format. */
  render(vms: readonly Gauges[]): string {
    if (this.#metrics === undefined) return "";
    const { process, vm } = this.#metrics;
    process.update(vms.length);
    for (const gauges of vms) vm.update(gauges);
    return Metrics.render([process.metrics, vm.metrics]);
  }

  /** Retries to write records after a failure. */
  tick(): void {
    this.#trail?.tick();
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
}

function isKnown(command: string): boolean {
  return operatorRows().has(command) || isOwn(command);
}

function trailOf(to: string, log: Log, failed: () => void): AuditTrail {
  return new AuditTrail(to === "journal" ? new Journal() : new AuditFile(to), log, failed);
}

function auditOf(
  settings: SettingValues,
  vm: string | undefined,
  trail: AuditTrail,
  clock: Clock,
): Audit {
  return new Audit(trail, {
    isRead: (command) => READ.has(command),
    isKnown,
    all: settings["audit-all"],
    refuses: settings["audit-failure"] === "refuse",
    timeOfDay: () => clock.timeOfDay() * 1000,
    vm,
  });
}

/** Returns the VM's name, if it was given one. */
export function nameOf({ vm }: SettingValues): string | undefined {
  return vm === "default" ? undefined : vm;
}
