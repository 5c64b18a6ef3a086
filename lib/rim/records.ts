/**
 * What is recorded while the daemon runs: numbers for Prometheus, and the audit.
 *
 * @module
 */

import { isOwn } from "../hub/admin.ts";
import { Audit } from "../record/audit.ts";
import { type Recorder, Recorders } from "../record/recorder.ts";
import { Tally } from "../record/tally.ts";
import { READING } from "../sharing/queries.ts";
import { OBSERVER_COMMANDS } from "../terms/observer.ts";
import { operatorRows } from "../terms/operator.ts";
import type { ServeSettings } from "../terms/settings.ts";
import { AuditFile } from "./audit_file.ts";
import { AuditTrail } from "./audit_trail.ts";
import { Journal } from "./journal.ts";
import type { Log } from "./log.ts";

/** What reads, or concerns nobody but the client itself. */
const READ: ReadonlySet<string> = new Set([
  ...OBSERVER_COMMANDS,
  ...READING,
  "async_msg_enable",
  "async_msg_disable",
  "qmp_switch_mode",
  "query-qmp-mode",
  ...["query-self", "query-clients", "query-status", "set-event-filter"].map((name) =>
    `__org.qmpmux_${name}`
  ),
]);

/** All that records. */
export class Records {
  /** The numbers, where somebody may ask for them. */
  readonly tally: Tally | undefined;
  readonly #trail: AuditTrail | undefined;
  /** Who is told what happens, if anybody is. */
  readonly recorder: Recorder | undefined;

  /**
   * Opens what the settings ask for.
   *
   * @param version of qmpmux
   * @throws Failure where the audit cannot be written
   */
  constructor(settings: ServeSettings, log: Log, version: string) {
    const { metrics, audit } = settings;
    if (metrics) this.tally = new Tally(isKnown, { version, deno: Deno.version.deno });
    if (audit) this.#trail = trailOf(audit, log, () => this.tally?.auditFailed());
    const recorders: Recorder[] = this.tally ? [this.tally] : [];
    if (this.#trail) recorders.push(auditOf(settings, this.#trail));
    this.recorder = recorders.length > 1 ? new Recorders(recorders) : recorders[0];
  }

  /** Time has gone on. */
  tick(): void {
    this.#trail?.tick();
  }

  /** Opens the audit anew; whether there is one. */
  reopen(): boolean {
    this.#trail?.reopen();
    return this.#trail !== undefined;
  }

  /** How the audit stands, for the log. */
  get status(): string {
    if (this.#trail === undefined) return "no audit";
    return this.#trail.failing ? "audit cannot be written" : "audit is written";
  }

  /** Writes what is left, and closes. */
  async close(): Promise<void> {
    await this.#trail?.close();
  }
}

function isKnown(command: string): boolean {
  return operatorRows().has(command) || isOwn(command);
}

function trailOf(to: string, log: Log, failed: () => void): AuditTrail {
  return new AuditTrail(to === "journal" ? new Journal() : new AuditFile(to), log, failed);
}

function auditOf(settings: ServeSettings, trail: AuditTrail): Audit {
  return new Audit(trail, {
    isRead: (command) => READ.has(command),
    isKnown,
    all: settings["audit-all"],
    refuses: settings["audit-failure"] === "refuse",
    timeOfDay: () => Date.now(),
  });
}
