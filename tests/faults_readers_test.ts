/**
 * Clients that read late, slowly or not at all.
 *
 * Bytes that the kernel does not accept wait in a bounded queue; a client that stays behind is
 * dropped. A client that reads gets everything once, in order.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { TestClient } from "./support/client.ts";
import { within } from "./support/deadline.ts";
import {
  isStopped,
  LONG,
  makeScene,
  passes,
  type Scene,
  standing,
  stands,
  until,
} from "./support/fault.ts";
import { Lines } from "./support/lines.ts";
import { WITHOUT_QEMU } from "./support/qemu.ts";
import { kill, programCommand } from "./support/qmpmux.ts";
import { descriptorsOf } from "./support/process.ts";

function test(name: string, fn: () => Promise<void>): void {
  Deno.test({ name, ignore: WITHOUT_QEMU, fn });
}

const SCHEMA = '{"execute":"query-qmp-schema"}';
const READ = '{"execute":"query-rx-filter"}';

/** A client that reads only when the test asks. */
class Reader implements Disposable {
  readonly #socket: Deno.UnixConn;
  /** Text that it has read and not yet processed. */
  #text = "";

  private constructor(socket: Deno.UnixConn) {
    this.#socket = socket;
  }

  /** Returns a client that has negotiated. */
  static async ready(path: string): Promise<Reader> {
    const reader = new Reader(await Deno.connect({ transport: "unix", path }));
    await reader.line(4096);
    await reader.say('{"execute":"qmp_capabilities"}');
    assertEquals(await reader.line(4096), '{"return": {}}');
    return reader;
  }

  async say(text: string): Promise<void> {
    for (let bytes = new TextEncoder().encode(text); bytes.length > 0;) {
      bytes = bytes.subarray(await this.#socket.write(bytes));
    }
  }

  /** Reads at most that many bytes; returns whether there were any. */
  async read(bytes: number): Promise<boolean> {
    const buffer = new Uint8Array(bytes);
    const length = await within("bytes", this.#socket.read(buffer));
    if (length !== null) this.#text += new TextDecoder().decode(buffer.subarray(0, length));
    return length !== null;
  }

  /** Returns the next line, read in pieces of that many bytes. */
  async line(piece: number): Promise<string> {
    for (;;) {
      const end = this.#text.indexOf("\r\n");
      if (end !== -1) {
        const line = this.#text.slice(0, end);
        this.#text = this.#text.slice(end + 2);
        return line;
      }
      assert(await this.read(piece), "The connection ended inside a line");
    }
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }
}

test("a client that reads nothing, then a little at a time, gets every byte once", async () => {
  await using scene = await makeScene({ options: ",cache=off,join=off" });
  using reader = await Reader.ready(scene.path);
  using other = await TestClient.ready(scene.path);
  // Each reply is as long as the kernel's socket buffer, which causes partial writes.
  const count = 4;
  const ask = { execute: "query-qmp-schema", arguments: {}, id: "one" };
  const expected = await other.ask(ask);
  for (let i = 0; i < count; i++) await reader.say(JSON.stringify(ask));
  await reader.say(`{"execute":"cont","id":"last"}`);
  assertMatch(await other.line(), /"event": "RESUME"/);
  // It has read nothing so far, and all other clients are served.
  assertEquals(await other.ask(READ), '{"return": []}');
  for (let i = 0; i < count; i++) assertEquals(await reader.line(1000 + i), expected);
  assertMatch(await reader.line(7), /"event": "RESUME"/);
  assertEquals(await reader.line(7), '{"return": {}, "id": "last"}');
});

test("a client that reads a byte at a time is served while little is unread", async () => {
  await using scene = await makeScene({ options: ",slow-unread=64K,slow-time=1" });
  using reader = await Reader.ready(scene.path);
  using other = await TestClient.ready(scene.path);
  const bytes = LONG ? 60 : 150;
  await reader.say('{"execute":"query-commands"}');
  for (let i = 0; i < bytes; i++) {
    assert(await reader.read(1));
    // In the long form a second passes; in the short one another client is served.
    if (LONG) await passes(1);
    else assertEquals(await other.ask(READ), '{"return": []}');
  }
  const { return: commands } = JSON.parse(await reader.line(LONG ? 4096 : 1));
  assert(commands.length > 200);
  assertEquals((await standing(scene.mux)).clients, 2);
});

test("a client that reads a byte at a time is dropped when too much is unread, and no other client is", async () => {
  // Any amount past the kernel's buffer, because that depends on the length of QEMU's replies.
  const options = ",cache=off,slow-unread=4K,slow-time=1";
  await using scene = await makeScene({ options });
  using other = await TestClient.ready(scene.path);
  const descriptors = descriptorsOf(scene.mux.pid);
  using reader = await Reader.ready(scene.path);
  await reader.say(SCHEMA.repeat(3));
  let dropped = false;
  const log = scene.mux.log.until(/was dropped/).then((line) => {
    dropped = true;
    return line;
  });
  let read = 0;
  while (!dropped && await reader.read(1)) {
    read++;
    assertEquals(await other.ask(READ), '{"return": []}');
  }
  assertMatch(
    await log,
    /client mux\/2 was dropped: it left \d+ bytes unread and read none for 1 s$/,
  );
  assert(read > 0);
  await stands(scene.mux, { clients: 1 });
  // It can still read the bytes in the kernel's buffer, then the end; no other line begins.
  while (await reader.read(65536));
  await until("its descriptor to be closed", () => descriptorsOf(scene.mux.pid) <= descriptors);
  assertEquals(await other.ask(READ), '{"return": []}');
});

/** A client that is another process, and prints the events it gets as lines. */
interface ListenerProcess extends AsyncDisposable {
  readonly pid: number;
  readonly lines: Lines;
  readonly ended: Promise<Deno.CommandStatus>;
  kill(signal: Deno.Signal): void;
}

function startListener(path: string): ListenerProcess {
  const [command, first] = programCommand();
  const child = new Deno.Command(command, {
    args: [...first, "events", "--socket", path],
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const lines = new Lines(child.stdout);
  const ended = child.status;
  return {
    pid: child.pid,
    lines,
    ended,
    kill: (signal) => child.kill(signal),
    async [Symbol.asyncDispose](): Promise<void> {
      kill(child);
      await ended;
      await lines.rest();
    },
  };
}

/** Causes that many events; the client that causes them gets each before the reply. */
async function makeEvents(client: TestClient, count: number): Promise<string[]> {
  const seen: string[] = [];
  for (let i = 0; i < count; i += 2) {
    await client.send('{"execute":"cont"}{"execute":"stop"}');
    for (let line = 0; line < 4; line++) {
      const text = await client.line();
      if (text.includes('"event"')) seen.push(text);
    }
  }
  assertEquals(seen.length, count);
  return seen;
}

/** Starts one that is ready. */
async function listening(scene: Scene, maker: TestClient): Promise<ListenerProcess> {
  const listener = startListener(scene.path);
  // Its handshake is complete when it gets an event.
  let heard = false;
  const first = listener.lines.next("an event").then(() => heard = true);
  let made = 0;
  while (!heard) made += (await makeEvents(maker, 2)).length;
  await first;
  // Skips the events it has got, up to one that is caused now.
  const last = (await makeEvents(maker, 2)).at(-1);
  while (await listener.lines.next("the last event") !== last);
  return listener;
}

test("a stopped client that continues in time has missed no event", async () => {
  await using scene = await makeScene();
  using maker = await TestClient.ready(scene.path);
  await using listener = await listening(scene, maker);
  listener.kill("SIGSTOP");
  await isStopped(listener.pid);
  // More than the kernel buffers for a socket that is not read.
  const seen = await makeEvents(maker, 1000);
  listener.kill("SIGCONT");
  for (const event of seen) assertEquals(await listener.lines.next("an event"), event);
});

test("a stopped client is dropped when its time is over; the others miss nothing", async () => {
  await using scene = await makeScene({ options: ",slow-unread=4K,slow-time=1" });
  using maker = await TestClient.ready(scene.path);
  using other = await TestClient.ready(scene.path);
  await using listener = await listening(scene, maker);
  listener.kill("SIGSTOP");
  await isStopped(listener.pid);
  let dropped = false;
  const log = scene.mux.log.until(/was dropped/).then((line) => {
    dropped = true;
    return line;
  });
  const seen: string[] = [];
  while (!dropped) {
    const made = await makeEvents(maker, 100);
    // Before the first of these it got the events of the listener's start.
    let line = await other.line();
    while (seen.length === 0 && line !== made[0]) line = await other.line();
    const heard = [line];
    while (heard.length < made.length) heard.push(await other.line());
    assertEquals(heard, made);
    seen.push(...made);
  }
  assertMatch(
    await log,
    /client mux\/3 was dropped: it left \d+ bytes unread and read none for 1 s$/,
  );
  listener.kill("SIGCONT");
  const heard = await listener.lines.rest();
  assert(heard.length < seen.length, `${heard.length} of ${seen.length}`);
  assertEquals(heard, seen.slice(0, heard.length));
  await within("the listener to end", listener.ended);
});
