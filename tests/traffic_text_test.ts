/**
 * Traffic for people: commands with their answers, everything else, and the limits.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { TrafficEntries, WAITING_LIMIT } from "../lib/cli/traffic_entries.ts";
import { TrafficFilter, type TrafficGlobs } from "../lib/cli/traffic_filters.ts";
import { durationText, LINE_TEXT_LIMIT, TrafficText, versionOf } from "../lib/cli/traffic_text.ts";
import { MadeRecording, START } from "./support/made_recording.ts";

/** Returns the lines for a recording, without the heading. */
function linesOf(made: MadeRecording, globs: TrafficGlobs = {}): readonly string[] {
  const filter = new TrafficFilter(globs);
  const entries = new TrafficEntries({ filter, vm: "vm1", textLimit: LINE_TEXT_LIMIT });
  const text = new TrafficText({ start: Date.parse(START), isColoured: false, vm: "vm1" });
  const all = [...made.read()].flatMap(([number, line]) => entries.take(number, line));
  const lines = [...all, ...entries.end()].flatMap((entry) => text.lines(entry));
  assertEquals(lines.shift(), lines.length === 0 ? undefined : "-- 2026-01-02 UTC");
  return lines;
}

/** Returns a recording of two clients with everything in it. */
function everything(): MadeRecording {
  const made = new MadeRecording();
  made.connect("mux/1", 0, {
    role: "full",
    dialect: "qmp",
    mode: "command",
    capabilities: ["oob"],
    filter: ["*"],
    peer: { pid: 4711, uid: 0, gid: 0, comm: "socat" },
  });
  made.exchange({ client: "mux/1", t: 1, name: "query-status", wait: 0.00005, run: 0.0012 });
  made.event(2, "STOP", undefined, ["mux/1"]);
  made.connect("ops/2", 3, { role: "operator", dialect: "rfc2010", mode: "negotiating" });
  made.exchange({
    client: "ops/2",
    t: 3.5,
    name: "device_del",
    args: '{"id": "net9"}',
    reply: '"error": {"class": "DeviceNotFound", "desc": "Device \'net9\' not found"}',
    wait: 2,
    run: 0.25,
  });
  made.exchange({ client: "ops/2", t: 6, name: "query-yank", oob: true, reply: '"return": []' });
  made.add({
    t: 7,
    side: "client",
    client: "ops/2",
    kind: "damage",
    length: 17,
    reason: "JSON parse error",
  });
  made.disconnect("ops/2", 8, "left");
  made.add({ t: 9, dropped: 7 });
  made.event(10, "SHUTDOWN", '{"guest": false}');
  return made;
}

Deno.test("each command has one line, with its client, arguments, answer and times", () => {
  assertEquals(linesOf(everything()), [
    "03:04:05.000 mux/1 (socat 4711): connected: role full, dialect qmp, mode command, oob, events *",
    "03:04:06.000 mux/1 (socat 4711): query-status → {} [waited 50 µs, ran 1.2 ms]",
    "03:04:07.000 QEMU: STOP",
    "03:04:08.000 ops/2: connected: role operator, dialect rfc2010, mode negotiating",
    `03:04:08.500 ops/2: device_del {"id": "net9"} → DeviceNotFound: Device 'net9' not found ` +
    "[waited 2 s, ran 250 ms]",
    "03:04:11.000 ops/2: query-yank (out of band) → []",
    "03:04:12.000 ops/2: damage of 17 bytes: JSON parse error",
    "03:04:13.000 ops/2: disconnected: left",
    "03:04:14.000 recording: 7 messages not recorded",
    '03:04:15.000 QEMU: SHUTDOWN {"guest": false}',
  ]);
});

Deno.test("a filter of commands or events leaves the rest out, but gaps", () => {
  const gap = "03:04:14.000 recording: 7 messages not recorded";
  const status = "03:04:06.000 mux/1 (socat 4711): query-status → {} [waited 50 µs, ran 1.2 ms]";
  assertEquals(linesOf(everything(), { command: ["query-s*"] }), [status, gap]);
  assertEquals(linesOf(everything(), { event: ["S?OP"] }), ["03:04:07.000 QEMU: STOP", gap]);
  assertEquals(linesOf(everything(), { command: ["query-status"], event: ["S?OP"] }), [
    status,
    "03:04:07.000 QEMU: STOP",
    gap,
  ]);
});

Deno.test("a filter of clients shows the events that they got", () => {
  assertEquals(linesOf(everything(), { client: ["mux/*"] }), [
    "03:04:05.000 mux/1 (socat 4711): connected: role full, dialect qmp, mode command, oob, events *",
    "03:04:06.000 mux/1 (socat 4711): query-status → {} [waited 50 µs, ran 1.2 ms]",
    "03:04:07.000 mux/1 (socat 4711): STOP",
    "03:04:14.000 recording: 7 messages not recorded",
  ]);
});

Deno.test("a filter of VMs compares with the line's, else with the header's", () => {
  const made = new MadeRecording();
  made.add({ t: 0, side: "qemu", vm: "vm2", kind: "event", text: '{"event": "RESUME"}' });
  made.event(1, "STOP");
  assertEquals(linesOf(made, { vm: ["vm1"] }), ["03:04:06.000 QEMU: STOP"]);
  assertEquals(linesOf(made, { vm: ["vm2"] }), ["03:04:05.000 vm2 QEMU: RESUME"]);
  assertEquals(linesOf(made, { vm: ["vm?"] }).length, 2);
});

Deno.test("events of qmpmux's own are shown as clients get them", () => {
  const made = new MadeRecording();
  const text = '{"timestamp": {}, "event": "__org.qmpmux_QEMU_LOST"}';
  made.add({ t: 0, side: "client", client: "mux/1", dir: "<", kind: "event", text });
  assertEquals(linesOf(made), ["03:04:05.000 mux/1: __org.qmpmux_QEMU_LOST"]);
});

Deno.test("commands of qmpmux's own are shown as its own, and joined ones for each client", () => {
  const made = new MadeRecording();
  const own = made.toQemu(0, '{"execute":"qmp_capabilities"}', []);
  made.fromQemu(0, own, '{"return": {}}');
  const first = made.command("a/1", 1, '{"execute":"query-kvm"}');
  const sent = made.toQemu(1, '{"execute":"query-kvm"}', [first]);
  const second = made.command("b/2", 1.5, '{"execute":"query-kvm"}');
  made.fromQemu(2, sent, '{"return": 1}');
  made.reply("a/1", 2, first, '{"return": 1}', { wait: 0, run: 1 });
  made.reply("b/2", 2, second, '{"return": 1}', { wait: 0, run: 0.5 });
  assertEquals(linesOf(made), [
    "03:04:05.000 qmpmux: qmp_capabilities → {}",
    "03:04:06.000 a/1: query-kvm → 1 [waited 0 µs, ran 1 s]",
    "03:04:06.500 b/2: query-kvm → 1 [waited 0 µs, ran 500 ms]",
  ]);
});

Deno.test("a command without a reply is told when its client disconnects, or at the end", () => {
  const made = new MadeRecording();
  made.connect("a/1", 0);
  made.command("a/1", 1, '{"execute":"cont"}');
  made.command("b/2", 1, '{"execute":"stop"}');
  made.disconnect("a/1", 2);
  made.event(3, "STOP");
  assertEquals(linesOf(made), [
    "03:04:05.000 a/1: connected",
    "03:04:06.000 a/1: cont → no reply before it disconnected",
    "03:04:07.000 a/1: disconnected",
    "03:04:08.000 QEMU: STOP",
    "03:04:06.000 b/2: stop → no reply at the end",
  ]);
});

Deno.test("a reply without its command is shown, unless a filter may have left that out", () => {
  const made = new MadeRecording();
  made.reply("a/1", 1, undefined, '{"return": 7}');
  made.reply("a/1", 2, 4711, '{"return": 8}');
  const unknown = "a command that is not in the recording";
  assertEquals(linesOf(made), [
    `03:04:06.000 a/1: ${unknown} → 7`,
    `03:04:07.000 a/1: ${unknown} → 8`,
  ]);
  assertEquals(linesOf(made, { client: ["a/*"] }), []);
});

Deno.test("the reply to damage is told with the damage alone", () => {
  const made = new MadeRecording();
  const damage = { t: 1, side: "client", client: "a/1", kind: "damage", reason: "r", length: 1 };
  made.reply("a/1", 1, made.add(damage), '{"error": {"class": "GenericError", "desc": "r"}}');
  assertEquals(linesOf(made), ["03:04:06.000 a/1: damage of 1 byte: r"]);
});

Deno.test("hostile texts are escaped and shortened", () => {
  const made = new MadeRecording();
  const hostile = "\x1b[2J\u202eevil\r\n";
  made.connect(`a\x1b[31m/1`, 0, { peer: { comm: hostile }, role: hostile });
  made.exchange({
    client: "b/2",
    t: 0,
    name: JSON.stringify(hostile).slice(1, -1),
    args: JSON.stringify({ a: hostile + "x".repeat(10000) }),
    reply: `"return": ${JSON.stringify(hostile.repeat(10000))}`,
  });
  made.exchange({
    client: "b/2",
    t: 0,
    name: "q",
    reply: `"error": ${JSON.stringify({ class: hostile, desc: hostile.repeat(10000) })}`,
  });
  made.event(0, "X".repeat(100000), JSON.stringify("\x9b31m"));
  for (const text of ["x\x1b]0;t\x07", "[1,2]", '{"return": ', '{"error": 7}', '{"error": {}}']) {
    made.reply("b/2", 0, undefined, text);
    made.command("c/3", 0, text);
    made.add({ t: 0, side: "qemu", dir: "<", kind: "event", text });
  }
  made.add({ t: 0, side: "qemu", dir: "<", kind: "event", base64: "eyJldmVudCI6ICL/In0=" });
  made.add({ t: 0, side: "qemu", dir: "<", kind: "event", base64: "no base64!" });
  const lines = linesOf(made);
  assertEquals(lines.length, 4 + 15 + 2);
  for (const line of lines) {
    // deno-lint-ignore no-control-regex
    assertEquals(/[\x00-\x1f\x7f-\x9f\u202a-\u202e]/.test(line), false, line);
    assertEquals(line.length < 1200, true, `${line.length}: ${line}`);
  }
  assertEquals(lines.slice(-7, -5), [
    "03:04:05.000 QEMU: \ufffd",
    "03:04:05.000 QEMU: unreadable event no base64!",
  ]);
});

Deno.test("QEMU's escape of an apostrophe, which JSON does not have, is read", () => {
  const made = new MadeRecording();
  made.command("a/1", 0, `{"execute":"eject","arguments":{"id":"it\\'s \\\\\\"x\\""}}`);
  assertEquals(linesOf(made), [
    `03:04:05.000 a/1: eject {"id":"it's \\\\\\"x\\""} → no reply at the end`,
  ]);
});

Deno.test("colours do not hide what a terminal would interpret", () => {
  const made = new MadeRecording();
  const reply = '"error": {"class": "E", "desc": "\\u001b[32mfine"}';
  made.exchange({ client: "a/1", t: 0, name: "x", reply, run: 1 });
  const entries = new TrafficEntries({ textLimit: LINE_TEXT_LIMIT });
  const text = new TrafficText({ start: Date.parse(START), isColoured: true });
  const all = [...made.read()].flatMap(([number, line]) => entries.take(number, line));
  assertEquals(
    all.flatMap((entry) => text.lines(entry)).at(-1),
    [
      "\x1b[2m03:04:05.000\x1b[0m \x1b[36ma/1\x1b[0m: \x1b[1mx\x1b[0m → ",
      "\x1b[31mE: \\u001b[32mfine\x1b[0m \x1b[2m[waited 0 µs, ran 1 s]\x1b[0m",
    ].join(""),
  );
});

Deno.test("digits are shown as they were sent", () => {
  const made = new MadeRecording();
  const digits = '{"size": 18446744073709551615, "x": 1.10}';
  made.exchange({
    client: "a/1",
    t: 0,
    name: "block_resize",
    args: digits,
    reply: `"return": ${digits}`,
  });
  assertEquals(linesOf(made), [`03:04:05.000 a/1: block_resize ${digits} → ${digits}`]);
});

Deno.test("a new day has a line", () => {
  const made = new MadeRecording();
  made.event(0, "STOP");
  made.event(86400 * 2, "RESUME");
  assertEquals(linesOf(made), [
    "03:04:05.000 QEMU: STOP",
    "-- 2026-01-04 UTC",
    "03:04:05.000 QEMU: RESUME",
  ]);
});

Deno.test("commands that never get a reply are told when too many wait", () => {
  const entries = new TrafficEntries({ textLimit: LINE_TEXT_LIMIT });
  let told = 0;
  const line = {
    kind: "command",
    t: 0,
    side: "client",
    client: "a/1",
    text: '{"execute":"stop"}',
  } as const;
  for (let number = 2; number < 2 + WAITING_LIMIT * 2; number++) {
    for (const entry of entries.take(number, line)) {
      assertEquals(entry.line, 2 + told++);
    }
  }
  assertEquals(told, WAITING_LIMIT);
  assertEquals(entries.end().length, WAITING_LIMIT);
  assertEquals(entries.end(), []);
});

Deno.test("commands with long arguments wait in smaller numbers", () => {
  const entries = new TrafficEntries({ textLimit: 1 << 20 });
  const args = JSON.stringify("x".repeat(1 << 19));
  const text = `{"execute":"stop","arguments":${args}}`;
  let told = 0;
  for (let number = 2; number < 102; number++) {
    told +=
      entries.take(number, { kind: "command", t: 0, side: "client", client: "a/1", text }).length;
  }
  assertEquals(entries.end().length, 100 - told);
  assertEquals(told > 60, true, `${told}`);
});

Deno.test("durationText() gives three digits and a unit", () => {
  const cases: [number, string][] = [
    [0, "0 µs"],
    [0.0000004, "0.4 µs"],
    [0.000123456, "123 µs"],
    [0.0009999, "1 ms"],
    [0.0123456, "12.3 ms"],
    [0.99999, "1 s"],
    [12.3456, "12.3 s"],
    [99.94, "99.9 s"],
    [99.96, "1 min 39 s"],
    [123.456, "2 min 3 s"],
    [5999.6, "1 h 39 min"],
    [98765.4, "27 h 26 min"],
  ];
  assertEquals(cases.map(([seconds]) => durationText(seconds)), cases.map(([, text]) => text));
});

Deno.test("versionOf() reads QEMU's version from a greeting", () => {
  const greeting = (qemu: string): string => `{"QMP": {"version": {"qemu": ${qemu}}}}`;
  assertEquals(versionOf(greeting('{"major": 11, "minor": 1, "micro": 2}')), "11.1.2");
  for (const bad of [greeting('{"major": "\\u001b"}'), greeting("[]"), "", "[]", '{"QMP": 1}']) {
    assertEquals(versionOf(bad), undefined);
  }
});
