/**
 * `qmpmux record`: the traffic of a running qmpmux in a file.
 *
 * @module
 */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { readHeader, readRecordingLine } from "../lib/observe/recording_reader.ts";
import { TestClient } from "./support/client.ts";
import { emptyReturn, eventLine, FakeQemu } from "./support/fake_qemu.ts";
import { makePlace } from "./support/place.ts";
import { runQmpmux, startQmpmux, type TestQmpmux } from "./support/qmpmux.ts";
import { contains, startRecord } from "./support/record.ts";

function serve(place: string, qemu: string): Promise<TestQmpmux> {
  return startQmpmux(
    ["--qemu", qemu, "--listen", `${place}/mux,identity=on`, "--control", `${place}/control`],
    { listeners: 2 },
  );
}

/** Starts a QEMU that sends an event before the reply to `cont` or `stop`. */
function startFake(place: string): FakeQemu {
  const events: Readonly<Record<string, string>> = { cont: "RESUME", stop: "STOP" };
  return new FakeQemu(`${place}/vm`, {
    answer: (command) => {
      const event = events[command.name];
      return event && `${eventLine(event)}${emptyReturn(command)}`;
    },
  });
}

/** Returns the lines of a file, all of which must be whole and well-formed. */
function linesOf(path: string): Record<string, unknown>[] {
  const text = Deno.readTextFileSync(path);
  assert(text.endsWith("\n"));
  const [header, ...lines] = text.slice(0, -1).split("\n");
  assert(!("wrong" in readHeader(header!)), header);
  for (const line of lines) assert(!("wrong" in readRecordingLine(line)), line);
  return [header!, ...lines].map((line) => JSON.parse(line));
}

/** Checks that each reply names its command's line in the file. */
function checkReplies(lines: readonly Record<string, unknown>[]): void {
  for (const { kind, of, client } of lines) {
    if (kind !== "reply" || of === undefined) continue;
    const command = lines[of as number - 1]!;
    assertEquals([command["kind"], command["client"]], ["command", client]);
  }
}

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.test(`qmpmux record writes everything to a new file of its user until ${signal}`, async () => {
    using place = makePlace();
    await using qemu = startFake(place.path);
    await using _qmpmux = await serve(place.path, qemu.path);
    using present = await TestClient.ready(`${place.path}/mux`);
    const path = `${place.path}/file`;
    await using record = await startRecord(place.path, [path]);
    assertEquals(Deno.statSync(path).mode! & 0o777, 0o600);
    await present.ask({
      execute: "set_password",
      arguments: { protocol: "vnc", password: "hunter2" },
    });
    await present.session({ execute: "stop" }, 2);
    await present.ask({ execute: "query-status", id: "last" });
    await contains(path, String.raw`, \"id\": \"last\"}`);
    record.stop(signal);
    assertEquals((await record.ended).code, 0);
    const lines = linesOf(path);
    assertMatch((await record.told.rest()).join(), new RegExp(`file has ${lines.length} lines`));
    assertEquals(lines.slice(1, 3).map(({ side, kind }) => [side, kind]), [
      ["qemu", "greeting"],
      ["client", "connect"],
    ]);
    assertEquals(lines.filter(({ kind }) => kind === "event").map(({ side }) => side), [
      "qemu",
      "client",
    ]);
    assertEquals(lines.at(-1)!["kind"], "reply");
    checkReplies(lines);
    assert(!Deno.readTextFileSync(path).includes("hunter2"));
    const shown = await runQmpmux(["show", path]);
    assertEquals([shown.code, shown.stderr], [0, ""]);
    assertMatch(shown.stdout, /set_password .*removed/);
    assertMatch(shown.stdout, /query-status → /);
  });
}

Deno.test("qmpmux record keeps what its filters choose, with right line numbers, and --secrets", async () => {
  using place = makePlace();
  await using qemu = startFake(place.path);
  await using qmpmux = await serve(place.path, qemu.path);
  const path = `${place.path}/file`;
  const args = ["--command", "set_*", "--event", "RESUME", "--secrets", path];
  await using record = await startRecord(place.path, args);
  using client = await TestClient.ready(`${place.path}/mux`);
  await client.ask({ execute: "query-status" });
  await client.session({ execute: "stop" }, 2);
  await client.session({ execute: "cont" }, 2);
  await client.ask({
    execute: "set_password",
    arguments: { protocol: "vnc", password: "hunter2" },
  });
  qmpmux.kill("SIGTERM");
  assertEquals((await record.ended).code, 0);
  const lines = linesOf(path);
  checkReplies(lines);
  const messages = lines.filter(({ kind }) => ["command", "reply", "event"].includes(`${kind}`));
  assertEquals(messages.map(({ side, kind }) => `${side} ${kind}`), [
    "qemu event",
    "client event",
    "client command",
    "qemu command",
    "qemu reply",
    "client reply",
  ]);
  assertEquals(lines[0]!["removed"], null);
  assertStringIncludes(`${messages[2]!["text"]}`, "hunter2");
});

Deno.test("qmpmux record at a full disk tells why, and the file has whole lines", async () => {
  using place = makePlace();
  await using qemu = startFake(place.path);
  await using _qmpmux = await serve(place.path, qemu.path);
  const path = `${place.path}/file`;
  // No file of the program may be longer than 8 KiB.
  const limited = ["bash", "-c", `trap "" XFSZ; ulimit -f 8; exec "$@"`, "limited"];
  await using record = await startRecord(place.path, [path], limited);
  using client = await TestClient.ready(`${place.path}/mux`);
  const name = "x".repeat(1000);
  for (let count = 0; count < 8; count++) {
    await client.ask({ execute: "query-status", id: name });
  }
  assertEquals((await record.ended).code, 1);
  assertMatch((await record.told.rest()).join("\n"), /file: it cannot be written: .*too large/);
  const lines = linesOf(path);
  assert(lines.length > 4);
  checkReplies(lines);
  // The clients have not noticed.
  await client.ask({ execute: "query-status" });
});

Deno.test("qmpmux record refuses what it cannot write, before it connects", async () => {
  using place = makePlace();
  const path = `${place.path}/file`;
  Deno.writeTextFileSync(path, "kept");
  for (
    const [args, code, message] of [
      [[path], 1, /file exists already; name a new file, or remove it/],
      [[place.path], 1, /exists already/],
      [[], 64, /record: the file is missing; name a new one/],
      [["-"], 64, /record: - is not a file; tap --json --events writes to stdout/],
      [[`${path}2`, "--event", "STP"], 64, /--event: .*STOP/],
      [[`${path}2`], 69, /nothing listens there/],
    ] as const
  ) {
    const asked = await runQmpmux(["record", "--control", `${place.path}/control`, ...args]);
    assertEquals(asked.code, code, asked.stderr);
    assertMatch(asked.stderr, message);
  }
  assertEquals([...Deno.readDirSync(place.path)].map(({ name }) => name), ["file"]);
  assertEquals(Deno.readTextFileSync(path), "kept");
});

Deno.test("qmpmux record names a directory that does not exist, and a listener that is no control socket", async () => {
  using place = makePlace();
  await using qemu = startFake(place.path);
  await using _qmpmux = await serve(place.path, qemu.path);
  const ask = (control: string, path: string): ReturnType<typeof runQmpmux> =>
    runQmpmux(["record", "--control", `${place.path}/${control}`, `${place.path}/${path}`]);
  const missing = await ask("control", "none/file");
  assertEquals(missing.code, 1);
  assertMatch(missing.stderr, /none\/file: the directory .*none does not exist/);
  const wrong = await ask("mux", "file");
  assertEquals(wrong.code, 77);
  assertMatch(wrong.stderr, /nothing was recorded/);
});
