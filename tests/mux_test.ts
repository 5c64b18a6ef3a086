/**
 * The hub: the parts that transcripts do not show.
 *
 * @module
 */

import { assert, assertEquals, assertStrictEquals, assertStringIncludes } from "@std/assert";
import { ABANDONED_LIMIT } from "../lib/session/upstream.ts";
import { CACHED_BYTES_LIMIT } from "../lib/sharing/query_cache.ts";
import { options, Stage } from "./support/stage.ts";

Deno.test("Mux.answered() sends every client the same bytes of an event", () => {
  const stage = new Stage();
  stage.qemuReady();
  const [a, b] = [stage.ready("a"), stage.ready("b")];
  assertEquals(stage.mux.monitors, new Set([a.monitor, b.monitor]));
  stage.qemuSays('{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "STOP"}');
  assertEquals([a.peer.heard.length, b.peer.heard.length], [1, 1]);
  assertStrictEquals(a.peer.last, b.peer.last);
});

Deno.test("Mux.received() ignores a client that has been dismissed", () => {
  const stage = new Stage();
  stage.qemuReady();
  const { monitor, peer } = stage.ready("a");
  stage.mux.dismissAll("the end");
  assertEquals(peer.closed, "the end");
  stage.mux.received(monitor, { damage: "x" });
  assertEquals(peer.heard, []);
  assertEquals(stage.mux.monitors.size, 0);
});

Deno.test("Mux.drain() reports when the last command has been answered", () => {
  const stage = new Stage();
  stage.qemuReady();
  stage.ready("a").say('{"execute":"stop"}');
  stage.mux.drain();
  assert(!stage.notices.includes("idle"));
  stage.qemuSays('{"return": {}}');
  assert(stage.notices.includes("idle"));
});

Deno.test("Mux.drain() reports at once if nothing is in flight", () => {
  const stage = new Stage();
  stage.mux.drain();
  assertEquals(stage.notices, ["idle"]);
});

Deno.test("Mux.tick() abandons nothing before its timeout, whenever between two ticks it began", () => {
  let now = 0;
  const stage = new Stage(60, {
    deadlines: [{ glob: "*", seconds: 1 }],
    handshakeTime: 2,
    running: () => now,
  });
  const tick = (at: number): void => stage.mux.tick(now = at);
  now = 0.9;
  const early = stage.connect("early");
  tick(2);
  assertEquals(early.peer.closed, undefined);
  tick(3);
  assertEquals(early.peer.closed, "no greeting from QEMU within 2 s");

  stage.qemuReady();
  const { peer } = stage.ready("a");
  now = 3.9;
  stage.clients.get("a")!.say('{"execute":"stop"}');
  tick(4);
  assertEquals(peer.heard, []);
  tick(5);
  assertStringIncludes(peer.heard[0]!, "stop was not answered in time");
});

Deno.test("Mux.detached() of a client that waits for QEMU leaves nothing behind", () => {
  const stage = new Stage();
  const client = stage.connect("a");
  client.leave();
  stage.mux.tick(1000);
  stage.qemuReady();
  assertEquals(client.peer.heard, []);
  assertEquals(client.peer.closed, undefined);
});

Deno.test("Mux.received() refuses out-of-band commands while too many abandoned ones are at QEMU", () => {
  const stage = new Stage(60, { deadlines: [{ glob: "query-yank", seconds: 1 }], stallTime: 1e6 });
  stage.qemuReady();
  const { peer, monitor } = stage.ready("a", ["oob"]);
  const client = stage.clients.get("a")!;
  for (let i = 0; i < ABANDONED_LIMIT; i++) {
    client.say('{"exec-oob":"query-yank"}');
    stage.mux.tick(10 * (i + 1));
  }
  const late = '{"error": {"class": "GenericError", "desc": ' +
    '"query-yank was not answered in time; it may still run"}}';
  assertEquals(peer.take(), new Array(ABANDONED_LIMIT).fill(late));
  client.say('{"exec-oob":"query-yank","id":"x"}');
  assertEquals(peer.take(), [
    '{"id": "x", "error": {"class": "GenericError", "desc": ' +
    '"QEMU does not answer out-of-band commands; query-yank was not sent"}}',
  ]);
  assertEquals(stage.mux.status().inFlight, ABANDONED_LIMIT);
  assert(monitor.idle);
  stage.qemu.take();
  stage.qemuSays('{"return": [], "id": 1}');
  client.say('{"exec-oob":"query-yank","id":"y"}');
  assertEquals(stage.qemu.take(), [`{"exec-oob":"query-yank","id":${ABANDONED_LIMIT + 1}}`]);
  stage.qemuSays(`{"return": [], "id": ${ABANDONED_LIMIT + 1}}`);
  assertEquals(peer.take(), ['{"return": [], "id": "y"}']);
});

Deno.test("Mux.received() refuses out-of-band commands while too many at QEMU are of clients that left", () => {
  const stage = new Stage();
  stage.qemuReady();
  const waiting = stage.ready("w", ["oob"]);
  waiting.say('{"exec-oob":"query-yank"}');
  for (let i = 0; i < ABANDONED_LIMIT + 5; i++) {
    const client = stage.ready("a", ["oob"]);
    client.say('{"exec-oob":"query-yank"}');
    client.leave();
  }
  assertEquals(stage.mux.status().inFlight, 1 + ABANDONED_LIMIT);
});

Deno.test("Mux.tick() keeps a query in the queue when a client that joined it times out", () => {
  const stage = new Stage();
  stage.qemuReady();
  stage.qemu.take();
  for (const name of ["w", "x", "y", "z"]) stage.ready(name).say('{"execute":"stop"}');
  assertEquals(stage.qemu.take().length, 4);
  stage.ready("a").say('{"execute":"query-status"}');
  stage.ready("b").say('{"execute":"cont"}');
  stage.mux.adopt(options({ deadlines: [{ glob: "*", seconds: 2 }] }));
  stage.ready("c").say('{"execute":"query-status"}');
  stage.mux.tick(2);
  assertEquals(stage.clients.get("c")!.peer.take().length, 1);
  stage.qemuSays('{"return": {}}');
  assertEquals(stage.qemu.take(), ['{"execute":"query-status"}']);
});

Deno.test("Mux.tick() lets clients join a waiting query when an equal one in flight fails", () => {
  const stage = new Stage(60, { deadlines: [{ glob: "*", seconds: 1 }] });
  stage.qemuReady();
  stage.qemu.take();
  for (const name of ["a", "b"]) stage.ready(name).say('{"execute":"query-status"}');
  assertEquals(stage.qemu.take().length, 2);
  stage.mux.adopt(options());
  stage.ready("c").say('{"execute":"query-status"}');
  stage.mux.tick(2);
  stage.ready("d").say('{"execute":"query-status"}');
  assertEquals(stage.mux.status().waiting, 1);
});

Deno.test("Mux.tick() keeps nothing of a command held back behind descriptors that times out", () => {
  const stage = new Stage(60, { deadlines: [{ glob: "query-yank", seconds: 1 }] });
  stage.qemuReady();
  const client = stage.ready("a", ["oob"]);
  stage.mux.fdsReceived(stage.ready("b").monitor, { close(): void {} });
  stage.clients.get("b")!.say('{"execute":"getfd","arguments":{"fdname":"f"}}');
  for (let i = 1; i <= 3; i++) {
    client.say('{"exec-oob":"query-yank"}');
    assertEquals(stage.mux.status().waiting, 1);
    stage.mux.tick(i);
    assertEquals(client.peer.take().length, 1);
    assertEquals(stage.mux.status().waiting, 0);
  }
});

Deno.test("Mux.detached() still closes what an earlier connection has left at QEMU", () => {
  const stage = new Stage(60, { onLoss: "hold" });
  stage.qemuReady();
  const client = stage.ready("a");
  const names = ["e", "f", "g"];
  for (const name of names) {
    stage.mux.fdsReceived(client.monitor, { close(): void {} });
    client.say(`{"execute":"getfd","arguments":{"fdname":"${name}"}}`);
    stage.qemuSays('{"return": {}}');
  }
  stage.qemuGoes();
  stage.qemuReady();
  client.leave();
  const closed: string[] = [];
  for (let sent = stage.qemu.take(); sent.length > 0; sent = stage.qemu.take()) {
    closed.push(...sent.flatMap((text) => text.match(/"closefd".*"fdname":"(\w+)"/)?.[1] ?? []));
    stage.qemuSays('{"return": {}}');
  }
  assertEquals(closed, names);
});

Deno.test("Mux sends QEMU_BACK to clients that were told of a loss, whatever a reload has changed since", () => {
  for (const [before, after] of [["hold", "close"], ["close", "hold"]] as const) {
    const stage = new Stage(60, { onLoss: before });
    stage.qemuReady();
    const client = stage.ready("a");
    stage.qemuGoes();
    stage.mux.adopt(options({ onLoss: after }));
    stage.qemuReady();
    const names = client.peer.take().map((line) => JSON.parse(line).event);
    const own = ["__org.qmpmux_QEMU_LOST", "__org.qmpmux_QEMU_BACK"];
    assertEquals(names, before === "hold" ? own : []);
    const later = stage.connect("b");
    later.say(
      '{"execute":"qmp_capabilities"}{"execute":"__org.qmpmux_subscribe","arguments":{"since":"oldest"}}',
    );
    const kept = later.peer.take().slice(3).map((line) => JSON.parse(line).event);
    assertEquals(
      kept,
      before === "hold" ? [own[0], "__org.qmpmux_GAP", own[1]] : ["__org.qmpmux_GAP"],
    );
  }
});

Deno.test("Mux.answered() does not cache a reply longer than any of QEMU's", () => {
  const stage = new Stage();
  stage.qemuReady();
  const client = stage.ready("a");
  const ask = (length: number): boolean => {
    stage.qemu.take();
    client.say('{"execute":"query-name"}');
    const asked = stage.qemu.take().length > 0;
    if (asked) stage.qemuSays(`{"return": "${"x".repeat(length)}"}`);
    client.peer.take();
    return asked;
  };
  assert(ask(CACHED_BYTES_LIMIT));
  assert(ask(CACHED_BYTES_LIMIT - 100));
  assert(!ask(0));
});

Deno.test("Mux refuses an id that pretty=on would print far longer than its client wrote it", () => {
  const stage = new Stage();
  const nonce = stage.qemuArrives();
  stage.qemuSays(PRETTY_GREETING);
  stage.qemuSays(`{\r\n    "return": {\r\n    },\r\n    "id": ${nonce}\r\n}`);
  const client = stage.ready("a");
  const says = (id: string): string => {
    client.say(`{"execute":"qmp_capabilities","id":${id}}`);
    return client.peer.take().join("");
  };
  const nested = (depth: number, count: number): string =>
    `${"[".repeat(depth)}${"1,".repeat(count)}1${"]".repeat(depth)}`;
  // Each element is on its own line, indented four spaces a level.
  assert(says(nested(1000, 20_000)).includes('"desc": "JSON token size limit exceeded"'));
  assert(!says(nested(1000, 20_000)).includes('"id"'));
  assertStringIncludes(
    says(nested(3, 2)),
    '"id": [\r\n        [\r\n            [\r\n                1,\r\n                1,\r\n',
  );
});

const PRETTY_GREETING = '{\r\n    "QMP": {\r\n        "version": {\r\n            "qemu": {\r\n' +
  '                "micro": 1,\r\n                "minor": 2,\r\n                "major": 7\r\n' +
  '            },\r\n            "package": ""\r\n        },\r\n        "capabilities": [\r\n' +
  '            "oob"\r\n        ]\r\n    }\r\n}';
