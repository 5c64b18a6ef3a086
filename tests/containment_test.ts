/**
 * Internal errors: each closes one client, or one connection to QEMU, and no process.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { FakeQemu } from "./support/fake_qemu.ts";
import { TestClient } from "./support/client.ts";
import { within } from "./support/deadline.ts";
import { makePlace } from "./support/place.ts";
import { type Means, startQmpmux, type TestQmpmux } from "./support/qmpmux.ts";
import { Stage } from "./support/stage.ts";

/** Throws an error. */
function fails(): never {
  throw new RangeError("planted");
}

Deno.test("an error while a command is served disconnects only its client", () => {
  const stage = new Stage();
  stage.containsErrors = true;
  stage.qemuReady();
  const [a, b] = [stage.ready("a"), stage.ready("b")];
  a.monitor.admit = fails;
  a.say('{"execute":"stop"}');
  assertEquals(stage.notices.slice(1), ["failed client stage/1: RangeError: planted"]);
  assertMatch(a.peer.closed!, /an internal error/);
  b.say('{"execute":"stop","id":1}');
  stage.qemuSays('{"return": {}}');
  assertEquals(b.peer.take(), ['{"return": {}, "id": 1}']);
  assertEquals(stage.mux.status().clients, 1);
});

Deno.test("an error while a reply or an event is delivered disconnects only its client", () => {
  for (const what of ["fill", "wants"] as const) {
    const stage = new Stage();
    stage.containsErrors = true;
    stage.qemuReady();
    const [a, b] = [stage.ready("a"), stage.ready("b")];
    // Both wait for the same reply.
    for (const client of [a, b]) client.say('{"execute":"query-block"}');
    a.monitor[what] = fails;
    stage.qemuSays('{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "STOP"}');
    stage.qemuSays('{"return": []}');
    stage.qemuSays('{"return": []}');
    assertMatch(a.peer.closed!, /an internal error/);
    assertEquals(b.peer.closed, undefined);
    assertEquals(b.peer.take().length, 2);
    assertEquals(stage.qemu.closed, undefined);
  }
});

Deno.test("an error while a client disconnects leaves nothing of it", () => {
  const stage = new Stage();
  stage.containsErrors = true;
  stage.qemuReady();
  const a = stage.ready("a");
  a.say('{"execute":"query-block"}');
  a.monitor.leave = fails;
  a.leave();
  assertEquals(stage.mux.status().clients, 0);
  stage.qemuSays('{"return": []}');
  const { waiting, inFlight } = stage.mux.status();
  assertEquals(waiting + inFlight, 0);
  assertEquals(stage.notices.slice(1), ["failed teardown: RangeError: planted"]);
});

Deno.test("an error while QEMU is read closes only that connection; clients continue with the next QEMU", () => {
  const stage = new Stage(60, {
    onLoss: "hold",
    recording: { observers: [{ observe: ({ kind }) => kind === "event" ? fails() : undefined }] },
  });
  stage.containsErrors = true;
  stage.qemuReady();
  const a = stage.ready("a");
  a.say('{"execute":"stop","id":1}');
  stage.qemuSays('{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "STOP"}');
  assertMatch(stage.qemu.closed!, /an internal error/);
  assertEquals(a.peer.closed, undefined);
});

interface Set extends AsyncDisposable {
  readonly mux: TestQmpmux;
  readonly qemu: FakeQemu;
  readonly path: string;
  readonly metrics: string;
}

/** Starts a qmpmux from source with an error planted, in front of a fake QEMU. */
async function setUp(planted: string): Promise<Set> {
  await using made = new AsyncDisposableStack();
  const { path } = made.use(makePlace());
  const qemu = made.use(new FakeQemu(`${path}/vm`));
  const means: Means = {
    preload: new URL(`./support/plant_errors.ts?${planted}`, import.meta.url),
  };
  const mux = made.use(
    await startQmpmux([
      ...["--qemu", qemu.path, "--listen", `${path}/mux`, "--on-loss", "hold"],
      ...["--metrics", `${path}/metrics`],
    ], means),
  );
  await mux.log.until(/connected to QEMU/);
  const owned = made.move();
  return {
    mux,
    qemu,
    path: `${path}/mux`,
    metrics: `${path}/metrics`,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Returns how many internal errors have occurred in an area, according to the metrics. */
async function counted(metrics: string, where: string): Promise<number> {
  using socket = await Deno.connect({ transport: "unix", path: metrics });
  await socket.write(new TextEncoder().encode("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"));
  const text = await new Response(socket.readable).text();
  return Number(
    new RegExp(`^qmpmux_internal_errors_total\\{where="${where}"\\} (\\d+)$`, "m").exec(text)![1],
  );
}

/**
 * Registers a test that plants errors in the source; a compiled program has no source to change.
 */
function sourceTest(test: Deno.TestDefinition): void {
  if (!Deno.env.get("QMPMUX_BINARY")) Deno.test(test);
}

for (
  const [planted, where, words] of [
    ["serve", "client", "planted in serving"],
    ["leave", "teardown", "planted in leaving"],
  ] as const
) {
  sourceTest({
    name: `qmpmux logs an error planted in ${planted} with its stack, counts it, and continues`,
    async fn(): Promise<void> {
      await using set = await setUp(planted);
      using bystander = await TestClient.ready(set.path);
      using client = await TestClient.ready(set.path);
      if (planted === "serve") {
        await client.send('{"execute":"query-mice"}');
        assertEquals(await client.lines.next(), undefined);
      } else client[Symbol.dispose]();
      const line = await set.mux.log.until(/internal error/);
      assertMatch(line, new RegExp(`internal error \\(${where}.*\\): Error: ${words} \\| at .*`));
      assertEquals(await counted(set.metrics, where), 1);
      assertMatch(await bystander.ask({ execute: "query-status" }), /"return"/);
    },
  });
}

sourceTest({
  name: "qmpmux disconnects if an error occurs while it reads QEMU, and reconnects",
  async fn(): Promise<void> {
    await using set = await setUp("hear");
    using client = await TestClient.ready(set.path);
    await client.send('{"execute":"cont"}{"execute":"stop"}');
    assertMatch(
      await set.mux.log.until(/internal error/),
      /internal error \(qemu\): Error: planted in hearing \| at /,
    );
    await client.lines.until(/QEMU_LOST/);
    await set.mux.log.until(/connected to QEMU/);
    assertEquals(await counted(set.metrics, "qemu"), 1);
    await client.lines.until(/QEMU_BACK/);
    assertMatch(await client.ask({ execute: "query-status" }), /"return"/);
  },
});

sourceTest({
  name: "qmpmux continues if a timer's callback or an unawaited promise fails",
  async fn(): Promise<void> {
    await using set = await setUp("stray");
    using client = await TestClient.ready(set.path);
    const lines = [
      await set.mux.log.until(/internal error \(other\): /),
      await set.mux.log.until(/internal error \(other\): /),
    ].sort();
    assertMatch(lines[0]!, /Error: planted in a promise \| at /);
    assertMatch(lines[1]!, /Error: planted in a timer \| at /);
    assertMatch(await client.ask({ execute: "query-status" }), /"return"/);
    assertEquals(await counted(set.metrics, "other"), 2);
  },
});

sourceTest({
  name: "a second SIGTERM exits qmpmux, even if its shutdown fails and clients stay",
  async fn(): Promise<void> {
    await using set = await setUp("end");
    using client = await TestClient.connect(set.path);
    assertMatch(await client.line(), /"QMP"/);
    set.mux.kill("SIGTERM");
    await set.mux.log.until(/planted in the end/);
    set.mux.kill("SIGTERM");
    await set.mux.log.until(/something is still pending/);
    const { code } = await within("the end", set.mux.ended);
    assert(code !== 0);
  },
});
