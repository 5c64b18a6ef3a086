/**
 * The ends of the client library: closing, giving up, and losing the connection at bad moments.
 *
 * A rejection that nobody handles fails each of these tests.
 *
 * @module
 */

import { assert, assertEquals, assertInstanceOf, assertMatch, assertRejects } from "@std/assert";
import { Arrival } from "../lib/client/arrival.ts";
import { connect, ConnectionLost, NotQmpError, QmpError, TimeoutError } from "../lib/client/mod.ts";
import { Fake } from "./support/fake.ts";
import { eventLine, FakeQemu, type FakeQemuManners } from "./support/fake_qemu.ts";
import { listens, makePlace } from "./support/place.ts";

/** A signal that was aborted before. */
const ABORTED = AbortSignal.abort(new Error("enough"));

/** A monitor that answers nothing after the handshake. */
const SILENT: FakeQemuManners = {
  answer: ({ name }) => name === "qmp_capabilities" ? undefined : "",
};

/** A monitor that hangs up at the command `crash`. */
const FRAIL: FakeQemuManners = {
  answer: ({ name }, { hangUp }) => {
    if (name !== "crash") return undefined;
    hangUp();
    return "";
  },
};

Deno.test("connect() with an aborted signal does not connect", async () => {
  await using fake = new Fake();
  await assertRejects(() => connect(fake.path, { signal: ABORTED }), Error, "enough");
  using place = makePlace();
  await assertRejects(() => connect(`${place.path}/none`, { signal: ABORTED }), Error, "enough");
  assertEquals(fake.qemu.connections, 0);
});

Deno.test("connect() is aborted while it waits for the greeting", async () => {
  await using fake = new Fake({ greeting: "" });
  const controller = new AbortController();
  const connecting = connect(fake.path, { signal: controller.signal });
  controller.abort(new Error("enough"));
  await assertRejects(() => connecting, Error, "enough");
});

for (
  const [what, manners] of [
    ["greeting", { leaves: true }],
    ["negotiation", {
      answer: (_, { finish }) => {
        finish();
        return '{"return": {}}\r\n';
      },
    }],
  ] as readonly (readonly [string, FakeQemuManners])[]
) {
  Deno.test(`connect() notices a hang-up right after the ${what}`, async () => {
    await using fake = new Fake(manners);
    const lost = async (): Promise<unknown> => {
      const qmp = await connect(fake.path);
      return await qmp.closed;
    };
    assertInstanceOf(await lost().catch((error) => error), ConnectionLost);
  });
}

Deno.test("close() rejects commands and waits, ends streams, and can be called again", async () => {
  await using fake = new Fake(SILENT);
  const qmp = await connect(fake.path);
  const stream = qmp.events();
  const command = assertRejects(() => qmp.execute("query-status"), ConnectionLost, "was closed");
  const wait = assertRejects(() => qmp.waitFor("STOP"), ConnectionLost, "was closed");
  await Promise.all([qmp.close(), qmp.close(), command, wait]);
  await qmp.close();
  assertEquals(await qmp.closed, undefined);
  assertEquals(await stream.next(), { done: true, value: undefined });
});

Deno.test("after close() commands are not sent, waits fail and streams are empty", async () => {
  await using fake = new Fake();
  const qmp = await connect(fake.path);
  const closing = qmp.close();
  await assertRejects(() => qmp.execute("cont"), ConnectionLost, "cont was not sent");
  await closing;
  await assertRejects(() => qmp.execute("cont"), ConnectionLost, "cont was not sent");
  await assertRejects(() => qmp.waitFor("STOP"), ConnectionLost, "was closed");
  for await (const event of qmp.events()) throw new Error(`An event came: ${event.name}`);
  assertEquals(fake.qemu.heard.join("").includes("cont"), false);
});

Deno.test("after a lost connection waits and streams fail with its error", async () => {
  await using fake = new Fake(FRAIL);
  await using qmp = await connect(fake.path);
  const before = qmp.events();
  await assertRejects(() => qmp.execute("crash"), ConnectionLost);
  await assertRejects(() => qmp.waitFor("STOP"), ConnectionLost);
  for (const stream of [before, qmp.events()]) {
    await assertRejects(() => stream.next(), ConnectionLost);
    assertEquals((await stream.next()).done, true);
  }
});

Deno.test("close() ends an attempt to connect again", async () => {
  const { promise: again, resolve } = Promise.withResolvers<void>();
  let connections = 0;
  await using fake = new Fake({
    get greeting() {
      if (++connections === 1) return '{"QMP": {"version": {}, "capabilities": []}}\r\n';
      resolve();
      return "";
    },
    ...FRAIL,
  });
  const qmp = await connect(fake.path, { reconnect: true });
  const stream = qmp.events();
  await assertRejects(() => qmp.execute("crash"), ConnectionLost);
  const waiting = assertRejects(() => qmp.execute("cont"), ConnectionLost, "cont was not sent");
  await again;
  await Promise.all([qmp.close(), waiting]);
  assertEquals((await waiting).command, "cont");
  assertEquals(await qmp.closed, undefined);
  assertEquals((await stream.next()).value!.name, "__org.qmpmux_GAP");
  assertEquals(await stream.next(), { done: true, value: undefined });
});

Deno.test("a command that is given up while there is no connection is never sent", async () => {
  using place = makePlace();
  const first = new FakeQemu(`${place.path}/vm`, FRAIL);
  await using qmp = await connect(first.path, { reconnect: true });
  await assertRejects(() => qmp.execute("crash"), ConnectionLost);
  await first[Symbol.asyncDispose]();
  const controller = new AbortController();
  const aborted = qmp.execute("cont", {}, { signal: controller.signal });
  controller.abort(new Error("enough"));
  await assertRejects(() => aborted, Error, "enough");
  const later = qmp.execute("query-status");
  await using again = new FakeQemu(first.path);
  assertEquals((await later).status, "paused");
  assertMatch(again.heard.join(""), /query-status/);
  assertEquals(again.heard.join("").includes("cont"), false);
});

Deno.test("commands that are given up while there is no connection leave nothing behind", async () => {
  using place = makePlace();
  const first = new FakeQemu(`${place.path}/vm`, FRAIL);
  await using qmp = await connect(first.path, { reconnect: true });
  await assertRejects(() => qmp.execute("crash"), ConnectionLost);
  await first[Symbol.asyncDispose]();
  const before = Deno.memoryUsage().rss;
  for (let count = 0; count < 600; count++) {
    const controller = new AbortController();
    const args = { text: `${count} ${"x".repeat(1 << 20)}` };
    const aborted = qmp.execute("cont", args, { signal: controller.signal });
    controller.abort(new Error("enough"));
    await assertRejects(() => aborted, Error, "enough");
  }
  assert(Deno.memoryUsage().rss - before < 400 << 20);
});

Deno.test("Arrival.wait() forgets a wait that is left, and ends the others in order", async () => {
  for (const isRejected of [false, true]) {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    const arrival = new Arrival(promise);
    const waits = [1, 2, 3].map(() => arrival.wait());
    waits[1]!.leave();
    assertEquals(arrival.waiting, 2);
    const ended: string[] = [];
    for (const [index, { value }] of waits.entries()) {
      value.then((got) => ended.push(`${index}: ${got}`), (got) => ended.push(`${index}: ${got}`));
    }
    if (isRejected) reject(7);
    else resolve(7);
    await arrival.wait().value.catch((got) => got);
    assertEquals([ended, arrival.waiting], [["0: 7", "2: 7"], 0]);
  }
});

Deno.test("another server in the place of the monitor ends a client that connects again", async () => {
  let connections = 0;
  await using fake = new Fake({
    get greeting() {
      return ++connections === 1
        ? '{"QMP": {"version": {}, "capabilities": []}}\r\n'
        : "HTTP/1.1 400 Bad Request\r\n\r\n";
    },
    ...FRAIL,
  });
  await using qmp = await connect(fake.path, { reconnect: true });
  await assertRejects(() => qmp.execute("crash"), ConnectionLost);
  await assertRejects(() => qmp.execute("query-status"), NotQmpError);
  assertInstanceOf(await qmp.closed, NotQmpError);
});

Deno.test("aborted waits and commands leave nothing behind", async () => {
  await using fake = new Fake(SILENT);
  await using qmp = await connect(fake.path);
  const options = { signal: ABORTED };
  await assertRejects(() => qmp.waitFor("STOP", options), Error, "enough");
  await assertRejects(() => qmp.execute("cont", {}, options), Error, "enough");
  const controller = new AbortController();
  const both = [
    qmp.execute("query-name", {}, { signal: controller.signal }),
    qmp.waitFor("STOP", { signal: controller.signal }),
  ];
  controller.abort(new Error("later"));
  for (const each of both) await assertRejects(() => each, Error, "later");
  assertEquals(fake.qemu.heard.join("").includes("cont"), false);
});

Deno.test("a timeout of Infinity is no limit, and one that is no time is refused", async () => {
  await using fake = new Fake();
  await using qmp = await connect(fake.path, { timeout: Infinity });
  assertEquals((await qmp.execute("query-status", {}, { timeout: Infinity })).status, "paused");
  for (const timeout of [NaN, -1, null, "5", 5n] as number[]) {
    await assertRejects(() => qmp.execute("cont", {}, { timeout }), RangeError, "Invalid timeout");
    await assertRejects(() => connect(fake.path, { timeout }), RangeError, "Invalid timeout");
  }
  await assertRejects(() => qmp.waitFor("STOP", { timeout: 0 }), TimeoutError);
});

Deno.test("a stream that is left early gets nothing more", async () => {
  await using fake = new Fake({
    answer: ({ name }) => name === "cont" ? `${eventLine("STOP")}{"return": {}}\r\n` : undefined,
  });
  await using qmp = await connect(fake.path);
  const stream = qmp.events();
  await qmp.execute("cont");
  for await (const event of stream) {
    assertEquals(event.name, "STOP");
    break;
  }
  await qmp.execute("cont");
  assertEquals(await stream.next(), { done: true, value: undefined });
});

/** A monitor that reads nothing after the negotiation, but stays connected. */
const HALF_CLOSED = `
import json, socket, sys
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen()
peer, _ = server.accept()
peer.sendall(b'{"QMP": {"version": {}, "capabilities": []}}\\r\\n')
command = json.loads(peer.recv(4096))
peer.shutdown(socket.SHUT_RD)
peer.sendall(json.dumps({"return": {}, "id": command["id"]}).encode() + b"\\r\\n")
sys.stdin.read()
`;

Deno.test({
  name: "a monitor that reads no more, but does not hang up, is given up",
  ignore: (Deno.env.get("QMPMUX_TESTS_WITHOUT") ?? "").split(",").includes("python3"),
  fn: async () => {
    using place = makePlace();
    const path = `${place.path}/vm`;
    const args = ["-c", HALF_CLOSED, path];
    const server = new Deno.Command("python3", { args, stdin: "piped" }).spawn();
    try {
      await listens(path);
      await using qmp = await connect(path);
      await assertRejects(() => qmp.execute("query-status"), ConnectionLost);
      assertInstanceOf(await qmp.closed, ConnectionLost);
    } finally {
      await server.stdin.close();
      await server.status;
    }
  },
});

Deno.test("an event before the first stream goes to it, and to no later one", async () => {
  await using fake = new Fake({
    answer: ({ name, id }) =>
      name === "qmp_capabilities"
        ? `{"return": {}, "id": ${id}}\r\n${eventLine("STOP")}`
        : undefined,
  });
  await using qmp = await connect(fake.path);
  const [stream, wait] = [qmp.events(), qmp.waitFor("STOP")];
  assertEquals((await stream.next()).value!.name, "STOP");
  await wait;
  await assertRejects(() => qmp.waitFor("STOP", { timeout: 1 }), TimeoutError);
});

Deno.test("an error of match() rejects the wait alone", async () => {
  await using fake = new Fake({
    answer: ({ name }) => name === "cont" ? `${eventLine("STOP")}{"return": {}}\r\n` : undefined,
  });
  await using qmp = await connect(fake.path);
  const match = (): boolean => {
    throw new TypeError("no such member");
  };
  const wait = assertRejects(() => qmp.waitFor("STOP", { match }), TypeError);
  await qmp.execute("cont");
  await wait;
  await qmp.execute("query-status");
});

Deno.test("a waitFor() that nobody awaits does not end the program", async () => {
  await using fake = new Fake();
  let stopped: Promise<unknown>;
  {
    await using qmp = await connect(fake.path);
    stopped = qmp.waitFor("STOP");
    await assertRejects(() => qmp.execute("stopp"), QmpError);
  }
  // A turn in which the runtime would report the rejection.
  await new Promise((resolve) => setTimeout(resolve));
  await assertRejects(() => stopped, ConnectionLost, "was closed");
});

Deno.test("waitFor() misses nothing in a flood", async () => {
  const flood = eventLine("RESET").repeat(20_000);
  await using fake = new Fake({
    answer: ({ name }) =>
      name === "cont" ? `${flood}${eventLine("STOP")}${flood}{"return": {}}\r\n` : undefined,
  });
  await using qmp = await connect(fake.path);
  const stopped = qmp.waitFor("*", { match: ({ name }) => name === "STOP" });
  await qmp.execute("cont");
  assertEquals((await stopped).name, "STOP");
});

Deno.test("executeText() refuses arguments that are not JSON, and sends nothing", async () => {
  await using fake = new Fake();
  await using qmp = await connect(fake.path);
  await assertRejects(() => qmp.executeText("cont", '{"a": 1}}{"execute": "quit"'), SyntaxError);
  await qmp.execute("query-status");
  assertEquals(fake.qemu.heard.join("").includes("quit"), false);
});
