/**
 * The audit: the commands it records, and the form of a record.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import {
  Audit,
  type AuditOptions,
  type AuditRecord,
  fieldsOf,
  lineOf,
} from "../lib/observe/audit.ts";
import type { Outcome } from "../lib/observe/observer.ts";
import type { Command } from "../lib/wire/message.ts";
import { errorReply } from "../lib/wire/reply.ts";
import { asciiBytes } from "../lib/wire/text.ts";

const CLIENT = { name: "mux/3", grant: { name: "mux", role: { name: "operator" } } };

function command(name: string, args?: string): Command {
  const argumentBytes = args === undefined ? undefined : asciiBytes(args);
  return { name, oob: false, id: undefined, bytes: asciiBytes("{}"), argumentBytes };
}

/** Returns an audit that writes into a list. */
function audited(more: Partial<AuditOptions> = {}): {
  audit: Audit;
  records: AuditRecord[];
  sink: { failing: boolean };
} {
  const records: AuditRecord[] = [];
  const sink = { failing: false, keep: (record: AuditRecord): void => void records.push(record) };
  const audit = new Audit(sink, {
    isRead: (name) => name.startsWith("query-"),
    isKnown: (name) => name !== "unknown",
    all: false,
    refuses: false,
    timeOfDay: () => Date.UTC(2026, 0, 2, 3, 4, 5, 500),
    ...more,
  });
  return { audit, records, sink };
}

/** Returns the line of one command with this outcome. */
function lineFor(asked: Command, outcome: Outcome): string {
  const { audit, records } = audited();
  audit.observe({ kind: "command", client: CLIENT, command: asked, outcome });
  return lineOf(records[0]!);
}

Deno.test("lineOf() writes the time, the client, the command and its outcome", () => {
  assertEquals(
    lineFor(command("device_add", '{"driver":"x"}'), { result: "return", took: 0.25 }),
    '{"time":"2026-01-02T03:04:05.250Z","listener":"mux","role":"operator","client":"mux/3",' +
      '"command":"device_add","arguments":{"driver":"x"},"outcome":"return","duration":0.25}',
  );
});

Deno.test("lineOf() writes the class of an error, and nothing else of it", () => {
  const reply = errorReply("DeviceNotFound", 'hunter2 "class": "Other"');
  const line = lineFor(command("device_del"), { result: "error", reply, took: 0 });
  assertEquals(
    line.slice(line.indexOf('"command"')),
    '"command":"device_del","outcome":"error","error-class":"DeviceNotFound","duration":0}',
  );
});

Deno.test("lineOf() writes only the names of an unknown command's arguments", () => {
  const line = lineFor(command("unknown", '{"a":1}'), { result: "lost", took: 1 });
  assertEquals(
    line.slice(line.indexOf('"command"')),
    '"command":"unknown","argument-names":["a"],"outcome":"lost","duration":1}',
  );
});

Deno.test("lineOf() cuts an unknown command's name to a length", () => {
  const line = JSON.parse(lineFor(command("x".repeat(5000)), { result: "error", took: 0 }));
  assertEquals(line.command.length, 128);
});

Deno.test("fieldsOf() writes the same as fields of the journal", () => {
  const { audit, records } = audited();
  const reply = errorReply("GenericError", "no");
  audit.observe({
    kind: "command",
    client: CLIENT,
    command: command("device_add", '{"driver":"x"}'),
    outcome: { result: "error", reply, took: 1 },
  });
  audit.observe({
    kind: "command",
    client: CLIENT,
    command: command("unknown", '{"a":1}'),
    outcome: { result: "return", took: 1 },
  });
  assertEquals(fieldsOf(records[0]!), {
    MESSAGE: "mux/3 (operator): device_add: error (GenericError)",
    PRIORITY: "5",
    SYSLOG_IDENTIFIER: "qmpmux",
    QMPMUX_TIME: "2026-01-02T03:04:04.500Z",
    QMPMUX_LISTENER: "mux",
    QMPMUX_ROLE: "operator",
    QMPMUX_CLIENT: "mux/3",
    QMPMUX_COMMAND: "device_add",
    QMPMUX_ARGUMENTS: '{"driver":"x"}',
    QMPMUX_OUTCOME: "error",
    QMPMUX_ERROR_CLASS: "GenericError",
    QMPMUX_DURATION: "1",
  });
  const { MESSAGE, PRIORITY, QMPMUX_ARGUMENT_NAMES } = fieldsOf(records[1]!);
  assertEquals([MESSAGE, PRIORITY, QMPMUX_ARGUMENT_NAMES], [
    "mux/3 (operator): unknown: return",
    "6",
    '["a"]',
  ]);
});

Deno.test("Audit.observe() skips read-only commands", () => {
  const { audit, records } = audited();
  audit.observe({
    kind: "command",
    client: CLIENT,
    command: command("query-status"),
    outcome: { result: "return", took: 0 },
  });
  assertEquals(records, []);
});

Deno.test("Audit.observe() records read-only commands if asked to", () => {
  const { audit, records } = audited({ all: true });
  audit.observe({
    kind: "command",
    client: CLIENT,
    command: command("query-status"),
    outcome: { result: "return", took: 0 },
  });
  assertEquals(records.map(({ command }) => command), ["query-status"]);
});

Deno.test("Audit.observe() records refused commands", () => {
  const { audit, records } = audited();
  audit.observe({
    kind: "command",
    client: CLIENT,
    command: command("quit"),
    outcome: { result: "refused", took: 0 },
  });
  assertEquals(records.map(({ outcome }) => outcome), ["refused"]);
});

Deno.test("the record of a refused command names the rule, in a line and in fields", () => {
  const rule = "/etc/vm.toml:14 (refuse quit)";
  const { audit, records } = audited();
  audit.observe({
    kind: "command",
    client: CLIENT,
    command: command("quit"),
    outcome: { result: "refused", took: 0, rule },
  });
  const line = lineOf(records[0]!);
  assertEquals(
    line.slice(line.indexOf('"outcome"')),
    '"outcome":"refused","rule":"/etc/vm.toml:14 (refuse quit)","duration":0}',
  );
  assertEquals(fieldsOf(records[0]!).QMPMUX_RULE, rule);
});

Deno.test("Audit.objection() is undefined while records are written", () => {
  const { audit } = audited({ refuses: true });
  assertEquals(audit.objection(command("quit")), undefined);
});

Deno.test("Audit.objection() refuses changing commands while records cannot be written", () => {
  const { audit, sink } = audited({ refuses: true });
  sink.failing = true;
  assertEquals(audit.objection(command("quit")), "its audit record cannot be written");
  assertEquals(audit.objection(command("query-status")), undefined);
});

Deno.test("Audit.objection() is undefined if the audit is set to continue", () => {
  const { audit, sink } = audited();
  sink.failing = true;
  assertEquals(audit.objection(command("quit")), undefined);
});

Deno.test("Audit skips messages that are not commands", () => {
  const { audit, records } = audited({ all: true });
  audit.observe({ kind: "joined" });
  audit.observe({ kind: "left", ending: "left" });
  audit.observe({ kind: "ready" });
  assertEquals(records, []);
});

Deno.test("Audit.observe() puts the VM's name on record, if it has one", () => {
  const { audit, records } = audited({ vm: "web-1" });
  const outcome = { result: "return", took: 0 } as const;
  audit.observe({ kind: "command", client: CLIENT, command: command("stop"), outcome });
  assertEquals(JSON.parse(lineOf(records[0]!)).vm, "web-1");
  const { MESSAGE, QMPMUX_VM } = fieldsOf(records[0]!);
  assertEquals([MESSAGE, QMPMUX_VM], ["web-1: mux/3 (operator): stop: return", "web-1"]);
});
