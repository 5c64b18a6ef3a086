/**
 * A QEMU that is stopped for a while, and one that exits, in every state.
 *
 * While it is stopped its clients wait, and when it runs again every command has run once. When it
 * exits, no client gets a partial reply, or another client's.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { eventLine, FakeQemu } from "./support/fake_qemu.ts";
import { TestClient, undated } from "./support/client.ts";
import { within } from "./support/deadline.ts";
import {
  isStopped,
  makeScene,
  note,
  NOTES,
  RING,
  type Scene,
  stands,
  until,
} from "./support/fault.ts";
import { Notified } from "./support/passer.ts";
import { makePlace } from "./support/place.ts";
import { startQemu, WITHOUT_QEMU } from "./support/qemu.ts";
import { startQmpmux } from "./support/qmpmux.ts";
import { descriptorsOf } from "./support/process.ts";

function test(name: string, fn: () => Promise<void>): void {
  Deno.test({ name, ignore: WITHOUT_QEMU, fn });
}

async function stopQemu({ qemu }: Scene): Promise<void> {
  qemu.kill("SIGSTOP");
  await isStopped(qemu.pid);
}

// QEMU stops, and continues.

test("a stopped QEMU that continues has run every command once, in each client's order", async () => {
  await using scene = await makeScene({ flags: ["--stall-timeout", "2"] });
  const clients: TestClient[] = [];
  await using made = new AsyncDisposableStack();
  for (const name of ["a", "b", "c"]) {
    const client = await TestClient.ready(scene.path, name === "a" ? ["oob"] : []);
    clients.push(made.use(client));
  }
  const [a, b, c] = clients as [TestClient, TestClient, TestClient];
  await stopQemu(scene);
  const each = 8;
  const said = (name: string): string =>
    Array.from({ length: each }, (_, i) => note(`${name}${i}`, i)).join("");
  await a.send(said("a") + '{"exec-oob":"query-yank","id":"oob"}');
  await b.send(said("b"));
  await c.send(said("c"));
  assertMatch((await scene.mux.log.until(/QEMU does/))!, /does not answer: stalled for 2 s$/);
  // All clients are connected. A client with oob has had all its commands read, the others one
  // each; and QEMU has been sent a probe.
  await stands(scene.mux, { clients: 3, pending: each + 1 + 1 + 1 + 1, sessions: 1 });

  scene.qemu.kill("SIGCONT");
  await scene.mux.log.until(/QEMU answers again$/);
  const replies = Array.from({ length: each }, (_, i) => `{"return": {}, "id": ${i}}`);
  for (const client of [b, c]) {
    const heard: string[] = [];
    while (heard.length < each) heard.push(await client.line());
    assertEquals(heard, replies);
  }
  const heard: string[] = [];
  while (heard.length < each + 1) heard.push(await a.line());
  assertEquals(heard.filter((line) => !line.includes('"oob"')), replies);
  const ran: string = JSON.parse(await a.ask(NOTES)).return;
  for (const name of ["a", "b", "c"]) {
    const own = ran.match(/../g)!.filter((entry) => entry.startsWith(name)).join("");
    assertEquals(own, Array.from({ length: each }, (_, i) => `${name}${i}`).join(""));
  }
  assertEquals(ran.length, 3 * 2 * each);
});

test("a long command to a QEMU that does not read continues where it stopped", async () => {
  await using scene = await makeScene();
  using client = await TestClient.ready(scene.path);
  using other = await TestClient.ready(scene.path);
  await stopQemu(scene);
  // More than the kernel buffers for a socket: qmpmux writes a part, and the rest when QEMU reads.
  const text = Array.from({ length: 30_000 }, (_, i) => `${i % 10}.${"x".repeat(6)}`).join("");
  await client.send(note(text, 1));
  await stands(scene.mux, { inFlight: 1 });
  await other.send(note("last", 2));
  await stands(scene.mux, { inFlight: 2 });
  scene.qemu.kill("SIGCONT");
  assertEquals(await client.line(), '{"return": {}, "id": 1}');
  assertEquals(await other.line(), '{"return": {}, "id": 2}');
  const kept: string = JSON.parse(await other.ask(NOTES)).return;
  assertEquals(kept, `${text}last`.slice(-65536));
});

// QEMU exits.

/** A state in which QEMU exits. QEMU is stopped before the commands arrive. */
interface Loss {
  readonly name: string;
  readonly enable: readonly string[];
  readonly says: string;
  /** The number of its commands that are at QEMU or waiting. */
  readonly pending: number;
  /**
   * The replies that the client gets under `hold`, if that many commands were at QEMU; events are
   * left out.
   */
  readonly heard: (inFlight: number) => readonly string[];
}

function failed(id: number, desc: string): string {
  return `{"id": ${id}, "error": {"class": "GenericError", "desc": "QEMU disconnected; ${desc}"}}`;
}

const LOSSES: readonly Loss[] = [
  {
    name: "nothing to do",
    enable: [],
    says: "",
    pending: 0,
    heard: () => [],
  },
  {
    name: "a command",
    enable: [],
    says: note("x", 1),
    pending: 1,
    heard: () => [failed(1, "the effect of ringbuf-write is unknown")],
  },
  {
    name: "some commands, while others wait",
    enable: ["oob"],
    says: [1, 2, 3, 4, 5, 6].map((id) => note("x", id)).join(""),
    pending: 6,
    heard: (inFlight) =>
      [1, 2, 3, 4, 5, 6].map((id) =>
        failed(
          id,
          id > inFlight ? "ringbuf-write was not sent" : "the effect of ringbuf-write is unknown",
        )
      ),
  },
  {
    name: "an exec-oob",
    enable: ["oob"],
    says: '{"exec-oob":"query-yank","id":1}',
    pending: 1,
    heard: () => [failed(1, "the effect of query-yank is unknown")],
  },
];

const LOST =
  '{"timestamp": …, "event": "__org.qmpmux_QEMU_LOST", "data": {"reason": "QEMU closed its monitor", "closed-by-qemu": true}}';

for (const { name, enable, says, pending, heard } of LOSSES) {
  test(`QEMU is killed with ${name}: its clients are disconnected, and the next QEMU is served`, async () => {
    await using scene = await makeScene();
    const descriptors = descriptorsOf(scene.mux.pid);
    using client = await TestClient.ready(scene.path, enable);
    using other = await TestClient.ready(scene.path);
    await stopQemu(scene);
    await client.send(says);
    await stands(scene.mux, { pending });
    scene.qemu.kill("SIGKILL");
    await scene.qemu.ended;
    assertEquals(await client.lines.rest(), []);
    assertEquals(await other.lines.rest(), []);
    await using _next = await startQemu(scene.qemu.path, RING);
    using late = await TestClient.ready(scene.path);
    assertEquals(JSON.parse(await late.ask(NOTES)).return, "");
    await stands(scene.mux, { clients: 1, inFlight: 0, waiting: 0, sessions: 2 });
    await until("descriptors to be closed", () => descriptorsOf(scene.mux.pid) <= descriptors + 1);
  });

  test(`QEMU is killed with ${name} under hold: its clients get errors, and continue with the next`, async () => {
    await using scene = await makeScene({ flags: ["--on-loss", "hold"] });
    using client = await TestClient.ready(scene.path, enable);
    using other = await TestClient.ready(scene.path);
    await stopQemu(scene);
    await client.send(says);
    const { inFlight } = await stands(scene.mux, { pending });
    scene.qemu.kill("SIGKILL");
    await scene.qemu.ended;
    const lines: string[] = [];
    const errors = heard(inFlight);
    while (lines.length <= errors.length) lines.push(undated(await client.line()));
    assertEquals(lines, [LOST, ...errors]);
    assertEquals(undated(await other.line()), LOST);
    await using _next = await startQemu(scene.qemu.path, RING);
    for (const each of [client, other]) {
      assertMatch(await each.line(), /"__org.qmpmux_QEMU_BACK"/);
      // Its next reply is its own: nothing is left of the earlier commands.
      assertEquals(JSON.parse(await each.ask(NOTES)).return, "");
    }
    await stands(scene.mux, { clients: 2, inFlight: 0, waiting: 0, sessions: 2 });
  });
}

test("QEMU is killed before its greeting: a client stays and is served by the next", async () => {
  await using scene = await makeScene({ stopped: true, flags: ["--greeting-timeout", "60"] });
  using client = await TestClient.connect(scene.path);
  await client.send('{"execute":"qmp_capabilities","id":1}');
  await stands(scene.mux, { clients: 1, sessions: 0 });
  scene.qemu.kill("SIGKILL");
  await scene.qemu.ended;
  await scene.mux.log.until(/QEMU closed its monitor|nothing listens there/);
  await using _next = await startQemu(scene.qemu.path, RING);
  assertMatch(await client.line(), /^\{"QMP": /);
  assertEquals(await client.line(), '{"return": {}, "id": 1}');
});

test("QEMU is killed while qmpmux drains: qmpmux exits at once, with status 0", async () => {
  using desk = makePlace();
  using manager = new Notified(`${desk.path}/notify`);
  await using scene = await makeScene({
    flags: ["--drain-timeout", "600"],
    env: { NOTIFY_SOCKET: manager.path },
  });
  using client = await TestClient.ready(scene.path);
  await stopQemu(scene);
  await client.send(note("x"));
  await stands(scene.mux, { inFlight: 1 });
  scene.mux.kill("SIGTERM");
  await manager.until("STOPPING=1");
  scene.qemu.kill("SIGKILL");
  assertEquals(await client.lines.rest(), []);
  assertEquals((await within("qmpmux to exit", scene.mux.ended)).code, 0);
});

// A real QEMU cannot be made to exit at a chosen byte.

const HALF = '{"return": {"status": "pau';

for (const onLoss of ["close", "hold"]) {
  Deno.test(`QEMU disconnects inside a reply under ${onLoss}: no client gets a part of it`, async () => {
    using place = makePlace();
    const begun = Promise.withResolvers<void>();
    let hangUp = (): void => {};
    await using _qemu = new FakeQemu(`${place.path}/vm`, {
      answer({ name }, connection): string | undefined {
        if (name !== "query-status") return undefined;
        hangUp = () => connection.hangUp();
        begun.resolve();
        return eventLine("WAKEUP") + HALF;
      },
    });
    const path = `${place.path}/mux`;
    await using mux = await startQmpmux(
      ["--qemu", `${place.path}/vm`, "--listen", path, "--on-loss", onLoss],
    );
    await mux.log.until(/connected to QEMU/);
    using asker = await TestClient.ready(path);
    using other = await TestClient.ready(path);
    await asker.send({ execute: "query-status", id: 7 });
    await within("QEMU to begin its reply", begun.promise);
    const wakeup = '{"timestamp": …, "event": "WAKEUP"}';
    assertEquals(undated(await asker.line()), wakeup);
    assertEquals(undated(await other.line()), wakeup);
    hangUp();
    if (onLoss === "close") {
      assertEquals(await asker.lines.rest(), []);
      assertEquals(await other.lines.rest(), []);
    } else {
      assertEquals([await asker.line(), await asker.line()].map(undated), [
        LOST,
        failed(7, "the effect of query-status is unknown"),
      ]);
      for (const client of [asker, other]) {
        if (client === other) assertEquals(undated(await client.line()), LOST);
        assertMatch(await client.line(), /"__org.qmpmux_QEMU_BACK"/);
        assertEquals(await client.ask({ execute: "query-name" }), '{"return": {}}');
      }
    }
    using late = await TestClient.ready(path);
    assertEquals(await late.ask({ execute: "query-name" }), '{"return": {}}');
  });
}

test("QEMU's socket file is deleted: the session continues, and the next QEMU is found", async () => {
  await using scene = await makeScene();
  using client = await TestClient.ready(scene.path);
  Deno.removeSync(scene.qemu.path);
  assertEquals(await client.ask(note("x")), '{"return": {}}');
  assertEquals(JSON.parse(await client.ask(NOTES)).return, "x");
  scene.qemu.kill("SIGKILL");
  assertEquals(await client.lines.rest(), []);
  await scene.mux.log.until(/QEMU's socket does not exist yet; waiting/);
  await using _next = await startQemu(scene.qemu.path, RING);
  using late = await TestClient.ready(scene.path);
  assert((await late.ask(note("y"))).startsWith('{"return"'));
});
