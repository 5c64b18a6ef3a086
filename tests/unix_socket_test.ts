/**
 * Unix sockets by FFI: they wait, wake, take turns, and leave nothing open.
 *
 * @module
 */

import { assert, assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import { Connection, type ConnectionNotices, type Marks } from "../lib/platform/connection.ts";
import { dialOnce } from "../lib/platform/dial.ts";
import { Descriptors } from "../lib/platform/descriptors.ts";
import { type Libc, loadLibc } from "../lib/platform/libc.ts";
import { Poller } from "../lib/platform/poller.ts";
import { FdSocket, UnixListener } from "../lib/platform/unix_socket.ts";
import type { UnixSocket } from "../lib/platform/unix_socket.ts";
import { within } from "./support/deadline.ts";
import { memoryFile, memoryFilesOf } from "./support/passing.ts";
import { makePlace } from "./support/place.ts";
import { descriptorsOf } from "./support/process.ts";

const LIBC = loadLibc();
const ENCODER = new TextEncoder();
const DECODER = new TextDecoder();
const NOTICES: ConnectionNotices = {
  dropped: () => {},
  relieved: () => {},
  failed: (error) => {
    throw error;
  },
};
const MARKS: Marks = { soft: Infinity, hard: Infinity, patience: Infinity };

/**
 * Both ends of a connection: qmpmux's uses FFI, the peer's is Deno's, which passes descriptors too.
 */
interface Ends extends AsyncDisposable {
  readonly ours: UnixSocket;
  readonly theirs: Deno.UnixConn;
  readonly withFds: FdSocket;
  /** The peer's descriptor number. */
  readonly descriptor: number;
  readonly listener: UnixListener;
}

async function connected(): Promise<Ends> {
  using place = makePlace();
  const path = `${place.path}/s`;
  const poller = new Poller(LIBC);
  const listener = new UnixListener(poller, LIBC.listen(path), path);
  const accepting = listener.accept();
  const [connecting, descriptor] = LIBC.connected(() => Deno.connect({ transport: "unix", path }));
  const theirs = await connecting;
  assert(descriptor !== undefined);
  const ours = await within("the client", accepting);
  return {
    ours,
    theirs,
    withFds: new FdSocket(theirs, LIBC, descriptor),
    descriptor,
    listener,
    async [Symbol.asyncDispose](): Promise<void> {
      ours.close();
      listener.close();
      try {
        theirs.close();
      } catch (error) {
        if (!(error instanceof Deno.errors.BadResource)) throw error;
      }
      await within("the poller to become idle", poller.idle());
    },
  };
}

async function textFrom(socket: { read(buffer: Uint8Array): Promise<number | null> }): Promise<
  string | null
> {
  const buffer = new Uint8Array(65536);
  const length = await within("bytes to read", socket.read(buffer));
  return length === null ? null : DECODER.decode(buffer.subarray(0, length));
}

function files(...names: string[]): Descriptors {
  return new Descriptors(LIBC, names.map(memoryFile));
}

Deno.test("UnixSocket.read() waits for bytes, and for the end", async () => {
  await using ends = await connected();
  const reading = textFrom(ends.ours);
  await ends.theirs.write(ENCODER.encode("hello"));
  assertEquals(await reading, "hello");
  const ending = textFrom(ends.ours);
  ends.theirs.close();
  assertEquals(await ending, null);
});

Deno.test("UnixSocket.close() ends pending calls, and closes unused descriptors", async () => {
  await using ends = await connected();
  await ends.withFds.writeWith(ENCODER.encode("x"), files("untaken"));
  assertEquals(await textFrom(ends.ours), "x");
  assertEquals(memoryFilesOf(Deno.pid), ["untaken"]);
  const reading = ends.ours.read(new Uint8Array(8));
  ends.ours.close();
  ends.ours.close();
  await assertRejects(() => within("the read", reading), Deno.errors.Interrupted);
  await assertRejects(() => ends.ours.write(new Uint8Array(1)), Deno.errors.Interrupted);
  assertEquals(memoryFilesOf(Deno.pid), []);
});

Deno.test("UnixSocket.takeFds() returns the descriptors of the last bytes read, once", async () => {
  await using ends = await connected();
  await ends.withFds.writeWith(ENCODER.encode("x"), files("fds"));
  await textFrom(ends.ours);
  const fds = ends.ours.takeFds();
  assert(fds !== undefined);
  assertEquals(ends.ours.takeFds(), undefined);
  fds.close();
});

Deno.test("UnixSocket.write() waits for buffer space, and for nothing else", async () => {
  await using ends = await connected();
  const much = new Uint8Array(1 << 20);
  const writing = (async (): Promise<number> => {
    let written = 0;
    while (written < much.length) written += await ends.ours.write(much.subarray(written));
    return written;
  })();
  let read = 0;
  const buffer = new Uint8Array(65536);
  while (read < much.length) read += (await ends.theirs.read(buffer)) ?? 0;
  assertEquals(await writing, much.length);
});

Deno.test("UnixSocket.closeWrite() sends end of file, and received bytes can still be read", async () => {
  await using ends = await connected();
  await ends.ours.closeWrite();
  assertEquals(await textFrom(ends.theirs), null);
  await ends.theirs.write(ENCODER.encode("still"));
  assertEquals(await textFrom(ends.ours), "still");
});

Deno.test("a socket that always has more to read lets all other work run", async () => {
  await using ends = await connected();
  let turns = 0;
  const timer = setInterval(() => turns++, 0);
  const flood = (async (): Promise<void> => {
    const bytes = new Uint8Array(65536);
    try {
      for (;;) await ends.theirs.write(bytes);
    } catch (error) {
      if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
    }
  })();
  const buffer = new Uint8Array(16);
  for (let reads = 0; turns < 3; reads++) {
    assert(reads < 1_000_000, "no other work had a turn");
    await ends.ours.read(buffer);
  }
  clearInterval(timer);
  ends.ours.close();
  await within("the flood's end", flood);
});

Deno.test("UnixListener.close() ends a pending accept", async () => {
  await using ends = await connected();
  const accepting = ends.listener.accept();
  ends.listener.close();
  await assertRejects(() => within("the end", accepting), Deno.errors.BadResource);
});

Deno.test("UnixListener.accept() closes a connection that cannot be polled", async () => {
  using place = makePlace();
  const path = `${place.path}/s`;
  const listening = LIBC.listen(path);
  const error = new Error("Too many open files are watched (os error 28)");
  let full = true;
  /** A poller that has no space for clients for a while. */
  class FullPoller extends Poller {
    override watch(...[descriptor, told]: Parameters<Poller["watch"]>): void {
      if (full && descriptor !== listening) throw error;
      super.watch(descriptor, told);
    }
  }
  const poller = new FullPoller(LIBC);
  const listener = new UnixListener(poller, listening, path);
  using _first = await Deno.connect({ transport: "unix", path });
  const before = descriptorsOf(Deno.pid);
  assertEquals(await assertRejects(() => within("the client", listener.accept())), error);
  assertEquals(descriptorsOf(Deno.pid), before);
  full = false;
  using _next = await Deno.connect({ transport: "unix", path });
  const socket = await within("the next client", listener.accept());
  socket.close();
  listener.close();
  await within("the poller to become idle", poller.idle());
});

Deno.test("Poller.idle() resolves when the last socket is closed, and nothing is left open", async () => {
  const before = descriptorsOf(Deno.pid);
  for (let i = 0; i < 3; i++) {
    await using _ends = await connected();
  }
  assertEquals(descriptorsOf(Deno.pid), before);
});

Deno.test("Poller.turn() does not block if nothing is watched any more", async () => {
  const poller = new Poller(LIBC);
  await within("the turn before", poller.turn());
  using place = makePlace();
  const path = `${place.path}/s`;
  const listener = new UnixListener(poller, LIBC.listen(path), path);
  listener.close();
  await within("the poller to become idle", poller.idle());
  await within("the turn", poller.turn());
});

Deno.test("UnixSocket.read() ends for a reader after the close, however much it had read", async () => {
  let socket: UnixSocket;
  {
    await using ends = await connected();
    socket = ends.ours;
    await ends.theirs.write(ENCODER.encode("0123456789abcdef"));
    for (let i = 0; i < 16; i++) await socket.read(new Uint8Array(1));
  }
  const reading = socket.read(new Uint8Array(1));
  await assertRejects(() => within("the read", reading), Deno.errors.Interrupted);
});

Deno.test("FdSocket.writeWith() sends only the bytes if the kernel passes no descriptors, and reports why once", async () => {
  await using ends = await connected();
  // A kernel that fails with ETOOMANYREFS: the user has too many descriptors in flight.
  const full = {
    sendWith(): never {
      throw new Error("sendmsg: os error 109");
    },
    identityOf: () => undefined,
  } as unknown as Libc;
  const told: string[] = [];
  const withFds = new FdSocket(ends.theirs, full, ends.descriptor, (why) => told.push(why));
  for (const name of ["one", "two"]) {
    assertEquals(await withFds.writeWith(ENCODER.encode(name), files(name)), 3);
    assertEquals(await textFrom(ends.ours), name);
    assertEquals(ends.ours.takeFds(), undefined);
  }
  assertEquals(told, ["sendmsg: os error 109"]);
  assertEquals(memoryFilesOf(Deno.pid), []);
});

Deno.test("FdSocket.writeWith() fails if the peer has disconnected", async () => {
  await using ends = await connected();
  ends.ours.close();
  const writing = ends.withFds.writeWith(ENCODER.encode("x"), files("x"));
  await assertRejects(() => within("the write", writing), Deno.errors.BrokenPipe);
  assertEquals(memoryFilesOf(Deno.pid), []);
});

Deno.test("FdSocket.writeWith() waits for buffer space by sending white space, and closes what it sent", async () => {
  await using ends = await connected();
  const filler = new Uint8Array(4096).fill(0x2e);
  let filled = 0;
  for (let sent = LIBC.send(ends.descriptor, filler); sent !== undefined;) {
    filled += sent;
    sent = LIBC.send(ends.descriptor, filler);
  }
  const sending = ends.withFds.writeWith(ENCODER.encode("laden"), files("late"));
  let text = "";
  let fdsReceived = 0;
  while (!text.endsWith("laden")) {
    text += await textFrom(ends.ours);
    const fds = ends.ours.takeFds();
    if (fds) fdsReceived++;
    fds?.close();
  }
  assertEquals(await sending, 5);
  assertEquals(fdsReceived, 1);
  assertEquals(text.replace(/^\.+/, "").trim(), "laden");
  assertEquals(text.replace(/[^.]/g, "").length, filled);
  assertEquals(memoryFilesOf(Deno.pid), []);
});

Deno.test("FdSocket.unread counts what the peer has not read, and nothing once it is closed", async () => {
  await using ends = await connected();
  assertEquals(ends.withFds.unread, 0);
  await ends.withFds.writeWith(ENCODER.encode("xy"), files("unread"));
  assert(ends.withFds.unread > 0);
  ends.ours.takeFds();
  assertEquals(await textFrom(ends.ours), "xy");
  assertEquals(ends.withFds.unread, 0);
  ends.ours.takeFds()?.close();
  await ends.withFds.write(ENCODER.encode("z"));
  ends.withFds.close();
  assertEquals(ends.withFds.unread, 0);
});

Deno.test("dialOnce() finds the descriptor of each connection, however many are opened at once", async () => {
  await using ends = await connected();
  using place = makePlace();
  const paths = ["a", "b", "c"].map((name) => `${place.path}/${name}`);
  const listeners = paths.map((path) => Deno.listen({ transport: "unix", path }));
  const refused = (reason: string): never => {
    throw new Error(reason);
  };
  const sockets = await within(
    "the connections",
    Promise.all(
      [...paths, ...paths].map((path) =>
        dialOnce({ transport: "unix", path }, { libc: LIBC, refused })
      ),
    ),
  );
  for (const [i, socket] of sockets.entries()) {
    assertInstanceOf(socket, FdSocket);
    await socket.writeWith(ENCODER.encode(`right ${i}`), files(`for-${i}`));
    using theirs = await listeners[i % listeners.length]!.accept();
    assertEquals(await textFrom(theirs), `right ${i}`);
    socket.close();
  }
  assertEquals(ends.ours.takeFds(), undefined);
  for (const listener of listeners) listener.close();
  assertEquals(memoryFilesOf(Deno.pid), []);
});

Deno.test("dialOnce() uses only Deno's socket if its descriptor cannot be determined", async () => {
  using place = makePlace();
  const path = `${place.path}/s`;
  using _listener = Deno.listen({ transport: "unix", path });
  const unknown = {
    connected: <T>(connect: () => T): [T, undefined] => [connect(), undefined],
  } as unknown as Libc;
  const reasons: string[] = [];
  const passing = { libc: unknown, refused: (reason: string) => void reasons.push(reason) };
  const socket = await dialOnce({ transport: "unix", path }, passing);
  assertEquals([socket.writeWith, reasons.length], [undefined, 1]);
  socket.close();
});

Deno.test("Connection.send() keeps the order around messages with descriptors", async () => {
  await using ends = await connected();
  const connection = new Connection(ends.withFds, MARKS, NOTICES);
  connection.send(ENCODER.encode("a"));
  connection.send(ENCODER.encode("b"));
  connection.send(ENCODER.encode("{c}"), files("with-c"));
  connection.send(ENCODER.encode("{d}"), files("with-d"));
  connection.send(ENCODER.encode("e"));
  let text = "";
  while (!text.includes("e")) {
    const piece = await textFrom(ends.ours);
    const fds = ends.ours.takeFds();
    text += fds ? `<${piece}>` : piece;
    if (fds) {
      assertEquals(memoryFilesOf(Deno.pid).length >= 1, true);
      fds.close();
    }
  }
  assertEquals(text.replace(/\s/g, "").replace("<ab{c}>", "ab<{c}>"), "ab<{c}><{d}>e");
  connection.end();
  const late = files("too-late");
  connection.send(ENCODER.encode("x"), late);
  assertEquals(memoryFilesOf(Deno.pid), []);
});

Deno.test("Connection.send() closes descriptors that a socket cannot pass", async () => {
  await using ends = await connected();
  const connection = new Connection(ends.theirs, MARKS, NOTICES);
  connection.send(ENCODER.encode("plain"), files("dropped"));
  assertEquals(await textFrom(ends.ours), "plain");
  assertEquals(memoryFilesOf(Deno.pid), []);
  connection.end();
});
