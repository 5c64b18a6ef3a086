/**
 * The client library over a pair of streams, instead of a socket.
 *
 * @module
 */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { type ByteStreams, connect, ConnectError, ConnectionLost } from "../lib/client/mod.ts";
import { FakeQemu } from "../lib/testing/mod.ts";

/** Starts a fake QEMU in memory. */
function inMemory(): Promise<FakeQemu> {
  return FakeQemu.scripted([
    { execute: "stop", before: [{ name: "STOP" }] },
    { execute: "cont", return: { big: 2n ** 60n } },
  ], { listen: false });
}

Deno.test("connect() talks over a pair of streams", async () => {
  await using qemu = await inMemory();
  await using qmp = await connect(qemu.open());
  const stopped = qmp.waitFor("STOP");
  await qmp.execute("stop");
  assertEquals((await stopped).name, "STOP");
  assertEquals(await qmp.execute("cont"), { big: 2n ** 60n });
  assertEquals(qmp.greeting.capabilities, ["oob"]);
  await qmp.close();
  assertEquals(await qmp.closed, undefined);
  // The other end has noticed, so that the next client is served.
  await using next = await connect(qemu.open());
  assertEquals(next.greeting.capabilities, ["oob"]);
});

Deno.test("connect() over streams tells the end of the other side", async () => {
  const qemu = await inMemory();
  const qmp = await connect(qemu.open());
  await qemu.close();
  const lost = await qmp.closed;
  assert(lost instanceof ConnectionLost);
  assertEquals(
    lost.message,
    "the pair of streams: the other end has closed the connection",
  );
  const { promise, reject } = Promise.withResolvers<void>();
  const readable = new ReadableStream<Uint8Array>({ pull: () => promise });
  const torn = connect({ readable, writable: new WritableStream() });
  reject(new Error("torn"));
  await assertRejects(() => torn, ConnectionLost);
});

Deno.test("connect() ends when the other side does not take what is written", async () => {
  await using qemu = await inMemory();
  const { readable } = qemu.open();
  const writable = new WritableStream<Uint8Array>({
    write: () => Promise.reject(new Error("no room")),
  });
  await assertRejects(() => connect({ readable, writable }), ConnectionLost);
});

Deno.test("connect() refuses streams that are used, and to connect them again", async () => {
  await using qemu = await inMemory();
  const again = { reconnect: true };
  await assertRejects(() => connect(qemu.open(), again), TypeError, "leave out reconnect");
  const streams = qemu.open();
  streams.readable.getReader();
  await assertRejects(() => connect(streams), ConnectError, "the pair of streams");
  const half = { readable: streams.readable } as ByteStreams;
  await assertRejects(() => connect(half), ConnectError, "invalid address");
});

Deno.test("connect() refuses a stream that yields texts", async () => {
  const readable = ReadableStream.from(["{}"]) as unknown as ReadableStream<Uint8Array>;
  const writable = new WritableStream<Uint8Array>();
  await assertRejects(() => connect({ readable, writable }), TypeError, "than Uint8Array");
});
