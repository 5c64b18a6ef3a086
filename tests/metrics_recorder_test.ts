/**
 * The metrics: what they count, and the limit on their labels.
 *
 * @module
 */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { ClientEnding, ClientInfo, Result } from "../lib/observe/observer.ts";
import { type Gauges, MetricsRecorder, ProcessRecorder } from "../lib/observe/metrics_recorder.ts";
import { Metrics } from "../lib/observe/prometheus.ts";
import type { Command, Event } from "../lib/wire/message.ts";
import { asciiBytes } from "../lib/wire/text.ts";
import { NO_GAUGES } from "./support/gauges.ts";

function metricsRecorder(vm?: string): MetricsRecorder {
  return new MetricsRecorder((name) => name === "stop" || name === "cont", vm);
}

function processRecorder(): ProcessRecorder {
  return new ProcessRecorder((name) => name === "reload", { version: "1.2", deno: "2.9" });
}

function rendered(recorder: MetricsRecorder, gauges: Gauges): string {
  recorder.update(gauges);
  return Metrics.render([recorder.metrics]);
}

function party(role: string): ClientInfo {
  return { name: "a/1", grant: { name: "a", role: { name: role } } };
}

function command(name: string): Command {
  const bytes = asciiBytes("{}");
  return { name, oob: false, id: undefined, bytes, argumentBytes: undefined };
}

function event(name: string): Event {
  return { kind: "event", name, bytes: asciiBytes("{}") };
}

function samples(counted: MetricsRecorder, name: string, gauges = NO_GAUGES): string[] {
  return rendered(counted, gauges).split("\n").filter((line) => line.startsWith(`qmpmux_${name}`));
}

Deno.test("MetricsRecorder.observe() counts by command, role and result", () => {
  const counted = metricsRecorder();
  const results: Result[] = ["return", "error", "return"];
  for (const result of results) {
    counted.observe({
      kind: "command",
      client: party("full"),
      command: command("stop"),
      outcome: { result, took: 1 },
    });
  }
  counted.observe({
    kind: "command",
    client: party("observer"),
    command: command("stop"),
    outcome: { result: "refused", took: 0 },
  });
  assertEquals(samples(counted, "commands_total"), [
    'qmpmux_commands_total{command="stop",role="full",result="return"} 2',
    'qmpmux_commands_total{command="stop",role="full",result="error"} 1',
    'qmpmux_commands_total{command="stop",role="observer",result="refused"} 1',
  ]);
  assertEquals(samples(counted, "refused_total"), ['qmpmux_refused_total{role="observer"} 1']);
});

Deno.test("MetricsRecorder.observe() counts unknown names as other", () => {
  const counted = metricsRecorder();
  for (let i = 0; i < 1000; i++) {
    counted.observe({
      kind: "command",
      client: party("full"),
      command: command(`made-up-${i}`),
      outcome: { result: "error", took: 0 },
    });
  }
  assertEquals(samples(counted, "commands_total"), [
    'qmpmux_commands_total{command="other",role="full",result="error"} 1000',
  ]);
});

Deno.test("MetricsRecorder.observe() measures only commands that QEMU has answered", () => {
  const counted = metricsRecorder();
  counted.observe({
    kind: "command",
    client: party("full"),
    command: command("stop"),
    outcome: { result: "return", took: 0.3, waited: 0.2 },
  });
  counted.observe({
    kind: "command",
    client: party("full"),
    command: command("stop"),
    outcome: { result: "return", took: 9 },
  });
  assertEquals(samples(counted, "command_duration_seconds_sum"), [
    "qmpmux_command_duration_seconds_sum 0.3",
  ]);
  assertEquals(samples(counted, "queue_wait_seconds_count"), [
    "qmpmux_queue_wait_seconds_count 1",
  ]);
});

Deno.test("MetricsRecorder.observe() counts events and their recipients", () => {
  const counted = metricsRecorder();
  counted.observe({ kind: "event", event: event("STOP"), clients: 3 });
  counted.observe({ kind: "event", event: event("STOP"), clients: 2 });
  assertEquals(samples(counted, "events_total"), ['qmpmux_events_total{event="STOP"} 2']);
  assertEquals(samples(counted, "event_deliveries"), ["qmpmux_event_deliveries_total 5"]);
});

Deno.test("MetricsRecorder.observe() limits the names of events", () => {
  const counted = metricsRecorder();
  for (let i = 0; i < 300; i++) {
    counted.observe({ kind: "event", event: event(`E${i}`), clients: 0 });
  }
  const told = samples(counted, "events_total");
  assertEquals(told.length, 257);
  assertEquals(told.at(-1), 'qmpmux_events_total{event="other"} 44');
});

Deno.test("MetricsRecorder.observe() counts disconnected clients by the reason", () => {
  const counted = metricsRecorder();
  for (const ending of ["left", "unread", "unread", "kicked"] as ClientEnding[]) {
    counted.observe({ kind: "left", ending });
  }
  const told = samples(counted, "dropped_clients_total");
  assertEquals(told.filter((line) => !line.endsWith(" 0")), [
    'qmpmux_dropped_clients_total{reason="unread"} 2',
    'qmpmux_dropped_clients_total{reason="kicked"} 1',
  ]);
});

Deno.test("MetricsRecorder counts joins, cached replies, gaps, sessions, limits and internal errors", () => {
  const counted = metricsRecorder();
  counted.observe({ kind: "joined" });
  counted.observe({ kind: "cached" });
  counted.observe({ kind: "cached" });
  counted.observe({ kind: "gap", cause: "session", clients: 3 });
  counted.observe({ kind: "ready" });
  counted.observe({ kind: "limit", limit: "rate" });
  counted.observe({ kind: "internal-error", place: "qemu" });
  const text = rendered(counted, NO_GAUGES);
  for (
    const line of [
      "qmpmux_joined_total 1",
      "qmpmux_kept_answers_total 2",
      'qmpmux_event_gaps_total{cause="session"} 3',
      'qmpmux_event_gaps_total{cause="slow"} 0',
      "qmpmux_upstream_sessions_total 1",
      'qmpmux_limits_reached_total{limit="rate"} 1',
      'qmpmux_internal_errors_total{where="qemu"} 1',
    ]
  ) assertStringIncludes(text, `${line}\n`);
});

Deno.test("MetricsRecorder.update() sets the given gauges, and none of clients that have left", () => {
  const counted = metricsRecorder();
  rendered(counted, { ...NO_GAUGES, clients: new Map([["observer", 2]]) });
  const text = rendered(counted, {
    clients: new Map([["full", 3]]),
    inFlight: 4,
    waiting: 5,
    unread: 6,
    up: true,
    subscribers: 7,
    keptBytes: 8,
    keptEvents: 9,
  });
  for (
    const line of [
      'qmpmux_clients{role="full"} 3',
      "qmpmux_inflight 4",
      "qmpmux_waiting 5",
      "qmpmux_unread_bytes 6",
      "qmpmux_upstream_up 1",
      "qmpmux_subscribers 7",
      "qmpmux_event_log_bytes 8",
      "qmpmux_event_log_events 9",
    ]
  ) assertStringIncludes(text, `${line}\n`);
  assert(!text.includes("observer"));
});

Deno.test("MetricsRecorder gives every series the name of its VM", () => {
  const counted = metricsRecorder("web-1");
  counted.observe({ kind: "event", event: event("STOP"), clients: 1 });
  const lines = rendered(counted, { ...NO_GAUGES, clients: new Map([["full", 1]]) })
    .split("\n").filter((line) => line.startsWith("qmpmux_"));
  assertEquals(lines.filter((line) => !/^\w+\{vm="web-1"[,}]/.test(line)), []);
});

Deno.test("ProcessRecorder counts the VMs, the audit, and the control socket", () => {
  const counted = processRecorder();
  counted.update(3);
  counted.observe({ kind: "audit-failed" });
  counted.observe({ kind: "record-failed" });
  counted.observe({ kind: "limit", limit: "max-clients-in-all" });
  counted.observe({ kind: "internal-error", place: "other" });
  counted.observe({ kind: "left", ending: "kicked" });
  for (const name of ["reload", "made-up"]) {
    counted.observe({
      kind: "command",
      client: party("admin"),
      command: command(name),
      outcome: { result: "return", took: 1 },
    });
  }
  const text = Metrics.render([counted.metrics]);
  for (
    const line of [
      'qmpmux_build_info{version="1.2",deno="2.9"} 1',
      "qmpmux_vms 3",
      "qmpmux_audit_failures_total 1",
      "qmpmux_record_failures_total 1",
      'qmpmux_limits_reached_total{limit="max-clients-in-all"} 1',
      'qmpmux_internal_errors_total{where="other"} 1',
      'qmpmux_dropped_clients_total{reason="kicked"} 1',
      'qmpmux_commands_total{command="reload",role="admin",result="return"} 1',
      'qmpmux_commands_total{command="other",role="admin",result="return"} 1',
    ]
  ) assertStringIncludes(text, `${line}\n`);
});

Deno.test("ProcessRecorder and a MetricsRecorder count in the same metrics, the VM's with its name", () => {
  const [process, vm] = [processRecorder(), metricsRecorder("web-1")];
  process.observe({ kind: "limit", limit: "fds-in-all" });
  vm.observe({ kind: "limit", limit: "rate" });
  const text = Metrics.render([process.metrics, vm.metrics]);
  assertEquals(text.split("\n").filter((line) => line.includes("limits_reached_total")), [
    "# HELP qmpmux_limits_reached_total Times a limit was reached",
    "# TYPE qmpmux_limits_reached_total counter",
    'qmpmux_limits_reached_total{limit="fds-in-all"} 1',
    'qmpmux_limits_reached_total{vm="web-1",limit="rate"} 1',
  ]);
});
