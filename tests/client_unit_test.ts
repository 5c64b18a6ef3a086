/**
 * One client's socket in front of a whole hub; the test plays QEMU.
 *
 * The tests show when the client is read, and what happens to its commands when it disconnects.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { Mux } from "../lib/hub/mux.ts";
import { Client } from "../lib/daemon/client.ts";
import { TURNS } from "../lib/platform/turns.ts";
import { LIMITS } from "../lib/policy/limits.ts";
import { parseListener } from "../lib/config/options.ts";
import { clientDeps } from "./support/client_deps.ts";
import { within } from "./support/deadline.ts";
import { options, STRICT_NOTICES } from "./support/stage.ts";
import { FakeLog } from "./support/fake_log.ts";
import { FakePeer } from "./support/fake_peer.ts";
import { makePair, readText, readToEnd, WatchedSocket, write } from "./support/pair.ts";

const GREETING =
  '{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": ""}, ' +
  '"capabilities": ["oob"]}}\r\n';
const NEGOTIATION = '{"execute":"qmp_capabilities"}';
const DONE = '{"return": {}}\r\n';
const DROPPED = /^client door\/1 was dropped: /;

/** A hub, a QEMU and a log. */
class House {
  readonly log = new FakeLog();
  readonly qemu = new FakePeer();
  readonly mux = new Mux(options(), STRICT_NOTICES);

  /** Returns a setup whose QEMU is ready. */
  static open(): House {
    const house = new House();
    house.arrive();
    return house;
  }

  arrive(): void {
    this.mux.qemuArrived(this.qemu, "77");
    this.say(GREETING);
    this.say('{"return": {}, "id": 77}\r\n');
    this.qemu.take();
  }

  say(text: string): void {
    this.mux.answered(new TextEncoder().encode(text));
  }

  /** Returns a client on this socket. */
  client(socket: Deno.Conn): Client {
    const { grant } = parseListener("/run/door");
    return new Client(socket, grant, clientDeps(this.mux, this.log));
  }
}

/** Waits until clients have left, and until the turns they requested have run. */
async function left(...running: readonly Promise<unknown>[]): Promise<void> {
  await within("the clients to disconnect", Promise.all(running));
  await TURNS.next();
}

function event(bytes: number): string {
  const head = '{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "A", "data": {"a": "';
  const tail = '"}}\r\n';
  return head + "x".repeat(bytes - head.length - tail.length) + tail;
}

/** Connects and negotiates. */
async function negotiated(theirs: Deno.Conn, enable = ""): Promise<void> {
  await readText(theirs, GREETING.length);
  await write(theirs, `{"execute":"qmp_capabilities","arguments":{"enable":[${enable}]}}`);
  assertEquals(await readText(theirs, DONE.length), DONE);
}

Deno.test("Client reads bytes sent before QEMU was ready once QEMU is ready", async () => {
  using pair = await makePair();
  const house = new House();
  const running = house.client(pair.ours).run();
  await write(pair.theirs, `${NEGOTIATION}{"execute":"cont"}`);
  house.arrive();
  assertEquals(await readText(pair.theirs, GREETING.length + DONE.length), GREETING + DONE);
  assertEquals(await house.qemu.next(), '{"execute":"cont"}');
  house.say(DONE);
  assertEquals(await readText(pair.theirs, DONE.length), DONE);
  pair.theirs.close();
  await left(running);
  assertEquals(house.mux.monitors.size, 0);
});

Deno.test("Client that ends its stream before QEMU is ready gets its replies", async () => {
  using pair = await makePair();
  const house = new House();
  const running = house.client(pair.ours).run();
  await write(pair.theirs, NEGOTIATION);
  await pair.theirs.closeWrite();
  house.arrive();
  assertEquals(await readToEnd(pair.theirs), GREETING + DONE);
  await left(running);
});

Deno.test("Client that ends its stream gets all its replies, then end of file", async () => {
  using pair = await makePair();
  const house = House.open();
  const running = house.client(pair.ours).run();
  await write(pair.theirs, `${NEGOTIATION}{"execute":"a","id":1}{"execute":"b"}{"execute":"c"}{`);
  await pair.theirs.closeWrite();
  for (const name of ["a", "b", "c"]) {
    assertEquals(await house.qemu.next(), `{"execute":"${name}"}`);
    house.say(`{"return": "${name}"}\r\n`);
  }
  assertEquals(
    await readToEnd(pair.theirs),
    `${GREETING}${DONE}{"return": "a", "id": 1}\r\n{"return": "b"}\r\n{"return": "c"}\r\n`,
  );
  await left(running);
  assertEquals(house.mux.monitors.size, 0);
});

Deno.test("Client that ends its stream with oob enabled gets no more replies, as with QEMU", async () => {
  using pair = await makePair();
  const house = House.open();
  const running = house.client(pair.ours).run();
  await negotiated(pair.theirs, '"oob"');
  await write(pair.theirs, '{"execute":"a"}');
  await house.qemu.next();
  await pair.theirs.closeWrite();
  assertEquals(await readToEnd(pair.theirs), "");
  await left(running);
  assertEquals(house.mux.monitors.size, 0);
  house.say(DONE);
});

Deno.test("Client that closes drops its unsent commands", async () => {
  using pair = await makePair();
  const house = House.open();
  const running = house.client(pair.ours).run();
  await negotiated(pair.theirs);
  await write(pair.theirs, '{"execute":"a"}{"execute":"b"}{"execute":"c"}');
  assertEquals(await house.qemu.next(), '{"execute":"a"}');
  pair.theirs.close();
  await left(running);
  house.say(DONE);
  assertEquals(house.qemu.heard, []);
  assertEquals(house.mux.monitors.size, 0);
});

Deno.test("Client that ends its stream and then closes is detected by the next write", async () => {
  using pair = await makePair();
  const house = House.open();
  const running = house.client(pair.ours).run();
  await negotiated(pair.theirs);
  await write(pair.theirs, '{"execute":"a"}');
  await house.qemu.next();
  await pair.theirs.closeWrite();
  // Its end has been seen once a second client, which connected later, has ended.
  using second = await makePair();
  const ending = house.client(second.ours).run();
  second.theirs.close();
  await left(ending);
  pair.theirs.close();
  house.say(event(200));
  await left(running);
  assertEquals(house.mux.monitors.size, 0);
});

Deno.test("Client that closes while much is unread is detected by the next write", async () => {
  using pair = await makePair();
  const house = House.open();
  const socket = new WatchedSocket(pair.ours);
  const running = house.client(socket.conn).run();
  await negotiated(pair.theirs);
  await write(pair.theirs, '{"execute":"a"}');
  assertEquals(await house.qemu.next(), '{"execute":"a"}');
  await write(pair.theirs, `{"execute":"b"}${" ".repeat(150_000)}`);
  for (let turns = 0; socket.bytesRead < 65536 && turns < 10_000; turns++) {
    house.say(event(200));
    await readText(pair.theirs, 200);
  }
  pair.theirs.close();
  house.say(event(200));
  await left(running);
  house.say(DONE);
  assertEquals(house.mux.monitors.size, 0);
  assertEquals(house.qemu.heard, []);
});

Deno.test("Client is read only up to a limit while its command runs", async () => {
  using pair = await makePair();
  const house = House.open();
  const socket = new WatchedSocket(pair.ours);
  const running = house.client(socket.conn).run();
  await negotiated(pair.theirs);
  const writing = write(pair.theirs, `{"execute":"a"}${" ".repeat(4 << 20)}{"execute":"b"}`);
  await house.qemu.next();
  // Enough turns for a reader that reads everything it can.
  for (let turn = 0; turn < 200; turn++) {
    house.say(event(200));
    await readText(pair.theirs, 200);
  }
  assert(socket.bytesRead <= 2 * 65536 + 4096, `${socket.bytesRead} bytes were read`);
  house.say(DONE);
  assertEquals(await readText(pair.theirs, DONE.length), DONE);
  assertEquals(await house.qemu.next(), '{"execute":"b"}');
  await within("the client's bytes to be read", writing);
  pair.theirs.close();
  await left(running);
});

Deno.test("Client that is behind has no further command read until it catches up", async () => {
  using pair = await makePair();
  const house = House.open();
  const running = house.client(pair.ours).run();
  await negotiated(pair.theirs);
  house.say(event(3 << 20));
  await write(pair.theirs, '{"execute":"late"}');
  using second = await makePair();
  const other = house.client(second.ours).run();
  await negotiated(second.theirs);
  await write(second.theirs, '{"execute":"other"}');
  assertEquals(await house.qemu.next(), '{"execute":"other"}');
  await readText(pair.theirs, 3 << 20);
  assertEquals(await house.qemu.next(), '{"execute":"late"}');
  pair.theirs.close();
  second.theirs.close();
  await left(running, other);
});

Deno.test("Client that never reads is dropped at the hard limit, and it is logged once", async () => {
  using pair = await makePair();
  const house = House.open();
  const running = house.client(pair.ours).run();
  await negotiated(pair.theirs);
  const large = event(1 << 20);
  for (let i = 0; i < 20; i++) house.say(large);
  await left(running);
  assertEquals(house.log.lines, [
    `client door/1 was dropped: it left ${17 << 20} bytes unread (the limit is ${16 << 20})`,
  ]);
  assertEquals(house.mux.monitors.size, 0);
});

Deno.test("Client.tick() drops a client that is behind for too long, and logs it once", async () => {
  using pair = await makePair();
  const house = House.open();
  const client = house.client(pair.ours);
  const running = client.run();
  await negotiated(pair.theirs);
  client.tick(-1);
  house.say(event(3 << 20));
  client.tick(0);
  client.tick(30);
  assertEquals(house.log.lines.splice(0).map((line) => line.replace(/\d{3,}/, "…")), [
    "client door/1 leaves … bytes unread: its commands are not read until it catches up",
  ]);
  client.tick(31);
  client.tick(32);
  await left(running);
  assertEquals(house.log.lines.length, 1);
  assert(
    DROPPED.test(house.log.lines[0]!) &&
      house.log.lines[0]!.endsWith(" bytes unread and read none for 30 s"),
  );
});

Deno.test("Client.send() that drops its client does not re-enter the hub", async () => {
  using pair = await makePair();
  const house = House.open();
  const client = house.client(pair.ours);
  const running = client.run();
  await negotiated(pair.theirs);
  client.send(new Uint8Array(LIMITS["max-unread"].initial + 1));
  assert(DROPPED.test(house.log.lines[0]!), house.log.lines[0]);
  assertEquals(house.mux.monitors.size, 1);
  await left(running);
  assertEquals(house.mux.monitors.size, 0);
});

Deno.test("Client that never reads affects only itself", async () => {
  using pair = await makePair();
  using second = await makePair();
  const house = House.open();
  const running = house.client(pair.ours).run();
  const other = house.client(second.ours).run();
  await negotiated(pair.theirs);
  await negotiated(second.theirs);
  const large = event(1 << 20);
  for (let i = 0; i < 20; i++) {
    house.say(large);
    assertEquals(await readText(second.theirs, large.length), large);
  }
  await left(running);
  await write(second.theirs, '{"execute":"a"}');
  await house.qemu.next();
  house.say(DONE);
  assertEquals(await readText(second.theirs, DONE.length), DONE);
  assertEquals(house.log.lines.length, 1);
  second.theirs.close();
  await left(other);
});

Deno.test("Client gets QEMU's last bytes and end of file when QEMU disconnects", async () => {
  using pair = await makePair();
  const house = House.open();
  const running = house.client(pair.ours).run();
  await negotiated(pair.theirs);
  await write(pair.theirs, `{"execute":"quit"}${" ".repeat(100_000)}`);
  await house.qemu.next();
  house.say(event(200));
  house.say(DONE);
  house.mux.qemuLeft("gone");
  assertEquals(await readToEnd(pair.theirs), event(200) + DONE);
  pair.theirs.close();
  await left(running);
});

Deno.test("Client with unread bytes gets end of file, not a reset, when QEMU disconnects", async () => {
  using pair = await makePair();
  const house = House.open();
  const running = house.client(pair.ours).run();
  await negotiated(pair.theirs);
  await write(pair.theirs, '{"execute":"a"}');
  await house.qemu.next();
  await write(pair.theirs, " ".repeat(200_000));
  house.mux.qemuLeft("gone");
  assertEquals(await readToEnd(pair.theirs), "");
  pair.theirs.close();
  await left(running);
});

Deno.test("Client.name is its listener's name and its number", async () => {
  using pair = await makePair();
  const house = House.open();
  const client = house.client(pair.ours);
  assertEquals(client.name, "door/1");
  const running = client.run();
  pair.theirs.close();
  await left(running);
});
