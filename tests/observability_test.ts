/**
 * The metrics, the audit and the log of a running qmpmux, none of which may show secrets.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { FakeQemu } from "./support/fake_qemu.ts";
import { MetricsRecorder, ProcessRecorder } from "../lib/observe/metrics_recorder.ts";
import { Metrics } from "../lib/observe/prometheus.ts";
import { asciiBytes } from "../lib/wire/text.ts";
import { TestClient } from "./support/client.ts";
import { within } from "./support/deadline.ts";
import { makePlace } from "./support/place.ts";
import { startQemu, WITHOUT_QEMU } from "./support/qemu.ts";
import { startQmpmux, type TestQmpmux } from "./support/qmpmux.ts";
import { NO_GAUGES } from "./support/gauges.ts";

/** Whether to skip the test of the metrics' format; only the caller may choose that. */
const WITHOUT_PROMTOOL = (Deno.env.get("QMPMUX_TESTS_WITHOUT") ?? "").split(",").includes(
  "promtool",
);

const SECRET = "hunter2hunter2";

/** Returns the metrics on a unix socket, without the HTTP head. */
async function metricsAt(path: string): Promise<string> {
  const socket = await Deno.connect({ transport: "unix", path });
  const writer = socket.writable.getWriter();
  await writer.write(asciiBytes("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"));
  const answer = await within("metrics", new Response(socket.readable).text());
  writer.releaseLock();
  const [head, body] = answer.split("\r\n\r\n");
  assert(head!.startsWith("HTTP/1.1 200 "), head);
  return body!;
}

/** Moves the audit away, and prevents a new file in its place. */
function block(path: string): void {
  Deno.renameSync(path, `${path}.1`);
  Deno.mkdirSync(path);
}

/** A qmpmux with an audit in front of a fake QEMU, and a client. */
interface Audited extends AsyncDisposable {
  readonly at: (name: string) => string;
  readonly qemu: FakeQemu;
  readonly program: TestQmpmux;
  readonly client: TestClient;
}

/** Starts a qmpmux with an audit and further flags; a client is connected. */
async function startAudited(
  flags: (at: Audited["at"]) => readonly string[] = (): [] => [],
): Promise<Audited> {
  await using made = new AsyncDisposableStack();
  const { path } = made.use(makePlace());
  const at = (name: string): string => `${path}/${name}`;
  const qemu = made.use(new FakeQemu(at("vm")));
  const program = made.use(
    await startQmpmux([
      ...["--qemu", qemu.path, "--listen", at("mux"), "--audit", at("audit")],
      ...flags(at),
    ]),
  );
  await program.log.until(/connected to QEMU/);
  const client = made.use(await TestClient.ready(at("mux")));
  const owned = made.move();
  return { at, qemu, program, client, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** Returns the records in a file. */
function recordsIn(path: string): Record<string, unknown>[] {
  return Deno.readTextFileSync(path).trimEnd().split("\n").map((line) => JSON.parse(line));
}

Deno.test({
  name: "secrets sent to a real QEMU appear in no log, audit or metric",
  ignore: WITHOUT_QEMU,
  async fn(): Promise<void> {
    using place = makePlace();
    const [vm, mux, metrics, audit, file] = ["vm", "mux", "metrics", "audit", "x.toml"].map(
      (name) => `${place.path}/${name}`,
    ) as [string, string, string, string, string];
    Deno.writeTextFileSync(
      file,
      `qemu = "${vm}"\nlog-format = "json"\nmetrics = "${metrics}"\naudit = "${audit}"\n` +
        `audit-all = true\n[[listen]]\naddress = "${mux}"\n`,
    );
    await using _qemu = await startQemu(vm);
    await using program = await startQmpmux(["--config", file]);
    const log = [await program.log.until(/connected to QEMU/)];
    using client = await TestClient.ready(mux);
    const password = { protocol: "vnc", password: SECRET };
    const commands = [
      { execute: "object-add", arguments: { "qom-type": "secret", id: "s", data: SECRET } },
      { execute: "set_password", arguments: password },
      { execute: "set_password", arguments: { ...password, made: SECRET } },
      { execute: `set_password ${SECRET}`.slice(0, 12), arguments: { protocol: SECRET } },
      { execute: "no-such-command", arguments: { anything: SECRET } },
      {
        execute: "human-monitor-command",
        arguments: { "command-line": `set_password vnc ${SECRET}` },
      },
      { execute: "query-status" },
    ];
    const replies: string[] = [];
    for (const command of commands) replies.push(await client.ask(command));
    assertEquals(replies[0], '{"return": {}}');
    // Malformed input that contains it, and a client that disconnects.
    await client.ask(`{"execute": ${SECRET} }`);
    client[Symbol.dispose]();
    const told = await metricsAt(metrics);
    assertMatch(told, /commands_total\{command="object-add",role="full",result="return"\} 1\n/);
    assertMatch(told, /commands_total\{command="other",role="full",result="error"\} 1\n/);
    program.kill("SIGUSR2");
    log.push(await program.log.until(/status: QEMU /));
    program.kill("SIGTERM");
    await within("the end", program.ended);
    log.push(...await program.log.rest());
    const records = Deno.readTextFileSync(audit);
    assertEquals(
      recordsIn(audit).map(({ command, outcome }) => [command, outcome]),
      [
        ["qmp_capabilities", "return"],
        ["object-add", "return"],
        ...Array.from({ length: 3 }, () => ["set_password", "error"]),
        ["no-such-command", "error"],
        ["human-monitor-command", "return"],
        ["query-status", "return"],
      ],
    );
    for (const text of [records, told, ...log]) assert(!text.includes("hunter2"), text);
    assert(log.every((line) => typeof JSON.parse(line).message === "string"));
  },
});

Deno.test("audit-failure=refuse: commands that cannot be recorded do not run until they can", async () => {
  await using audited = await startAudited(
    (at) => ["--metrics", at("metrics"), "--audit-failure", "refuse"],
  );
  const { at, qemu, program, client } = audited;
  await client.ask({ execute: "change-a" });
  block(at("audit"));
  program.kill("SIGHUP");
  await program.log.until(/audit .* cannot be written: /);
  assertEquals(
    await client.ask({ execute: "change-b" }),
    '{"error": {"class": "GenericError", "desc": ' +
      '"The command change-b has been refused: its audit record cannot be written"}}',
  );
  assertMatch(await client.ask({ execute: "query-status" }), /"return"/);
  assertMatch(await metricsAt(at("metrics")), /^qmpmux_audit_failures_total [1-9]/m);

  // It retries by itself.
  Deno.removeSync(at("audit"));
  await program.log.until(/audit .* can be written again; no records were lost/);
  assertMatch(await client.ask({ execute: "change-c" }), /CommandNotFound/);
  program.kill("SIGTERM");
  await within("the end", program.ended);
  assertEquals(recordsIn(at("audit")).map(({ command, outcome }) => [command, outcome]), [
    ["change-b", "refused"],
    ["change-c", "error"],
  ]);
  assertEquals(recordsIn(at("audit.1")).map(({ command }) => command), ["change-a"]);
  assert(qemu.heard.every((text) => !text.includes("change-b")));
});

Deno.test("audit-failure=continue: commands that cannot be recorded still run", async () => {
  await using audited = await startAudited();
  const { at, qemu, program, client } = audited;
  block(at("audit"));
  program.kill("SIGHUP");
  await program.log.until(/audit .* cannot be written: /);
  for (const execute of ["change-a", "change-b"]) await client.ask({ execute });
  assert(qemu.heard.some((text) => text.includes("change-b")));
  program.kill("SIGTERM");
  await program.log.until(/audit .*: 2 records could not be written/);
});

Deno.test("SIGHUP reopens the audit after it has been moved away", async () => {
  await using audited = await startAudited();
  const { at, program, client } = audited;
  await client.ask({ execute: "before" });
  Deno.renameSync(at("audit"), at("audit.1"));
  using watcher = Deno.watchFs(at("."), { recursive: false });
  program.kill("SIGHUP");
  await within("the new file", there(watcher, at("audit")));
  await client.ask({ execute: "after" });
  program.kill("SIGTERM");
  await within("the end", program.ended);
  assertEquals(recordsIn(at("audit.1")).map(({ command }) => command), ["before"]);
  assertEquals(recordsIn(at("audit")).map(({ command }) => command), ["after"]);
});

/** Resolves when a file exists. */
async function there(watcher: Deno.FsWatcher, path: string): Promise<void> {
  for await (const _ of watcher) {
    try {
      Deno.statSync(path);
      return;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
}

Deno.test("qmpmux exits before it listens if the audit cannot be opened", async () => {
  using place = makePlace();
  const at = (name: string): string => `${place.path}/${name}`;
  await using program = await startQmpmux([
    ...["--qemu", at("vm"), `--listen=${at("mux")}`, "--audit", at("no/audit")],
  ]);
  assertMatch(await program.log.until(/audit/), /no\/audit: the directory .* does not exist/);
  assertEquals((await within("the end", program.ended)).code, 78);
  assertEquals((await program.log.rest()).filter((line) => line.includes("listening")), []);
  assertEquals([...Deno.readDirSync(place.path)], []);
});

Deno.test({
  name: "MetricsRecorder.render() prints metrics that promtool accepts without a warning",
  ignore: WITHOUT_PROMTOOL,
  async fn(): Promise<void> {
    const versions = { version: "0.1.0", deno: Deno.version.deno };
    const processRecorder = new ProcessRecorder(() => true, versions);
    const metricsRecorder = new MetricsRecorder(() => true, "web-1");
    const other = new MetricsRecorder(() => true, "web-2");
    const party = { name: "a/1", grant: { name: "a", role: { name: 'a"b\\c' } } };
    const bytes = asciiBytes("{}");
    const command = { name: "stop", oob: false, id: undefined, bytes, argumentBytes: undefined };
    metricsRecorder.observe({
      kind: "command",
      client: party,
      command,
      outcome: { result: "return", took: 0.01, waited: 0.002 },
    });
    metricsRecorder.observe({
      kind: "command",
      client: party,
      command,
      outcome: { result: "refused", took: 0 },
    });
    metricsRecorder.observe({
      kind: "event",
      event: { kind: "event", name: "STOP", bytes },
      clients: 3,
    });
    metricsRecorder.observe({ kind: "left", ending: "unread" });
    metricsRecorder.observe({ kind: "limit", limit: "rate" });
    const clients = new Map([["full", 1]]);
    metricsRecorder.update({ ...NO_GAUGES, clients, inFlight: 1, up: true });
    const recorders = [processRecorder, metricsRecorder, other];
    const text = Metrics.render(recorders.map(({ metrics }) => metrics));
    const programs = new URL("../.cache/programs", import.meta.url).pathname;
    const tool = new Deno.Command("promtool", {
      env: { PATH: `${programs}:${Deno.env.get("PATH")}` },
      args: ["check", "metrics"],
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const writer = tool.stdin.getWriter();
    await writer.write(asciiBytes(text));
    await writer.close();
    const { code, stdout, stderr } = await within("promtool", tool.output());
    const decoder = new TextDecoder();
    assertEquals([code, decoder.decode(stdout), decoder.decode(stderr)], [0, "", ""]);
  },
});

Deno.test("docs/observability.md lists every metric", () => {
  const recorders = [
    new ProcessRecorder(() => true, { version: "0", deno: "0" }),
    new MetricsRecorder(() => true),
  ];
  const text = Metrics.render(recorders.map(({ metrics }) => metrics));
  const docs = Deno.readTextFileSync(new URL("../docs/observability.md", import.meta.url));
  const names = text.matchAll(/^# TYPE (\w+) /gm).map(([, name]) => name!);
  assertEquals([...names].filter((name) => !docs.includes(`\`${name}`)), []);
});
