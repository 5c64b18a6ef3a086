/**
 * The metrics of qmpmux: those of each VM, and those of the process.
 *
 * Every label is one of a bounded set: a client's text never becomes a label, and no
 * metric belongs to a single client.
 *
 * @module
 */

import { type Cell, type Family, type Histogram, Metrics } from "./prometheus.ts";
import {
  type ClientEnding,
  GAP_CAUSES,
  type Happening,
  INTERNAL_ERROR_PLACES,
  type Observer,
  type Result,
} from "./observer.ts";

/** The values that are read when the metrics are rendered, rather than counted. */
export interface Gauges {
  /** The number of clients by the name of their role. */
  readonly clients: ReadonlyMap<string, number>;
  /** The number of commands in flight. */
  readonly inFlight: number;
  /** The number of commands that wait here. */
  readonly waiting: number;
  /** The bytes that clients have not read. */
  readonly unread: number;
  /** Whether QEMU is connected and answers. */
  readonly up: boolean;
  /** The number of clients that subscribe. */
  readonly subscribers: number;
  /** The bytes of the events in the log. */
  readonly keptBytes: number;
  /** The number of events in the log. */
  readonly keptEvents: number;
}

/** The versions of the program. */
export interface Build {
  /** The version of qmpmux. */
  readonly version: string;
  /** The version of Deno. */
  readonly deno: string;
}

/** The number of event names with a label of their own: QEMU has some sixty. */
const EVENTS_LIMIT = 256;

/** The label of commands that are unknown, and of event names beyond the limit. */
const OTHER = "other";

/** The reasons for which qmpmux disconnects a client. */
const DROPS: readonly ClientEnding[] = [
  "unread",
  "handshake",
  "qemu",
  "kicked",
  "idle",
  "error",
  "shutdown",
];

/** The counts of one command under one role, by result. */
type Counts = Partial<Record<Result, Cell>>;

/** Counts what happens at a VM and at the control socket of many VMs alike. */
class SharedCounts {
  readonly #isKnown: (command: string) => boolean;
  readonly #commands: Family;
  readonly #refused: Family;
  readonly #dropped: Family;
  readonly #internalErrors: Family;
  readonly #limits: Family;
  /** By role, then by command. */
  readonly #counts = new Map<string, Map<string, Counts>>();

  constructor(metrics: Metrics, isKnown: (command: string) => boolean) {
    this.#isKnown = isKnown;
    this.#commands = metrics.counter(
      "commands_total",
      "Commands that have ended",
      "command",
      "role",
      "result",
    );
    this.#refused = metrics.counter("refused_total", "Commands that were refused", "role");
    this.#dropped = metrics.counter(
      "dropped_clients_total",
      "Clients that were disconnected",
      "reason",
    );
    this.#internalErrors = metrics.counter(
      "internal_errors_total",
      "Errors of qmpmux's own, by what it was doing",
      "where",
    );
    this.#limits = metrics.counter(
      "limits_reached_total",
      "Times a limit was reached",
      "limit",
    );
    for (const ending of DROPS) this.#dropped.cell(ending);
    for (const where of INTERNAL_ERROR_PLACES) this.#internalErrors.cell(where);
  }

  /** Counts a happening, if it is one of those that are counted here. */
  count(happening: Happening): void {
    switch (happening.kind) {
      case "command": {
        const { client: { grant: { role } }, command, outcome: { result } } = happening;
        this.#cellOf(role.name, command.name, result).value++;
        if (result === "refused") this.#refused.cell(role.name).value++;
        return;
      }
      case "left":
        if (happening.ending !== "left") this.#dropped.cell(happening.ending).value++;
        return;
      case "limit":
        this.#limits.cell(happening.limit).value++;
        return;
      case "internal-error":
        this.#internalErrors.cell(happening.place).value++;
        return;
    }
  }

  #cellOf(role: string, command: string, result: Result): Cell {
    const label = this.#isKnown(command) ? command : OTHER;
    let commands = this.#counts.get(role);
    if (commands === undefined) this.#counts.set(role, commands = new Map());
    let counts = commands.get(label);
    if (counts === undefined) commands.set(label, counts = {});
    return counts[result] ??= this.#commands.cell(label, role, result);
  }
}

/**
 * Counts what belongs to the process and to no VM: the versions, the number of VMs, the audit,
 * the control socket of many VMs, and limits in all.
 */
export class ProcessRecorder implements Observer {
  /** The metrics, for {@linkcode Metrics.render}. */
  readonly metrics: Metrics = new Metrics();
  readonly #vms = this.metrics.gauge("vms", "VMs that are served").cell();
  readonly #auditFailures = this.metrics.counter(
    "audit_failures_total",
    "Failed attempts to write the audit, and lost records",
  ).cell();
  readonly #recordFailures = this.metrics.counter(
    "record_failures_total",
    "Failed attempts to write the recording, and lost lines",
  ).cell();
  readonly #shared: SharedCounts;

  /**
   * Creates metrics that are all zero.
   *
   * @param isKnown returns whether qmpmux has a command, so that its name may be a label
   */
  constructor(isKnown: (command: string) => boolean, { version, deno }: Build) {
    const build = this.metrics.gauge("build_info", "What is running", "version", "deno");
    build.cell(version, deno).value = 1;
    this.#shared = new SharedCounts(this.metrics, isKnown);
  }

  /** Sets the number of VMs. */
  update(vms: number): void {
    this.#vms.value = vms;
  }

  /** Counts a happening. */
  observe(happening: Happening): void {
    if (happening.kind === "audit-failed") this.#auditFailures.value++;
    else if (happening.kind === "record-failed") this.#recordFailures.value++;
    else this.#shared.count(happening);
  }
}

/** Counts what happens at one VM. */
export class MetricsRecorder implements Observer {
  /** The metrics, for {@linkcode Metrics.render}. */
  readonly metrics: Metrics;
  readonly #shared: SharedCounts;
  readonly #clients: Family;
  readonly #durations: Histogram;
  readonly #waits: Histogram;
  readonly #events: Family;
  readonly #deliveries: Cell;
  readonly #joined: Cell;
  readonly #cached: Cell;
  readonly #inFlight: Cell;
  readonly #waiting: Cell;
  readonly #unread: Cell;
  readonly #up: Cell;
  readonly #sessions: Cell;
  readonly #gaps: Family;
  readonly #subscribers: Cell;
  readonly #keptBytes: Cell;
  readonly #keptEvents: Cell;
  readonly #eventCells = new Map<string, Cell>();

  /**
   * Creates metrics that are all zero.
   *
   * @param isKnown returns whether QEMU or qmpmux has a command, so that its name may be a label
   * @param vm the VM's name, for the label `vm` of every series
   */
  constructor(isKnown: (command: string) => boolean, vm?: string) {
    const metrics = this.metrics = new Metrics(vm === undefined ? {} : { vm });
    const counter = (name: string, help: string): Cell => metrics.counter(name, help).cell();
    const gauge = (name: string, help: string): Cell => metrics.gauge(name, help).cell();
    this.#clients = metrics.gauge("clients", "Clients that are connected", "role");
    this.#shared = new SharedCounts(metrics, isKnown);
    this.#durations = metrics.histogram(
      "command_duration_seconds",
      "Time from a command's arrival to QEMU's reply",
    );
    this.#waits = metrics.histogram(
      "queue_wait_seconds",
      "Time a command waited before it was sent to QEMU",
    );
    this.#events = metrics.counter("events_total", "Events, of QEMU and of qmpmux", "event");
    this.#deliveries = counter(
      "event_deliveries_total",
      "Events sent to clients, each client counted",
    );
    this.#gaps = metrics.counter(
      "event_gaps_total",
      "Times a client was told that events are missing",
      "cause",
    );
    for (const cause of GAP_CAUSES) this.#gaps.cell(cause);
    this.#subscribers = gauge("subscribers", "Clients that read the event log");
    this.#keptBytes = gauge("event_log_bytes", "Bytes of the events in the log");
    this.#keptEvents = gauge("event_log_events", "Events in the log");
    this.#joined = counter("joined_total", "Commands that shared the reply to an equal command");
    this.#cached = counter("kept_answers_total", "Commands answered from the cache");
    this.#inFlight = gauge("inflight", "Commands at QEMU");
    this.#waiting = gauge("waiting", "Commands that wait to be sent");
    this.#unread = gauge("unread_bytes", "Bytes queued that clients have not read");
    this.#up = gauge("upstream_up", "1 while QEMU is connected and answers");
    this.#sessions = counter("upstream_sessions_total", "Sessions with QEMU that became ready");
  }

  /** Sets the gauges. */
  update(gauges: Gauges): void {
    this.#clients.clear();
    for (const [role, count] of gauges.clients) this.#clients.cell(role).value = count;
    this.#inFlight.value = gauges.inFlight;
    this.#waiting.value = gauges.waiting;
    this.#unread.value = gauges.unread;
    this.#up.value = gauges.up ? 1 : 0;
    this.#subscribers.value = gauges.subscribers;
    this.#keptBytes.value = gauges.keptBytes;
    this.#keptEvents.value = gauges.keptEvents;
  }

  /** Counts a happening, and measures a command that QEMU has answered. */
  observe(happening: Happening): void {
    const { kind } = happening;
    switch (kind) {
      case "command": {
        this.#shared.count(happening);
        const { took, waited } = happening.outcome;
        if (waited === undefined) return;
        this.#waits.observe(waited);
        this.#durations.observe(took);
        return;
      }
      case "joined":
        this.#joined.value++;
        return;
      case "cached":
        this.#cached.value++;
        return;
      case "event":
        this.#deliveries.value += happening.clients;
        this.#eventCell(happening.event.name).value++;
        return;
      case "gap":
        this.#gaps.cell(happening.cause).value += happening.clients;
        return;
      case "ready":
        this.#sessions.value++;
        return;
      case "left":
      case "limit":
      case "internal-error":
        return this.#shared.count(happening);
      case "audit-failed":
      case "record-failed":
        // They belong to the process.
        return;
      default:
        throw new Error(`Cannot count ${kind satisfies never}`);
    }
  }

  #eventCell(name: string): Cell {
    const known = this.#eventCells.get(name);
    if (known) return known;
    if (this.#eventCells.size >= EVENTS_LIMIT) return this.#events.cell(OTHER);
    const cell = this.#events.cell(name);
    this.#eventCells.set(name, cell);
    return cell;
  }
}
