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
import { Stage, type StageClient } from "./support/stage.ts";

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

Deno.test("DiskFiles goes on with the next file after somebody has emptied the present one", async () => {
  using place = makePlace();
  const path = `${place.path}/file`;
  const files = new DiskFiles(path, '{"first":', 1);
  const write = (text: string): Promise<void> => files.write(new TextEncoder().encode(text));
  await write('{"first":1}\n{"t":1}\n');
  Deno.truncateSync(path);
  await write('{"t":2}\n');
  files.turn(1);
  files.close();
  assertEquals(Deno.readTextFileSync(`${path}.1`), '{"t":2}\n');
  assertEquals(Deno.readTextFileSync(path), "");
});

Deno.test("DiskFiles removes the part of a line that a killed process has left", () => {
  const lines = `{"${"x".repeat(100_000)}":1}\n{"t":1}\n`;
  for (
    const [there, kept] of [
      [lines, lines],
      [`${lines}{"t":`, lines],
      [`${lines}{"${"x".repeat(200_000)}`, lines],
      [`{"t":1}\n\n{`, `{"t":1}\n\n`],
    ] as const
  ) {
    using place = makePlace();
    const path = `${place.path}/file`;
    Deno.writeTextFileSync(path, there);
    new DiskFiles(path, "{", 1).close();
    assertEquals(Deno.readTextFileSync(`${path}.1`), kept);
    assertEquals(Deno.readTextFileSync(path), "");
  }
});

Deno.test("DiskFiles keeps no older file without lines", () => {
  for (const text of ["", '{"qmpmux']) {
    using place = makePlace();
    const path = `${place.path}/file`;
    Deno.writeTextFileSync(`${path}.1`, "older");
    Deno.writeTextFileSync(path, text);
    new DiskFiles(path, "{", 1).close();
    assertEquals(Deno.readTextFileSync(`${path}.1`), "older");
    assertEquals(Deno.readTextFileSync(path), "");
    assertEquals(Deno.statSync(path).mode! & 0o777, 0o600);
  }
});

Deno.test("DiskFiles tells of a symbolic link to nothing", () => {
  using place = makePlace();
  const path = `${place.path}/file`;
  Deno.symlinkSync(`${place.path}/nothing`, path);
  assertThrows(() => new DiskFiles(path, "{", 1), Failure, "it is a symbolic link to nothing");
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

  async write(lines: Uint8Array): Promise<void> {
    await undefined;
    if (this.wrong !== undefined) throw new Error(this.wrong);
    this.texts[this.texts.length - 1] += new TextDecoder().decode(lines);
  }

  close(): void {}
}

/** A recorder of files in memory, and its clock. */
class Recording {
  readonly files = new FakeFiles();
  readonly log = new FakeLog();
  readonly stage = new Stage();
  readonly recorder: Recorder;
  failures = 0;
  readonly #timers: (() => void)[] = [];

  constructor(size: number, limit: number) {
    const taps = new Taps();
    this.recorder = new Recorder(this.files, { size, older: 1 }, {
      taps,
      clock: {
        now: () => 0,
        timeOfDay: () => 1,
        after: (_, run) => (this.#timers.push(run), () => {}),
      },
      log: this.log,
      version: "1.2.3",
      vm: "vm1",
      libc: undefined,
      failed: () => this.failures++,
      broken: (error) => {
        throw error;
      },
    }, limit);
    taps.join(this.stage.mux.traffic);
    this.stage.qemuReady();
    this.recorder.start();
  }

  /** Lets a client run a command, which makes four lines. */
  ask(client: StageClient, id: string): void {
    client.say(`{"execute":"stop","id":"${id}"}`);
    const [sent] = this.stage.qemu.take();
    this.stage.qemuSays(`{"return": {}, "id": ${JSON.parse(sent!).id}}`);
    assertEquals(client.peer.take().length, 1);
  }

  /** Runs the timers that are due, once, and what follows. */
  async settled(): Promise<void> {
    for (const run of this.#timers.splice(0)) run();
    for (let turn = 0; turn < 20; turn++) await undefined;
  }
}

Deno.test("Recorder counts lines beyond its queue, and writes the others when it can again", async () => {
  const recording = new Recording(1 << 20, 10_000);
  const { files, log, stage, recorder } = recording;
  const client = stage.ready("client");
  files.wrong = "No space left";
  for (let count = 0; count < 40; count++) recording.ask(client, `${count}${"x".repeat(100)}`);
  await recording.settled();
  assertEquals(log.take(), [
    "recording to file",
    "record file cannot be written: more than 10000 bytes wait to be written",
  ]);
  assert(recording.failures > 40);
  files.wrong = undefined;
  await recording.settled();
  await recording.settled();
  assertMatch(log.take().join(), /^record file can be written again; \d+ lines were lost$/);
  recording.ask(client, "last");
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

Deno.test("Recorder tells once of more lines than can be written, while they come again and again", async () => {
  const recording = new Recording(1 << 20, 10_000);
  const { log, stage, recorder } = recording;
  const client = stage.ready("client");
  await recording.settled();
  assertEquals(log.take(), ["recording to file"]);
  for (let flood = 0; flood < 5; flood++) {
    for (let count = 0; count < 40; count++) recording.ask(client, "x".repeat(100));
    await recording.settled();
  }
  assertEquals(log.take(), [
    "record file cannot be written: more than 10000 bytes wait to be written",
  ]);
  await recording.settled();
  await recording.settled();
  assertMatch(log.take().join(), /^record file can be written again; [1-9]\d* lines were lost$/);
  await recorder.close();
});

Deno.test("Recorder begins another file in time while more lines come than can be written", async () => {
  const recording = new Recording(20_000, 10_000);
  const { files, stage, recorder } = recording;
  const client = stage.ready("client");
  for (let flood = 0; flood < 20; flood++) {
    for (let count = 0; count < 40; count++) recording.ask(client, "x".repeat(100));
    await recording.settled();
  }
  await recorder.close();
  assert(recording.failures > 0);
  assert(files.texts.length > 5, `${files.texts.length}`);
  for (const text of files.texts) {
    assert(text.length < 21_000, `${text.length}`);
    assertEquals(kinds(checked(text).slice(1, 3)), ["qemu greeting", "client connect"]);
  }
});

Deno.test("Recorder writes no more beginnings than messages, however small the files are to be", async () => {
  const recording = new Recording(1, 1 << 20);
  const { files, stage, recorder } = recording;
  const clients = Array.from({ length: 50 }, (_, number) => stage.ready(`client${number}`));
  for (let count = 0; count < 10; count++) await recording.settled();
  const before = files.texts.length;
  for (let count = 0; count < 200; count++) {
    recording.ask(clients[count % 50]!, "x".repeat(100));
    await recording.settled();
  }
  await recorder.close();
  assert(files.texts.length - before > 2, `${files.texts.length}`);
  for (const text of files.texts.slice(before, -1)) {
    const end = text.search(/^.*"kind":"(?:command|reply)"/m);
    assert(end > 0 && end <= text.length / 2, `${end} of ${text.length}`);
  }
});
