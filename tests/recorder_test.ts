/**
 * `serve --record`: all traffic of a process, in files that take turns.
 *
 * @module
 */

import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { Recorder } from "../lib/daemon/recorder.ts";
import { readHeader, readRecordingLine } from "../lib/observe/recording_reader.ts";
import { Taps } from "../lib/observe/taps.ts";
import { Failure } from "../lib/platform/failure.ts";
import { DiskFiles, type RotatedFile } from "../lib/platform/rotated_file.ts";
import { TestClient } from "./support/client.ts";
import { FakeLog } from "./support/fake_log.ts";
import { FakeQemu } from "./support/fake_qemu.ts";
import { makePlace } from "./support/place.ts";
import { runQmpmux, startQmpmux } from "./support/qmpmux.ts";
import { Stage } from "./support/stage.ts";

type Line = Record<string, unknown>;

/** Checks the lines of a file, and that each reply names its command's line in it. */
function checked(text: string): Line[] {
  assert(text.endsWith("\n"));
  const [header, ...lines] = text.slice(0, -1).split("\n");
  assert(!("wrong" in readHeader(header!)), header);
  for (const line of lines) assert(!("wrong" in readRecordingLine(line)), line);
  const all = [header!, ...lines].map((line) => JSON.parse(line) as Line);
  for (const { kind, of, client, vm } of all) {
    if (kind !== "reply" || of === undefined) continue;
    const command = all[of as number - 1]!;
    assertEquals([command["kind"], command["client"], command["vm"]], ["command", client, vm]);
  }
  return all;
}

function linesOf(path: string): Line[] {
  return checked(Deno.readTextFileSync(path));
}

function kinds(lines: readonly Line[]): string[] {
  return lines.map(({ side, kind }) => `${side} ${kind}`);
}

/** Returns the metrics on a unix socket. */
async function metricsAt(path: string): Promise<string> {
  using socket = await Deno.connect({ transport: "unix", path });
  const request = new TextEncoder().encode("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
  assertEquals(await socket.write(request), request.length);
  return await new Response(socket.readable).text();
}

const SECRET = {
  execute: "set_password",
  arguments: { protocol: "vnc", password: "hunter2" },
};

Deno.test("serve --record records from the start to the end, for its user only, without secrets", async () => {
  using place = makePlace();
  const path = `${place.path}/file`;
  await using qemu = new FakeQemu(`${place.path}/vm`);
  await using qmpmux = await startQmpmux(
    ["--qemu", qemu.path, "--listen", `${place.path}/mux`, "--record", path],
  );
  using client = await TestClient.ready(`${place.path}/mux`);
  await client.ask(SECRET);
  assertEquals(Deno.statSync(path).mode! & 0o777, 0o600);
  qmpmux.kill("SIGTERM");
  assertEquals((await qmpmux.ended).code, 0);
  const lines = linesOf(path);
  const kindsAt = (at: string): unknown[] =>
    lines.filter(({ side }) => side === at).map(({ kind }) => kind);
  assertEquals(kindsAt("client"), [
    "connect",
    "greeting",
    "command",
    "reply",
    "command",
    "reply",
    "disconnect",
  ]);
  assertEquals(kindsAt("qemu"), [
    "greeting",
    "command",
    "reply",
    "command",
    "reply",
    "disconnect",
  ]);
  assert(!Deno.readTextFileSync(path).includes("hunter2"));
  const shown = await runQmpmux(["show", path]);
  assertEquals([shown.code, shown.stderr], [0, ""]);
  assertMatch(shown.stdout, /set_password .*removed/);
});

Deno.test("serve --record begins another file at --record-size, and keeps --record-files older ones", async () => {
  using place = makePlace();
  const path = `${place.path}/file`;
  await using qemu = new FakeQemu(`${place.path}/vm`);
  const args = ["--qemu", qemu.path, "--listen", `${place.path}/mux`, "--record", path];
  const sizes = ["--record-size", "64K", "--record-files", "2"];
  // The recording of an earlier process becomes an older file.
  Deno.writeTextFileSync(path, '{"qmpmux-recording":1,"time":"2026-01-02T03:04:05Z"}\n');
  await using qmpmux = await startQmpmux([...args, ...sizes]);
  using client = await TestClient.ready(`${place.path}/mux`);
  assertMatch(Deno.readTextFileSync(`${path}.1`), /2026-01-02/);
  const id = "x".repeat(10_000);
  for (let count = 0; count < 20; count++) await client.ask({ execute: "system_reset", id });
  qmpmux.kill("SIGTERM");
  assertEquals((await qmpmux.ended).code, 0);
  assertEquals([...Deno.readDirSync(place.path)].map(({ name }) => name).toSorted(), [
    "file",
    "file.1",
    "file.2",
    "vm",
  ]);
  for (const suffix of ["", ".1", ".2"]) {
    const lines = linesOf(`${path}${suffix}`);
    assertEquals(kinds(lines.slice(1, 3)), ["qemu greeting", "client connect"], suffix);
    const { size } = Deno.statSync(`${path}${suffix}`);
    assert(size < 100_000, `${size}`);
    assertEquals(Deno.statSync(`${path}${suffix}`).mode! & 0o777, 0o600);
  }
  assertEquals(linesOf(path).filter(({ dropped }) => dropped !== undefined), []);
});

Deno.test("serve --record at a full disk holds nobody up, logs it once, and counts it", async () => {
  using place = makePlace();
  const path = `${place.path}/file`;
  await using qemu = new FakeQemu(`${place.path}/vm`);
  await using qmpmux = await startQmpmux([
    ...["--qemu", qemu.path, "--listen", `${place.path}/mux`, "--record", path],
    ...["--metrics", `${place.path}/metrics`],
  ], { under: ["bash", "-c", `trap "" XFSZ; ulimit -f 64; exec "$@"`, "limited"] });
  using client = await TestClient.ready(`${place.path}/mux`);
  const id = "x".repeat(10_000);
  for (let count = 0; count < 20; count++) await client.ask({ execute: "system_reset", id });
  await qmpmux.log.until(/record .*file cannot be written: .*too large/);
  await client.ask({ execute: "system_reset", id });
  const metrics = await metricsAt(`${place.path}/metrics`);
  assertMatch(metrics, /^qmpmux_record_failures_total [1-9]/m);
  qmpmux.kill("SIGTERM");
  assertEquals((await qmpmux.ended).code, 0);
  const rest = await qmpmux.log.rest();
  assertEquals(rest.filter((line) => line.includes("cannot be written")), []);
  assertMatch(rest.join("\n"), /record .*file: \d+ lines could not be written/);
  linesOf(path);
});

Deno.test("serve --record begins another file after SIGHUP, if the file was moved away", async () => {
  using place = makePlace();
  const path = `${place.path}/file`;
  await using qemu = new FakeQemu(`${place.path}/vm`);
  const config = `${place.path}/config`;
  Deno.writeTextFileSync(
    config,
    `qemu = "${qemu.path}"\nrecord = "${path}"\n[[listen]]\naddress = "${place.path}/mux"\n`,
  );
  await using qmpmux = await startQmpmux(["--config", config], { listeners: 1 });
  using client = await TestClient.ready(`${place.path}/mux`);
  qmpmux.kill("SIGHUP");
  await qmpmux.log.until(/reloaded/);
  await client.ask({ execute: "system_reset", id: "first" });
  Deno.renameSync(path, `${path}.moved`);
  qmpmux.kill("SIGHUP");
  await qmpmux.log.until(/reloaded/);
  await client.ask({ execute: "system_reset", id: "second" });
  // Another path ends this recording, and begins one there.
  Deno.writeTextFileSync(config, Deno.readTextFileSync(config).replace("/file", "/other"));
  qmpmux.kill("SIGHUP");
  await qmpmux.log.until(/recording to .*other/);
  await client.ask({ execute: "system_reset", id: "third" });
  qmpmux.kill("SIGTERM");
  await qmpmux.ended;
  const names = [`${path}.moved`, path, `${place.path}/other`];
  const commands = names.map((name) => {
    const lines = linesOf(name);
    const sent = lines.filter(({ side, kind }) => side === "client" && kind === "command");
    return sent.map(({ text }) => JSON.parse(text as string).id);
  });
  assertEquals(commands, [[undefined, "first"], ["second"], ["third"]]);
  assertEquals(kinds(linesOf(path).slice(1, 3)), ["qemu greeting", "client connect"]);
});

Deno.test("serve --record of many VMs names the VM in each line", async () => {
  using place = makePlace();
  const path = `${place.path}/file`;
  for (const vm of ["a", "b"]) Deno.mkdirSync(`${place.path}/${vm}`);
  await using _a = new FakeQemu(`${place.path}/a/qmp`);
  await using _b = new FakeQemu(`${place.path}/b/qmp`);
  await using qmpmux = await startQmpmux([
    ...["--qemu", `${place.path}/{vm}/qmp`, "--listen", `${place.path}/{vm}/mux`],
    ...["--record", path],
  ], { listeners: 2 });
  for (const vm of ["a", "b"]) {
    using client = await TestClient.ready(`${place.path}/${vm}/mux`);
    await client.ask({ execute: "system_reset" });
  }
  qmpmux.kill("SIGTERM");
  await qmpmux.ended;
  const [header, ...lines] = linesOf(path);
  assertEquals(header!["vm"], null);
  assertEquals([...new Set(lines.map(({ vm }) => vm))].toSorted(), ["a", "b"]);
});

Deno.test("serve refuses a recording that it cannot write, and settings that contradict it", async () => {
  using place = makePlace();
  const file = `${place.path}/file`;
  Deno.writeTextFileSync(file, "important");
  const serve = ["--qemu", `${place.path}/vm`, "--listen", `${place.path}/mux`];
  for (
    const [args, code, message] of [
      [["--record", file], 78, /file exists and is not a recording; name another file/],
      [["--record", place.path], 78, /exists and is not a recording/],
      [["--record", `${place.path}/none/file`], 78, /none does not exist; create it first/],
      [["--record", `${place.path}/{vm}`], 64, /the recording is of all VMs; leave \{vm\} out/],
      [["--record", `${place.path}/mux`], 64, /mux/],
      [["--record-size", "1M"], 64, /record-size needs record, which is not set/],
      [["--record", `${file}2`, "--record-size", "1"], 64, /expected bytes from 65536 to/],
      [["--record", `${file}2`, "--record-files", "0"], 64, /expected files from 1 to 1000/],
    ] as const
  ) {
    const asked = await runQmpmux(["serve", ...serve, ...args]);
    assertEquals(asked.code, code, asked.stderr);
    assertMatch(asked.stderr, message);
  }
  assertEquals([...Deno.readDirSync(place.path)].map(({ name }) => name), ["file"]);
  assertEquals(Deno.readTextFileSync(file), "important");
});

Deno.test("DiskFiles.turn() does not rename a file of another kind", () => {
  using place = makePlace();
  const path = `${place.path}/file`;
  const files = new DiskFiles(path, "{", 1);
  Deno.removeSync(path);
  Deno.writeTextFileSync(path, "important");
  assertEquals(files.isMoved, true);
  assertThrows(() => files.turn(1), Failure, "exists and is not a recording");
  assertEquals(Deno.readTextFileSync(path), "important");
  files.close();
});

/** Files in memory, which are written as the test allows. */
class FakeFiles implements RotatedFile {
  readonly path = "file";
  readonly texts = [""];
  isMoved = false;
  wrong: string | undefined;

  turn(): void {
    if (this.wrong !== undefined) throw new Error(this.wrong);
    this.texts.push("");
  }

  async write(lines: string): Promise<void> {
    await undefined;
    if (this.wrong !== undefined) throw new Error(this.wrong);
    this.texts[this.texts.length - 1] += lines;
  }

  close(): void {}
}

Deno.test("Recorder counts lines beyond its queue, and writes the others when it can again", async () => {
  const [files, log, taps, stage] = [new FakeFiles(), new FakeLog(), new Taps(), new Stage()];
  const timers: (() => void)[] = [];
  let failures = 0;
  const recorder = new Recorder(files, { size: 1 << 20, older: 1 }, {
    taps,
    clock: { now: () => 0, timeOfDay: () => 1, after: (_, run) => (timers.push(run), () => {}) },
    log,
    version: "1.2.3",
    vm: "vm1",
    libc: undefined,
    failed: () => failures++,
    broken: (error) => {
      throw error;
    },
  }, 10_000);
  taps.join(stage.mux.traffic);
  stage.qemuReady();
  recorder.start();
  const client = stage.ready("client");
  files.wrong = "No space left";
  const ask = (id: string): void => {
    client.say(`{"execute":"stop","id":"${id}"}`);
    const [sent] = stage.qemu.take();
    stage.qemuSays(`{"return": {}, "id": ${JSON.parse(sent!).id}}`);
    assertEquals(client.peer.take().length, 1);
  };
  const settled = async (): Promise<void> => {
    for (const run of timers.splice(0)) run();
    for (let turn = 0; turn < 20; turn++) await undefined;
  };
  for (let count = 0; count < 40; count++) ask(`${count}${"x".repeat(100)}`);
  await settled();
  assertEquals(log.take(), [
    "recording to file",
    "record file cannot be written: more than 10000 bytes wait to be written",
  ]);
  assert(failures > 40);
  files.wrong = undefined;
  await settled();
  assertMatch(log.take().join(), /^record file can be written again; \d+ lines were lost$/);
  ask("last");
  await recorder.close();
  assertEquals(log.take(), []);
  const lines = checked(files.texts.join(""));
  const gap = lines.findIndex(({ dropped }) => dropped !== undefined);
  assert(gap > 10);
  assertEquals(
    lines[gap]!["dropped"],
    2 + 4 * 40 - kinds(lines.slice(0, gap)).filter((kind) => / (command|reply)$/.test(kind)).length,
  );
  assertMatch(JSON.stringify(lines[gap + 1]), /last/);
});
