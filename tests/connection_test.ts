/**
 * One connection with a bounded write queue, over a real socket: joined writes, limits, and the
 * close by either side.
 *
 * @module
 */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { Connection, type ConnectionNotices, type Marks } from "../lib/platform/connection.ts";
import type { Stream } from "../lib/platform/stream.ts";
import { within } from "./support/deadline.ts";
import { hangUp, makePair, readText, readToEnd, WatchedSocket, write } from "./support/pair.ts";

const WIDE: Marks = { soft: Infinity, hard: Infinity, patience: Infinity };
/** The kernel buffers some 200 kB for a peer that does not read. */
const MUCH = 4 << 20;

class Notices implements ConnectionNotices {
  readonly drops: string[] = [];
  #relief = Promise.withResolvers<void>();

  dropped(reason: string): void {
    this.drops.push(reason);
  }

  failed(error: unknown): void {
    throw error;
  }

  relieved(): void {
    this.#relief.resolve();
    this.#relief = Promise.withResolvers();
  }

  get relief(): Promise<void> {
    return within("relief", this.#relief.promise);
  }
}

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function swallow(): undefined {
  return undefined;
}

Deno.test("Connection.send() joins what one turn queues into one write", async () => {
  using pair = await makePair();
  const socket = new WatchedSocket(pair.ours);
  const connection = new Connection(socket.conn, WIDE, new Notices());
  for (const part of ["a", "bc", "def"]) connection.send(bytes(part));
  assertEquals(await readText(pair.theirs, 6), "abcdef");
  assertEquals(socket.writes, [6]);
  connection.end();
});

Deno.test("Connection.send() writes in order what is queued while a write is pending", async () => {
  using pair = await makePair();
  const notices = new Notices();
  const connection = new Connection(pair.ours, WIDE, notices);
  connection.send(bytes("x".repeat(MUCH)));
  await Promise.resolve();
  connection.send(bytes("one"));
  await Promise.resolve();
  connection.send(bytes("two"));
  const heard = await readText(pair.theirs, MUCH + 6);
  assertEquals(heard.slice(MUCH), "onetwo");
  assertEquals(heard.length, MUCH + 6);
  connection.end();
});

Deno.test("Connection.send() yields to the event loop after each 256 KiB that a peer reads at once", async () => {
  let written = 0;
  const all = Promise.withResolvers<void>();
  const socket: Stream = {
    read: (): Promise<null> => new Promise(() => {}),
    write(bytes: Uint8Array): Promise<number> {
      written += bytes.length;
      if (written === 16 << 16) all.resolve();
      return Promise.resolve(bytes.length);
    },
    closeWrite: (): Promise<void> => Promise.resolve(),
    close(): void {},
  };
  const connection = new Connection(socket, WIDE, new Notices());
  for (let part = 0; part < 16; part++) connection.send(new Uint8Array(1 << 16));
  // When a timer fires, microtasks have written all they can.
  await new Promise((resolve) => setTimeout(resolve, 0));
  assert(written <= 512 << 10, `${written} bytes were written`);
  await within("the rest", all.promise);
  connection.end();
});

Deno.test("Connection.send() continues after a partial write", async () => {
  using pair = await makePair();
  const socket = new WatchedSocket(pair.ours, 4);
  const connection = new Connection(socket.conn, WIDE, new Notices());
  connection.send(bytes("0123456789"));
  assertEquals(await readText(pair.theirs, 10), "0123456789");
  assertEquals(socket.writes, [10, 6, 2]);
  connection.end();
});

/** Messages that are taken one by one, and the number of those taken. */
class Lines {
  taken = 0;
  readonly #lines: string[];

  constructor(lines: readonly string[]) {
    this.#lines = [...lines];
  }

  next(): Uint8Array | undefined {
    if (this.taken === this.#lines.length + 1) throw new Error("it was asked after its end");
    const line = this.#lines[this.taken++];
    return line === undefined ? undefined : bytes(line);
  }
}

Deno.test("Connection.sendFrom() writes the messages of sources in their places", async () => {
  using pair = await makePair();
  const socket = new WatchedSocket(pair.ours);
  const connection = new Connection(socket.conn, WIDE, new Notices());
  connection.send(bytes("a"));
  connection.sendFrom(new Lines(["b", "c"]));
  connection.sendReply(bytes("d"));
  connection.sendFrom(new Lines([]));
  connection.sendFrom(new Lines(["e"]));
  connection.sendReply(bytes("f"));
  assertEquals([connection.queued, connection.replyBytes], [3, 2]);
  assertEquals(await readText(pair.theirs, 6), "abcdef");
  assertEquals(socket.writes, [1, 2, 1, 1, 1]);
  connection.sendFrom(new Lines(["g"]));
  assertEquals(await readText(pair.theirs, 1), "g");
  connection.end();
});

Deno.test("Connection.sendFrom() takes no more than the peer reads", async () => {
  using pair = await makePair();
  const notices = new Notices();
  const connection = new Connection(pair.ours, { ...WIDE, hard: 1000 }, notices);
  const line = "x".repeat(999) + "\n";
  const source = new Lines(Array(10_000).fill(line));
  connection.sendFrom(source);
  connection.sendReply(bytes("end"));
  await new Promise((resolve) => setTimeout(resolve, 0));
  assert(source.taken < 1000, `${source.taken} messages were taken`);
  assert(connection.queued < 70_000, `${connection.queued} bytes are queued`);
  const heard = await readText(pair.theirs, 10_000_003);
  assertEquals([heard.length, heard.slice(-3)], [10_000_003, "end"]);
  assertEquals([connection.replyBytes, notices.drops], [0, []]);
  connection.end();
});

Deno.test("Connection.sendFrom() asks a source again that has found nothing yet", async () => {
  using pair = await makePair();
  const connection = new Connection(pair.ours, WIDE, new Notices());
  connection.sendFrom(new Lines(["", "a", "", "", "b"]));
  connection.sendReply(bytes("c"));
  assertEquals(await readText(pair.theirs, 3), "abc");
  connection.end();
});

Deno.test("Connection.close() sends what sources have before it closes", async () => {
  using pair = await makePair();
  const connection = new Connection(pair.ours, WIDE, new Notices());
  connection.sendFrom(new Lines(["a", "b"]));
  connection.close();
  assertEquals(await readToEnd(pair.theirs), "ab");
  connection.sendFrom(new Lines(["c"]));
  hangUp(pair.theirs);
  await connection.over;
});

Deno.test("Connection.sendFrom() closes the connection after an error of the source", async () => {
  using pair = await makePair();
  let failed: unknown;
  const notices = { dropped(): void {}, relieved(): void {}, failed: (e: unknown) => failed = e };
  const connection = new Connection(pair.ours, WIDE, notices);
  connection.sendFrom({
    next: (): undefined => {
      throw new Error("a planted error");
    },
  });
  await connection.over;
  assertEquals(String(failed), "Error: a planted error");
});

Deno.test("Connection.behind is true while more than the soft limit is queued", async () => {
  using pair = await makePair();
  const notices = new Notices();
  const connection = new Connection(pair.ours, { ...WIDE, soft: 10 }, notices);
  connection.send(bytes("0123456789"));
  assertEquals(connection.behind, false);
  connection.send(bytes("x".repeat(MUCH)));
  assertEquals(connection.behind, true);
  const { relief } = notices;
  await readText(pair.theirs, MUCH + 10);
  await relief;
  assertEquals(connection.behind, false);
  assertEquals(notices.drops, []);
  connection.end();
});

Deno.test("Connection.send() drops a peer past the hard limit at once, and reports it once", async () => {
  using pair = await makePair();
  const notices = new Notices();
  const connection = new Connection(pair.ours, { ...WIDE, hard: 10 }, notices);
  connection.send(bytes("0123456789"));
  assertEquals(notices.drops, []);
  connection.send(bytes("x"));
  assertEquals(notices.drops, ["it left 11 bytes unread (the limit is 10)"]);
  connection.send(bytes("0123456789012"));
  connection.tick(1e9);
  connection.drop("again");
  assertEquals(notices.drops.length, 1);
  assert(connection.closing);
  await within("the connection to close", connection.over);
  assertEquals(await readToEnd(pair.theirs), "");
});

Deno.test("Connection.tick() drops a peer that stays behind for longer than the limit, once", async () => {
  using pair = await makePair();
  const notices = new Notices();
  const connection = new Connection(pair.ours, { ...WIDE, soft: 10, patience: 30 }, notices);
  connection.tick(0);
  connection.send(bytes("x".repeat(MUCH)));
  connection.tick(100);
  connection.tick(130);
  assertEquals(notices.drops, []);
  connection.tick(130.5);
  connection.tick(200);
  assertEquals(notices.drops, [`it left ${MUCH} bytes unread and read none for 30 s`]);
  await within("the connection to close", connection.over);
});

Deno.test("Connection.tick() restarts the time when the peer has caught up in between", async () => {
  using pair = await makePair();
  const notices = new Notices();
  const connection = new Connection(pair.ours, { ...WIDE, soft: 10, patience: 30 }, notices);
  connection.send(bytes("x".repeat(MUCH)));
  connection.tick(0);
  const { relief } = notices;
  await readText(pair.theirs, MUCH);
  await relief;
  connection.tick(20);
  connection.send(bytes("x".repeat(MUCH)));
  connection.tick(25);
  connection.tick(55);
  assertEquals(notices.drops, []);
  connection.tick(56);
  assertEquals(notices.drops.length, 1);
});

Deno.test("Connection.read() returns data chunk by chunk, and large chunks from a fast peer", async () => {
  using pair = await makePair();
  const connection = new Connection(pair.ours, WIDE, new Notices());
  const lengths: number[] = [];
  const reading = connection.read((chunk) => {
    lengths.push(chunk.length);
    return undefined;
  });
  await write(pair.theirs, "x".repeat(1 << 20));
  pair.theirs.close();
  assertEquals(await reading, "ended");
  assertEquals(lengths.reduce((sum, length) => sum + length, 0), 1 << 20);
  assert(Math.max(...lengths) > 4096);
  assert(Math.max(...lengths) <= 65536);
  connection.end();
});

Deno.test("Connection.read() reads nothing more until the last chunk has been handled", async () => {
  using pair = await makePair();
  const socket = new WatchedSocket(pair.ours);
  const connection = new Connection(socket.conn, WIDE, new Notices());
  const first = Promise.withResolvers<void>();
  const ready = Promise.withResolvers<void>();
  const reading = connection.read(() => {
    first.resolve();
    return ready.promise;
  });
  await write(pair.theirs, "one");
  await first.promise;
  await write(pair.theirs, "two");
  connection.send(bytes("marker"));
  assertEquals(await readText(pair.theirs, 6), "marker");
  assertEquals(socket.bytesRead, 3);
  ready.resolve();
  pair.theirs.close();
  assertEquals(await reading, "ended");
  assertEquals(socket.bytesRead, 6);
  connection.end();
});

Deno.test("Connection.read() reports the end of a peer that still reads", async () => {
  using pair = await makePair();
  const connection = new Connection(pair.ours, WIDE, new Notices());
  await pair.theirs.closeWrite();
  assertEquals(await connection.read(swallow), "ended");
  connection.send(bytes("late"));
  connection.close();
  assertEquals(await readToEnd(pair.theirs), "late");
  await within("the connection to close", connection.over);
});

Deno.test("Connection.read() reports a reset as a disconnect", async () => {
  using pair = await makePair();
  const connection = new Connection(pair.ours, WIDE, new Notices());
  connection.send(bytes("unread"));
  await write(pair.theirs, "x");
  // Closing with unread data causes a reset.
  const ends = new Promise<string>((resolve) => {
    void connection.read(() => {
      pair.theirs.close();
      return undefined;
    }).then(resolve);
  });
  assertEquals(await within("the end", ends), "gone");
  await within("the connection to close", connection.over);
});

Deno.test("Connection.read() throws on an unexpected error", async () => {
  const broken = {
    read: () => Promise.reject(new RangeError("no socket")),
    close: () => {},
  } as unknown as Deno.Conn;
  const connection = new Connection(broken, WIDE, new Notices());
  await assertRejects(() => connection.read(swallow), RangeError, "no socket");
  connection.end();
});

Deno.test("Connection.close() lets the peer read its last bytes and end of file, even if it has sent more", async () => {
  using pair = await makePair();
  const connection = new Connection(pair.ours, WIDE, new Notices());
  const first = Promise.withResolvers<void>();
  const held = Promise.withResolvers<void>();
  const reading = connection.read(() => {
    first.resolve();
    return held.promise;
  });
  await write(pair.theirs, "x".repeat(100_000));
  await first.promise;
  connection.send(bytes("last words"));
  connection.close();
  held.resolve();
  assertEquals(await readToEnd(pair.theirs), "last words");
  pair.theirs.close();
  assertEquals(await within("read() to end", reading), "gone");
  await within("the connection to close", connection.over);
});

Deno.test("Connection.close() sends all that is queued, however long it is", async () => {
  using pair = await makePair();
  const connection = new Connection(pair.ours, WIDE, new Notices());
  const reading = connection.read(swallow);
  connection.send(bytes("x".repeat(MUCH)));
  connection.close();
  assertEquals((await readToEnd(pair.theirs)).length, MUCH);
  pair.theirs.close();
  assertEquals(await within("read() to end", reading), "gone");
});

Deno.test("Connection.close() does not wait forever for a peer that neither reads nor closes", async () => {
  using pair = await makePair();
  const notices = new Notices();
  const connection = new Connection(pair.ours, WIDE, notices);
  const reading = connection.read(swallow);
  connection.send(bytes("x".repeat(MUCH)));
  connection.close();
  await within("the connection to close", connection.over);
  assertEquals(await within("read() to end", reading), "gone");
  assertEquals(notices.drops, []);
});

Deno.test("Connection.close() ends the stream once; later data is not sent", async () => {
  using pair = await makePair();
  const connection = new Connection(pair.ours, WIDE, new Notices());
  const reading = connection.read(swallow);
  connection.send(bytes("before"));
  connection.close();
  connection.close();
  connection.send(bytes("after"));
  assertEquals(await readToEnd(pair.theirs), "before");
  pair.theirs.close();
  await within("read() to end", reading);
});

Deno.test("Connection.close() of a disconnected peer returns at once", async () => {
  using pair = await makePair();
  const connection = new Connection(pair.ours, WIDE, new Notices());
  pair.theirs.close();
  connection.close();
  assertEquals(await within("read() to end", connection.read(swallow)), "gone");
  await within("the connection to close", connection.over);
});

Deno.test("Connection.send() to a disconnected peer closes the connection, and counts no drop", async () => {
  using pair = await makePair();
  const notices = new Notices();
  const connection = new Connection(pair.ours, WIDE, notices);
  pair.theirs.close();
  connection.send(bytes("x"));
  await within("the connection to close", connection.over);
  assertEquals(notices.drops, []);
  connection.end();
});

Deno.test("Connection.hasGone() distinguishes a closed peer from one that still reads", async () => {
  using pair = await makePair();
  const connection = new Connection(pair.ours, WIDE, new Notices());
  await pair.theirs.closeWrite();
  assertEquals(await connection.read(swallow), "ended");
  assertEquals(await connection.hasGone(), false);
  hangUp(pair.theirs);
  assertEquals(await connection.hasGone(), true);
  connection.end();
  assertEquals(await connection.hasGone(), true);
});

Deno.test("Connection.hasGone() throws on an unexpected error", async () => {
  const broken = {
    write: () => Promise.reject(new RangeError("no socket")),
    close: () => {},
  } as unknown as Deno.Conn;
  const connection = new Connection(broken, WIDE, new Notices());
  await assertRejects(() => connection.hasGone(), RangeError, "no socket");
  connection.end();
});

Deno.test("Connection.close() waits less for a peer that has been sent everything than for one that must read", async () => {
  using idle = await makePair();
  using behind = await makePair();
  const ended: string[] = [];
  const connections = [idle, behind].map(({ ours }) => new Connection(ours, WIDE, new Notices()));
  connections[1]!.send(bytes("x".repeat(MUCH)));
  const all = connections.map((connection, at) =>
    connection.over.then(() => ended.push(at === 0 ? "idle" : "behind"))
  );
  for (const connection of connections.toReversed()) connection.close();
  await within("both to close", Promise.all(all));
  assertEquals(ended, ["idle", "behind"]);
});
