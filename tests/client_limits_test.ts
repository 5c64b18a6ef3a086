/**
 * A client's limits, over real sockets, with a hub whose QEMU the test plays.
 *
 * Each test checks a limit in the client's replies, in the log, and in the counts.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { Client } from "../lib/daemon/client.ts";
import type { Clock } from "../lib/platform/clock.ts";
import type { Log } from "../lib/platform/log.ts";
import type { Stream } from "../lib/platform/stream.ts";
import { LimitLog } from "../lib/daemon/limit_log.ts";
import { ReplyBudget } from "../lib/platform/reply_budget.ts";
import type { Limits } from "../lib/policy/limits.ts";
import { TURNS } from "../lib/platform/turns.ts";
import { FakeLog } from "./support/fake_log.ts";
import { FakeQemu } from "./support/fake_qemu.ts";
import { TestClient } from "./support/client.ts";
import { clientDeps } from "./support/client_deps.ts";
import { within } from "./support/deadline.ts";
import { FakeFds } from "./support/fake_peer.ts";
import { hangUp, makePair, type Pair, readText, readToEnd, write } from "./support/pair.ts";
import { makePlace } from "./support/place.ts";
import { startQmpmux } from "./support/qmpmux.ts";
import { grant, GREETING, Stage } from "./support/stage.ts";

const DONE = '{"return": {}}\r\n';
const TOO_LONG =
  '{"error": {"class": "GenericError", "desc": "JSON token size limit exceeded"}}\r\n';

/** A clock that the test sets; setting it fires the timers that are due. */
class HandClock implements Clock {
  #now = 0;
  readonly due = new Map<() => void, number>();

  now(): number {
    return this.#now;
  }

  timeOfDay(): number {
    return this.now();
  }

  after(seconds: number, run: () => void): () => void {
    this.due.set(run, this.#now + seconds);
    return () => void this.due.delete(run);
  }

  turn(seconds: number): void {
    this.#now += seconds;
    for (const [run, at] of this.due) {
      if (at > this.#now) continue;
      this.due.delete(run);
      run();
    }
  }
}

/** One client before a hub; its log, its counts and its clock. */
class Door implements AsyncDisposable {
  readonly stage = new Stage();
  readonly lines: string[] = [];
  readonly counts: string[] = [];
  readonly clock = new HandClock();
  readonly pair: Pair;
  readonly client: Client;
  readonly #running: Promise<unknown>;

  private constructor(pair: Pair, limits: Partial<Limits>, stream: Stream = pair.ours) {
    const log = new FakeLog(this.lines);
    const limitLog = new LimitLog(log, (limit) => void this.counts.push(limit));
    this.pair = pair;
    this.stage.qemuReady();
    const own = { ...grant({ name: "door", limits }), passes: stream !== pair.ours };
    this.client = new Client(
      stream,
      own,
      clientDeps(this.stage.mux, log, { limitLog, clock: this.clock }),
    );
    this.#running = this.client.run();
  }

  /** Returns a client that has read the greeting and negotiated. */
  static async open(
    limits: Partial<Limits>,
    { enable = "", streamOf }: { enable?: string; streamOf?: (ours: Deno.UnixConn) => Stream } = {},
  ): Promise<Door> {
    const pair = await makePair();
    const door = new Door(pair, limits, streamOf?.(pair.ours));
    const { theirs } = door.pair;
    await readText(theirs, GREETING.length + 2);
    await write(theirs, `{"execute":"qmp_capabilities","arguments":{"enable":[${enable}]}}`);
    assertEquals(await readText(theirs, DONE.length), DONE);
    return door;
  }

  /**
   * Returns the commands that QEMU has been sent since the last call. It waits for as many as are
   * expected; a second client's command shows that there are no more.
   */
  async qemuHears(awaited = 0): Promise<string[]> {
    const { qemu } = this.stage;
    while (qemu.heard.length < awaited) {
      await within("a command at QEMU", new Promise<void>((heard) => qemu.onSend = heard));
    }
    using pair = await makePair();
    const marker = new Client(pair.ours, grant(), clientDeps(this.stage.mux));
    const running = marker.run();
    await readText(pair.theirs, GREETING.length + 2);
    await write(pair.theirs, '{"execute":"qmp_capabilities"}{"execute":"none","id":1,"x":1}');
    const refusal =
      `{"id": 1, "error": {"class": "GenericError", "desc": "QMP input member 'x' is ` +
      'unexpected"}}\r\n';
    assertEquals(await readText(pair.theirs, DONE.length + refusal.length), DONE + refusal);
    pair.theirs.close();
    await within("the marker to disconnect", running);
    return this.stage.qemu.take();
  }

  async over(): Promise<void> {
    await within("the client to disconnect", this.#running);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    hangUp(this.pair.theirs);
    await this.over();
    // A slice of the client's work may wait for its turn.
    await TURNS.next();
    assertEquals(this.stage.mux.monitors.size, 0);
    assertEquals(this.clock.due.size, 0);
  }
}

Deno.test("max-command: a longer command gets an error, none of it is forwarded, the next is served", async () => {
  await using door = await Door.open({ "max-command": 1024 });
  const { theirs } = door.pair;
  const long = `{"execute":"a","arguments":{"a":"${"x".repeat(200_000)}"}}`;
  // The bytes after it are read once its reply has been sent.
  await write(theirs, `${long}[]`);
  const both = TOO_LONG +
    '{"error": {"class": "GenericError", "desc": "QMP input must be a JSON object"}}\r\n';
  assertEquals(await readText(theirs, both.length), both);
  await write(theirs, '{"execute":"b"}');
  assertEquals(await door.qemuHears(1), ['{"execute":"b"}']);
  assertEquals(door.lines, ["client door/1 sent a command of more than 1024 bytes"]);
  assertEquals(door.counts, ["max-command"]);
});

Deno.test("max-waiting: past it qmpmux reads nothing more until pending commands are answered", async () => {
  await using door = await Door.open({ "max-waiting": 1024 }, { enable: '"oob"' });
  const { theirs } = door.pair;
  const large = (name: string): string =>
    `{"execute":"${name}","arguments":{"a":"${"x".repeat(600)}"}}`;
  await write(theirs, `${large("a")}${large("b")}${large("c")}{"execute":"d"}`);
  const named = (text: string): string => /"execute":"(\w+)"/.exec(text)![1]!;
  assertEquals((await door.qemuHears(2)).map(named), ["a", "b"]);
  assertMatch(door.lines.join(), /^client door\/1 has 12\d\d bytes of commands waiting$/);
  assertEquals(door.counts, ["max-waiting"]);
  door.stage.qemuSays('{"return": {}}');
  assertEquals(await readText(theirs, DONE.length), DONE);
  assertEquals((await door.qemuHears(1)).map(named), ["c"]);
  door.stage.qemuSays('{"return": {}}');
  door.stage.qemuSays('{"return": {}}');
  assertEquals(await readText(theirs, 2 * DONE.length), DONE + DONE);
  assertEquals((await door.qemuHears(1)).map(named), ["d"]);
  door.stage.qemuSays('{"return": {}}');
  assertEquals(await readText(theirs, DONE.length), DONE);
});

Deno.test("rate: a client over its rate is delayed, and still gets its replies", async () => {
  await using door = await Door.open({ rate: 2 });
  const { clock, stage, pair: { theirs } } = door;
  // Its handshake was its first command.
  const command = '{"execute":"query-name","id":1,"x":1}';
  const refusal = `{"id": 1, "error": {"class": "GenericError", "desc": "QMP input member 'x' is ` +
    'unexpected"}}\r\n';
  await write(theirs, command.repeat(3));
  assertEquals(await readText(theirs, refusal.length), refusal);
  assertEquals(await door.qemuHears(), []);
  assertEquals([...clock.due.values()], [0.5]);
  assertEquals(door.lines, ["client door/1 sends more than 2 commands a second: they are delayed"]);
  assertEquals(door.counts, ["rate"]);
  clock.turn(0.25);
  assertEquals(clock.due.size, 1);
  clock.turn(0.25);
  assertEquals(await readText(theirs, refusal.length), refusal);
  assertEquals([...clock.due.values()], [1]);
  // It is logged once; a higher rate takes effect at once.
  assertEquals([door.lines.length, door.counts.length], [1, 2]);
  door.client.adopt(grant({ name: "door", limits: { rate: 0 } }));
  assertEquals(await readText(theirs, refusal.length), refusal);
  assertEquals(stage.qemu.take(), []);
});

Deno.test("rate: a client that disconnects while it is delayed leaves nothing behind", async () => {
  await using door = await Door.open({ rate: 1 });
  await write(door.pair.theirs, '{"execute":"stop"}');
  assertEquals(await door.qemuHears(), []);
  assertEquals(door.clock.due.size, 1);
  door.pair.theirs.close();
  await door.over();
  assertEquals(door.clock.due.size, 0);
});

Deno.test("rate: a client that ends its stream while it is delayed gets all its replies", async () => {
  await using door = await Door.open({ rate: 1 });
  const { theirs } = door.pair;
  await write(theirs, '{"execute":"stop"}');
  await theirs.closeWrite();
  assertEquals(await door.qemuHears(), []);
  door.clock.turn(1);
  assertEquals(await door.qemuHears(1), ['{"execute":"stop"}']);
  door.stage.qemuSays('{"return": {}}');
  assertEquals(await readToEnd(theirs), DONE);
});

Deno.test("idle: a client that is silent for too long is disconnected, and it is logged", async () => {
  await using door = await Door.open({ idle: 10 });
  const { client, pair: { theirs } } = door;
  for (const now of [100, 105, 109]) client.tick(now);
  assertEquals(door.lines, []);
  client.tick(110);
  assertEquals(await readToEnd(theirs), "");
  assertEquals(door.lines, ["client door/1 was closed: it was idle for 10 s"]);
  assertEquals(door.counts, ["idle"]);
  client.tick(200);
  assertEquals(door.counts, ["idle"]);
});

Deno.test("idle: traffic either way, or a pending reply, keeps a client connected", async () => {
  await using door = await Door.open({ idle: 10 });
  const { client, stage, pair: { theirs } } = door;
  client.tick(100);
  stage.qemuSays('{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "STOP"}');
  for (const now of [105, 110, 114]) client.tick(now);
  await write(theirs, '{"execute":"stop"}');
  assertEquals(await door.qemuHears(1), ['{"execute":"stop"}']);
  for (const now of [150, 200, 250]) client.tick(now);
  stage.qemuSays('{"return": {}}');
  for (const now of [260, 265, 269]) client.tick(now);
  assertEquals(door.counts, []);
  client.tick(270);
  assertEquals(door.counts, ["idle"]);
});

Deno.test("idle: a client that waits for QEMU's greeting is not idle", async () => {
  using pair = await makePair();
  const stage = new Stage();
  const log = new FakeLog();
  const client = new Client(pair.ours, grant({ limits: { idle: 10 } }), clientDeps(stage.mux, log));
  const running = client.run();
  for (const now of [0, 20, 40]) client.tick(now);
  stage.qemuReady();
  assertEquals(await readText(pair.theirs, GREETING.length + 2), `${GREETING}\r\n`);
  pair.theirs.close();
  await within("the client to disconnect", running);
});

Deno.test("handshake-timeout: a client that waits too long for QEMU is disconnected, and it is logged", async () => {
  using pair = await makePair();
  const stage = new Stage(60);
  const lines: string[] = [];
  const counts: string[] = [];
  const log: Log = { info(): void {}, warn: (line) => void lines.push(line), withVm: () => log };
  const limitLog = new LimitLog(log, (limit) => void counts.push(limit));
  const client = new Client(
    pair.ours,
    grant({ name: "door" }),
    clientDeps(stage.mux, log, { limitLog }),
  );
  const running = client.run();
  stage.mux.tick(60);
  assertEquals(await readToEnd(pair.theirs), "");
  assertEquals(lines, ["client door/1 was closed: no greeting from QEMU within 60 s"]);
  assertEquals(counts, ["handshake-timeout"]);
  pair.theirs.close();
  await within("the client to disconnect", running);
});

Deno.test("slow-unread, max-unread: a listener's values apply, also after they change", async () => {
  await using door = await Door.open({ "slow-unread": 300_000, "max-unread": 4 << 20 });
  const { client, stage } = door;
  const event = (bytes: number): string =>
    `{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "A", "data": "${
      "x".repeat(bytes)
    }"}`;
  stage.qemuSays(event(2 << 20));
  client.tick(0);
  client.tick(1);
  assertEquals(door.counts, ["slow-unread"]);
  assertMatch(
    door.lines.splice(0).join(),
    /^client door\/1 leaves \d+ bytes unread: its commands are not read/,
  );
  client.adopt(grant({ name: "door", limits: { "slow-unread": 4096, "max-unread": 1 << 20 } }));
  stage.qemuSays(event(10));
  await door.over();
  assertEquals(door.counts, ["slow-unread", "max-unread"]);
  assertMatch(door.lines.join(), /was dropped: it left \d+ bytes unread \(the limit is 1048576\)$/);
});

Deno.test("slow-time: a client that is behind for longer is dropped and counted", async () => {
  await using door = await Door.open({ "slow-unread": 4096, "slow-time": 5 });
  door.stage.qemuSays(
    `{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "A", "data": "${
      "x".repeat(2 << 20)
    }"}`,
  );
  for (const now of [-1, 0, 5, 5.5]) door.client.tick(now);
  await door.over();
  assertEquals(door.counts, ["slow-unread", "slow-time"]);
});

Deno.test("read-ahead: qmpmux reads no more than that from a client whose command runs", async () => {
  await using door = await Door.open({ "read-ahead": 1024 });
  const { theirs } = door.pair;
  // More than fits the kernel's buffers: the write ends only when most of it is read.
  let written = false;
  const writing = write(theirs, `{"execute":"a"}${" ".repeat(2 << 20)}{"execute":"b"}`)
    .then(() => written = true);
  assertEquals(await door.qemuHears(1), ['{"execute":"a"}']);
  assert(!written);
  door.stage.qemuSays('{"return": {}}');
  await within("all to be written", writing);
  assertEquals(await readText(theirs, DONE.length), DONE);
});

Deno.test("max-clients: a connection past a listener's or the total limit is closed unread; a reload raises it", async () => {
  using place = makePlace();
  await using qemu = new FakeQemu(`${place.path}/vm`);
  const file = `${place.path}/x.toml`;
  const configure = (own: number, all: number): void =>
    Deno.writeTextFileSync(
      file,
      [
        `qemu = "${qemu.path}"\nmax-clients = ${all}`,
        `[[listen]]\naddress = "${place.path}/a"\nmax-clients = ${own}`,
        `[[listen]]\naddress = "${place.path}/b"`,
      ].join("\n"),
    );
  configure(2, 3);
  await using mux = await startQmpmux(["--config", file]);
  await mux.log.until(/connected to QEMU/);
  using clients = new DisposableStack();
  const come = async (listener: string): Promise<TestClient> =>
    clients.use(await TestClient.ready(`${place.path}/${listener}`));
  const refused = async (listener: string): Promise<void> => {
    using client = await TestClient.connect(`${place.path}/${listener}`);
    assertEquals(await client.lines.next(), undefined);
  };
  const first = await come("a");
  await come("a");
  await refused("a");
  assertMatch(
    await mux.log.until(/was refused/),
    /\/a: a client was refused: 2 are connected already \(max-clients\)$/,
  );
  await refused("a");
  await come("b");
  await refused("b");
  assertMatch(
    await mux.log.until(/was refused/),
    /\/b: a client was refused: 3 are connected already in all \(--max-clients\)$/,
  );
  configure(3, 4);
  mux.kill("SIGHUP");
  await mux.log.until(/has been reloaded/);
  const third = await come("a");
  await refused("a");
  // Clients that are connected stay connected when the limit is lowered; a client that leaves frees a place
  // only below the limit.
  configure(3, 2);
  mux.kill("SIGHUP");
  await mux.log.until(/has been reloaded/);
  assertMatch(await third.ask({ execute: "query-status" }), /^\{"return": /);
  first[Symbol.dispose]();
  await refused("b");
});

Deno.test("max-command, rate: a reload takes effect on connected clients", async () => {
  using place = makePlace();
  await using qemu = new FakeQemu(`${place.path}/vm`);
  const file = `${place.path}/x.toml`;
  const configure = (bytes: number): void =>
    Deno.writeTextFileSync(
      file,
      `qemu = "${qemu.path}"\n[[listen]]\naddress = "${place.path}/a"\nmax-command = ${bytes}\n`,
    );
  configure(1 << 20);
  await using mux = await startQmpmux(["--config", file]);
  await mux.log.until(/connected to QEMU/);
  using client = await TestClient.ready(`${place.path}/a`);
  const long = { execute: "query-name", arguments: { a: "x".repeat(5000) } };
  assertEquals(await client.ask(long), '{"return": {}}');
  configure(2048);
  mux.kill("SIGHUP");
  await mux.log.until(/has been reloaded/);
  assertMatch(await client.ask(long), /JSON token size limit exceeded/);
  assertEquals(await client.ask({ execute: "query-name" }), '{"return": {}}');
});

/** Returns a reply with a long value. */
function longReply(bytes: number): string {
  return `{"return": "${"x".repeat(bytes)}"}`;
}

Deno.test("slow-time, max-unread: a long reply is delivered as long as its reader reads", async () => {
  await using door = await Door.open({
    "slow-unread": 4096,
    "slow-time": 5,
    "max-unread": 1 << 20,
  });
  const { client, stage, pair } = door;
  await write(pair.theirs, '{"execute":"a"}');
  await door.qemuHears(1);
  const size = 8 << 20;
  stage.qemuSays(longReply(size));
  client.tick(0);
  const buffer = new Uint8Array(1 << 20);
  let read = 0;
  for (let now = 1; read < size + DONE.length; now += 4) {
    // Less than a mebibyte is read between two ticks; the whole reply takes longer than slow-time.
    read += (await pair.theirs.read(buffer))!;
    client.tick(now);
  }
  assertEquals(door.counts, ["slow-unread"]);
  await write(pair.theirs, '{"execute":"b"}');
  assertEquals(await door.qemuHears(1), ['{"execute":"b"}']);
});

Deno.test("max-unread counts bytes queued beside a reply, not the reply", async () => {
  await using door = await Door.open({ "slow-unread": 4096, "max-unread": 1 << 20 });
  await write(door.pair.theirs, '{"execute":"a"}');
  await door.qemuHears(1);
  door.stage.qemuSays(longReply(4 << 20));
  const event = (bytes: number): string =>
    `{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "A", "data": "${
      "x".repeat(bytes)
    }"}`;
  door.stage.qemuSays(event(1000 << 10));
  door.client.tick(0);
  assertEquals(door.counts, ["slow-unread"]);
  door.stage.qemuSays(event(1000 << 10));
  await door.over();
  assertEquals(door.counts, ["slow-unread", "max-unread"]);
});

Deno.test("--max-unread: past it the slowest reader of replies is dropped, and the reason is logged", async () => {
  const stage = new Stage();
  stage.qemuReady();
  const lines: string[] = [];
  const log = new FakeLog(lines);
  const budget = new ReplyBudget(12 << 20);
  const running: Promise<unknown>[] = [];
  const clients: [Pair, Client][] = [];
  for (let i = 0; i < 3; i++) {
    const pair = await makePair();
    const client = new Client(pair.ours, grant(), clientDeps(stage.mux, log, { budget }));
    running.push(client.run());
    clients.push([pair, client]);
    await readText(pair.theirs, GREETING.length + 2);
    await write(pair.theirs, `{"execute":"qmp_capabilities"}`);
    await readText(pair.theirs, DONE.length);
  }
  const [second, secondClient] = clients[1]!;
  const [third] = clients[2]!;
  for (const [pair, client] of clients) {
    const asked = new Promise<void>((heard) => stage.qemu.onSend = heard);
    await write(pair.theirs, '{"execute":"a"}');
    await within("the command", asked);
    if (pair !== third) stage.qemuSays(longReply(5 << 20));
    client.tick(0);
  }
  for (const [, client] of clients) client.tick(1);
  // Only the second client reads before the next tick.
  const before = secondClient.unread;
  while (secondClient.unread === before) await second.theirs.read(new Uint8Array(1 << 16));
  for (const [, client] of clients) client.tick(2);
  const reading = readText(third.theirs, (5 << 20) + '{"return": ""}\r\n'.length);
  stage.qemuSays(longReply(5 << 20));
  await within("the first to be dropped", running[0]!);
  assertMatch(
    lines.filter((line) => line.includes("dropped")).join(),
    /^client stage\/1 was dropped: it left \d+ bytes of replies unread, and all clients together \d+ \(the limit is 12582912\): it was the slowest$/,
  );
  await reading;
  assert(budget.total < 6 << 20);
  for (const [{ theirs }] of clients) hangUp(theirs);
  await Promise.all(running);
  assertEquals(budget.total, 0);
});

/** Returns a stream whose next bytes carry descriptors. */
function passing(ours: Deno.UnixConn): Stream {
  const fdMessages = [undefined, new FakeFds("passed")];
  return {
    read: (buffer) => ours.read(buffer),
    write: (bytes) => ours.write(bytes),
    closeWrite: () => ours.closeWrite(),
    close: () => ours.close(),
    takeFds: () => fdMessages.shift(),
  };
}

Deno.test("fds-time: the time stops while the client waits for a reply, and after a command takes them", async () => {
  FakeFds.closed = [];
  await using door = await Door.open({ "fds-time": 5 }, { streamOf: passing });
  const { theirs } = door.pair;
  await write(theirs, '{"execute":"stop"} ');
  assertEquals(await door.qemuHears(1), ['{"execute":"stop"}']);
  for (const now of [1, 10, 20]) door.client.tick(now);
  assertEquals(FakeFds.closed, []);
  door.stage.qemuSays('{"return": {}}');
  assertEquals(await readText(theirs, DONE.length), DONE);
  for (const now of [21, 22, 25.9]) door.client.tick(now);
  assertEquals([FakeFds.closed, door.counts], [[], []]);
  door.client.tick(26);
  assertEquals([FakeFds.closed, door.counts], [["passed"], ["fds-time"]]);
  door.client.tick(100);
  assertEquals(door.lines, [
    "client door/1 passed file descriptors that no command used for 5 s: they were closed",
  ]);

  FakeFds.closed = [];
  await using other = await Door.open({ "fds-time": 5 }, { streamOf: passing });
  await write(other.pair.theirs, '{"execute":"add-fd"}');
  assertEquals(await other.qemuHears(1), ['+passed {"execute":"add-fd"}']);
  for (const now of [1, 10, 20]) other.client.tick(now);
  assertEquals([FakeFds.closed, other.counts], [[], []]);
});
