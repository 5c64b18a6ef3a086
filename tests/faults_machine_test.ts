/**
 * A machine that runs out of a resource, or on which a file is removed.
 *
 * Without free descriptors, disk space or its socket file, qmpmux serves connected clients, reports
 * what it cannot do, and does it as soon as it can.
 *
 * @module
 */

import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { TestClient } from "./support/client.ts";
import { within } from "./support/deadline.ts";
import {
  fillDisk,
  limitDescriptors,
  makeScene,
  note,
  NOTES,
  RING,
  standing,
  stands,
  until,
  withDisk,
} from "./support/fault.ts";
import { appears, makePlace } from "./support/place.ts";
import { startQemu, WITHOUT_QEMU } from "./support/qemu.ts";
import { startQmpmux } from "./support/qmpmux.ts";

function test(name: string, fn: () => Promise<void>): void {
  Deno.test({ name, ignore: WITHOUT_QEMU, fn });
}

/** The directory of a scene on which a disk is mounted. */
const DISK = "disk";

// Descriptors.

test("no descriptor is left: connected clients are served, waiting ones are accepted when others leave", async () => {
  await using scene = await makeScene({
    file: (at) => `audit = "${at("audit")}"\non-loss = "hold"\n`,
  });
  using client = await TestClient.ready(scene.path);
  await limitDescriptors(scene.mux.pid, 2);
  await using made = new AsyncDisposableStack();
  const guests: TestClient[] = [];
  while (guests.length < 6) guests.push(made.use(await TestClient.connect(scene.path)));
  await scene.mux.log.until(/mux: no descriptor is left for another client; raise the limit/);
  assertEquals(await client.ask(note("a;")), '{"return": {}}');

  // Neither the settings nor the audit can be opened. Both are reported, and the old ones stay in
  // force.
  scene.mux.kill("SIGHUP");
  await scene.mux.log.until(/not reloaded: .*x\.toml: it cannot be read: Too many open files/);
  await scene.mux.log.until(/audit .*cannot be written: Too many open files/);
  assertEquals(await client.ask(note("b;")), '{"return": {}}');

  const { clients } = await standing(scene.mux);
  assert(clients < 7, `${clients} clients`);
  for (const guest of guests.slice(0, 5)) guest[Symbol.dispose]();
  assertMatch(await guests[5]!.line(), /^\{"QMP": /);
  await scene.mux.log.until(/audit .* can be written again; no records were lost/);
  await stands(scene.mux, { clients: 2 });
  scene.mux.kill("SIGHUP");
  await scene.mux.log.until(/has been reloaded/);
  const commands = (): string[] =>
    Deno.readTextFileSync(scene.at("audit")).trimEnd().split("\n")
      .map((line) => JSON.parse(line).command);
  await until("both records", () => commands().length === 2);
});

test("no descriptor is left for the next QEMU: qmpmux logs it, and retries until it connects", async () => {
  await using scene = await makeScene({ flags: ["--on-loss", "hold"] });
  using client = await TestClient.ready(scene.path);
  await limitDescriptors(scene.mux.pid, 2);
  await using made = new AsyncDisposableStack();
  const guests: TestClient[] = [];
  while (guests.length < 6) guests.push(made.use(await TestClient.connect(scene.path)));
  await scene.mux.log.until(/no descriptor is left/);
  const { clients } = await standing(scene.mux);
  scene.qemu.kill("SIGKILL");
  await scene.qemu.ended;
  assertMatch(await client.line(), /"__org.qmpmux_QEMU_LOST"/);
  // A waiting client has got the descriptor of QEMU's connection.
  await stands(scene.mux, { clients: clients + 1 });
  await using _next = await startQemu(scene.qemu.path, RING);
  await scene.mux.log.until(/vm: Too many open files .*; waiting/);
  for (const guest of guests) guest[Symbol.dispose]();
  assertMatch(await client.line(), /"__org.qmpmux_QEMU_BACK"/);
  assertEquals(await client.ask(note("a")), '{"return": {}}');
});

// Disks.

/** Returns the recorded commands, and the number of partial records. */
function recordsAt(pid: number, path: string): { notes: string[]; torn: number } {
  const notes: string[] = [];
  let torn = 0;
  for (const line of Deno.readTextFileSync(`/proc/${pid}/root${path}`).trimEnd().split("\n")) {
    try {
      notes.push(`${JSON.parse(line).command} ${JSON.parse(line).outcome}`);
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      torn++;
    }
  }
  return { notes, torn };
}

for (const failure of ["refuse", "continue"] as const) {
  test(`the audit's disk is full, audit-failure=${failure}: no record is missing afterwards`, async () => {
    await using scene = await makeScene({
      under: (at) => withDisk(at(DISK)),
      file: (at) => `audit = "${at(`${DISK}/audit`)}"\naudit-failure = "${failure}"\n`,
    });
    using client = await TestClient.ready(scene.path);
    const { pid } = scene.mux;
    await client.ask(note("x"));
    const makeRoom = fillDisk(pid, scene.at(DISK));
    const told = scene.mux.log.until(/audit .* cannot be written: /);
    const outcomes = ["ringbuf-write return"];
    let failing = false;
    void told.then(() => failing = true);
    // The file's last block has space for some more records.
    while (!failing) {
      const reply = await client.ask(note("x"));
      outcomes.push(reply === '{"return": {}}' ? "ringbuf-write return" : "ringbuf-write refused");
    }
    assertMatch(await told, /No space left on device/);
    const reply = await client.ask(note("x"));
    if (failure === "refuse") {
      assertMatch(reply, /ringbuf-write has been refused: its audit record cannot be written/);
      outcomes.push("ringbuf-write refused");
    } else {
      assertEquals(reply, '{"return": {}}');
      outcomes.push("ringbuf-write return");
    }
    // Read-only commands run in either case.
    assertMatch(await client.ask({ execute: "query-status" }), /^\{"return": /);

    makeRoom();
    await scene.mux.log.until(/audit .* can be written again; no records were lost/);
    assertEquals(await client.ask(note("x")), '{"return": {}}');
    outcomes.push("ringbuf-write return");
    await until("all records", () => {
      const { notes, torn } = recordsAt(pid, scene.at(`${DISK}/audit`));
      // The record during which the disk became full has left a partial record on its own line.
      return torn <= 1 && notes.length === outcomes.length;
    });
    assertEquals(recordsAt(pid, scene.at(`${DISK}/audit`)).notes, outcomes);
    const ran: string = JSON.parse(await client.ask(NOTES)).return;
    assertEquals(ran.length, outcomes.filter((outcome) => outcome.endsWith(" return")).length);
  });
}

test("the log's disk is full: clients are served, and later lines are written again", async () => {
  using place = makePlace();
  const at = (name: string): string => `${place.path}/${name}`;
  await using qemu = await startQemu(at("vm"), RING);
  await using mux = await startQmpmux(["--qemu", qemu.path, "--listen", at("mux")], {
    under: withDisk(at(DISK), `2>${at(`${DISK}/log`)}`),
    listeners: 0,
  });
  await within("the socket", appears(at("mux")));
  using client = await TestClient.ready(at("mux"));
  const path = `/proc/${mux.pid}/root${at(`${DISK}/log`)}`;
  const log = (): string => Deno.readTextFileSync(path);
  assertMatch(log(), /: connected to QEMU /);
  const makeRoom = fillDisk(mux.pid, at(DISK));
  // The file's last block has space for some more lines.
  await until("the log to fill its disk", async () => {
    mux.kill("SIGUSR2");
    assertEquals(await client.ask(note("x")), '{"return": {}}');
    return Deno.statSync(path).size % 4096 === 0;
  });
  mux.kill("SIGUSR2");
  assertEquals(await client.ask(note("x")), '{"return": {}}');

  makeRoom();
  using late = await TestClient.ready(at("mux"));
  await until("the log to be written", () => {
    mux.kill("SIGUSR2");
    return /\nqmpmux: status: .* 2 clients; .*\n$/.test(log());
  });
  assertMatch(await late.ask(NOTES), /^\{"return": "x+"\}$/);
  mux.kill("SIGTERM");
  assertEquals((await within("the end", mux.ended)).code, 0);
});

test("the log cannot be written at all: qmpmux serves", async () => {
  using place = makePlace();
  const at = (name: string): string => `${place.path}/${name}`;
  await using qemu = await startQemu(at("vm"), RING);
  await using mux = await startQmpmux(["--qemu", qemu.path, "--listen", at("mux")], {
    under: ["sh", "-c", 'exec "$@" 2>/dev/full', "sh"],
    listeners: 0,
  });
  await within("the socket", appears(at("mux")));
  using client = await TestClient.ready(at("mux"));
  assertEquals(await client.ask(note("x")), '{"return": {}}');
  mux.kill("SIGTERM");
  assertEquals((await within("the end", mux.ended)).code, 0);
});

// Socket files.

test("a listener's socket file is deleted: connected clients stay, and a reload creates it again", async () => {
  await using scene = await makeScene({ file: () => "" });
  using client = await TestClient.ready(scene.path);
  Deno.removeSync(scene.path);
  assertEquals(await client.ask(note("x")), '{"return": {}}');
  await assertRejects(() => TestClient.connect(scene.path), Deno.errors.NotFound);

  scene.mux.kill("SIGHUP");
  await scene.mux.log.until(/has been reloaded/);
  assertEquals(Deno.statSync(scene.path).mode! & 0o777, 0o600);
  using late = await TestClient.ready(scene.path);
  assertEquals(JSON.parse(await late.ask(NOTES)).return, "x");
  assertEquals(await client.ask(note("y")), '{"return": {}}');
  assertEquals((await standing(scene.mux)).clients, 2);

  scene.mux.kill("SIGTERM");
  await within("the end", scene.mux.ended);
  assertEquals([...Deno.readDirSync(scene.directory)].map(({ name }) => name).sort(), [
    "vm",
    "x.toml",
  ]);
});

test("another file has replaced a listener's socket: a reload reports it and leaves it alone", async () => {
  await using scene = await makeScene({ file: () => "" });
  using client = await TestClient.ready(scene.path);
  Deno.removeSync(scene.path);
  Deno.writeTextFileSync(scene.path, "precious", { mode: 0o640 });
  Deno.chmodSync(scene.path, 0o640);
  scene.mux.kill("SIGHUP");
  await scene.mux.log.until(/not reloaded: .*mux is in use by another process/);
  assertEquals(Deno.readTextFileSync(scene.path), "precious");
  assertEquals(Deno.statSync(scene.path).mode! & 0o777, 0o640);
  assertEquals(await client.ask(note("x")), '{"return": {}}');

  Deno.removeSync(scene.path);
  scene.mux.kill("SIGHUP");
  await scene.mux.log.until(/has been reloaded/);
  using late = await TestClient.ready(scene.path);
  assertEquals(JSON.parse(await late.ask(NOTES)).return, "x");
});
