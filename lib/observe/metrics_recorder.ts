/**
 * The metrics of qmpmux.
 *
 * Every label is one of a bounded set: a client's text never becomes a label, and no
 * metric belongs to a single client.
 *
 * @module
 */

import { type Cell, type Histogram, Metrics } from "./prometheus.ts";
import {
  type ClientEnding,
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

/** Counts happenings. */
export class MetricsRecorder implements Observer {
  readonly #metrics = new Metrics();
  readonly #isKnown: (command: string) => boolean;
  readonly #clients = this.#metrics.gauge("clients", "Clients that are connected", "role");
  readonly #commands = this.#metrics.counter(
    "commands_total",
    "Commands that have ended",
    "command",
    "role",
    "result",
  );
  readonly #durations: Histogram = this.#metrics.histogram(
    "command_duration_seconds",
    "Time from a command's arrival to QEMU's reply",
  );
  readonly #waits: Histogram = this.#metrics.histogram(
    "queue_wait_seconds",
    "Time a command waited before it was sent to QEMU",
  );
  readonly #events = this.#metrics.counter(
    "events_total",
    "Events, of QEMU and of qmpmux",
    "event",
  );
  readonly #deliveries = this.#metrics.counter(
    "event_deliveries_total",
    "Events sent to clients, each client counted",
  ).cell();
  readonly #refused = this.#metrics.counter(
    "refused_total",
    "Commands that were refused",
    "role",
  );
  readonly #joined = this.#metrics.counter(
    "joined_total",
    "Commands that shared the reply to an equal command",
  ).cell();
  readonly #cached = this.#metrics.counter(
    "kept_answers_total",
    "Commands answered from the cache",
  ).cell();
  readonly #dropped = this.#metrics.counter(
    "dropped_clients_total",
    "Clients that were disconnected",
    "reason",
  );
  readonly #inFlight = this.#metrics.gauge("inflight", "Commands at QEMU").cell();
  readonly #waiting = this.#metrics.gauge("waiting", "Commands that wait to be sent").cell();
  readonly #unread = this.#metrics.gauge(
    "unread_bytes",
    "Bytes queued that clients have not read",
  ).cell();
  readonly #up = this.#metrics.gauge("upstream_up", "1 while QEMU is connected and answers").cell();
  readonly #sessions = this.#metrics.counter(
    "upstream_sessions_total",
    "Sessions with QEMU that became ready",
  ).cell();
  readonly #auditFailures = this.#metrics.counter(
    "audit_failures_total",
    "Failed attempts to write the audit, and lost records",
  ).cell();
  readonly #internalErrors = this.#metrics.counter(
    "internal_errors_total",
    "Errors of qmpmux's own, by what it was doing",
    "where",
  );
  readonly #limits = this.#metrics.counter(
    "limits_reached_total",
    "Times a limit was reached",
    "limit",
  );
  /** By role, then by command. */
  readonly #counts = new Map<string, Map<string, Counts>>();
  readonly #eventCells = new Map<string, Cell>();

  /**
   * Creates metrics that are all zero.
   *
   * @param isKnown returns whether QEMU or qmpmux has a command, so that its name may be a label
   */
  constructor(isKnown: (command: string) => boolean, { version, deno }: Build) {
    this.#isKnown = isKnown;
    const build = this.#metrics.gauge("build_info", "What is running", "version", "deno");
    build.cell(version, deno).value = 1;
    for (const ending of DROPS) this.#dropped.cell(ending);
    for (const where of INTERNAL_ERROR_PLACES) this.#internalErrors.cell(where);
  }

  /** Returns all metrics in Prometheus' text format. */
  render({ clients, inFlight, waiting, unread, up }: Gauges): string {
    this.#clients.clear();
    for (const [role, count] of clients) this.#clients.cell(role).value = count;
    this.#inFlight.value = inFlight;
    this.#waiting.value = waiting;
    this.#unread.value = unread;
    this.#up.value = up ? 1 : 0;
    return this.#metrics.render();
  }

  /** Counts a happening, and measures a command that QEMU has answered. */
  observe(happening: Happening): void {
    const { kind } = happening;
    switch (kind) {
      case "command": {
        const { client: { grant: { role } }, command, outcome } = happening;
        const { result, took, waited } = outcome;
        this.#cellOf(role.name, command.name, result).value++;
        if (result === "refused") this.#refused.cell(role.name).value++;
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
      case "left":
        if (happening.ending !== "left") this.#dropped.cell(happening.ending).value++;
        return;
      case "ready":
        this.#sessions.value++;
        return;
      case "limit":
        this.#limits.cell(happening.limit).value++;
        return;
      case "internal-error":
        this.#internalErrors.cell(happening.place).value++;
        return;
      case "audit-failed":
        this.#auditFailures.value++;
        return;
      default:
        throw new Error(`Cannot count ${kind satisfies never}`);
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

  #eventCell(name: string): Cell {
    const known = this.#eventCells.get(name);
    if (known) return known;
    if (this.#eventCells.size >= EVENTS_LIMIT) return this.#events.cell(OTHER);
    const cell = this.#events.cell(name);
    this.#eventCells.set(name, cell);
    return cell;
  }
}
