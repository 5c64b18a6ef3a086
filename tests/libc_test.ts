/**
 * FFI calls: their results and errors, and that nothing is left open.
 *
 * The other end is Deno's own, because neither side may be tested by itself.
 *
 * @module
 */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { Descriptors } from "../lib/platform/descriptors.ts";
import { DESCRIPTORS_LIMIT, Libc, loadLibc } from "../lib/platform/libc.ts";
import { linkAt, namesIn } from "../lib/platform/monitor_holder.ts";
import { LAYOUTS, SYMBOLS, type Symbols } from "../lib/platform/libc_symbols.ts";
import { FdBudget, FDS_IN_ALL } from "../lib/daemon/fd_budget.ts";
import { FdSocket } from "../lib/platform/unix_socket.ts";
import { within } from "./support/deadline.ts";
import { duplicate, memoryFile, memoryFilesOf, socketPair } from "./support/passing.ts";
import { makePlace } from "./support/place.ts";
import { descriptorsOf } from "./support/process.ts";

const LIBC = loadLibc();
const ENCODER = new TextEncoder();
const DECODER = new TextDecoder();

/**
 * Returns a connection: Deno's end, which can also send descriptors, and the descriptor of the
 * other end.
 */
async function connected(): Promise<
  { socket: Deno.UnixConn; hasFds: FdSocket; other: number } & Disposable
> {
  using place = makePlace();
  const path = `${place.path}/s`;
  const listening = LIBC.listen(path);
  const [connecting, own] = LIBC.connected(() => Deno.connect({ transport: "unix", path }));
  const socket = await connecting;
  const other = LIBC.accept(listening);
  LIBC.close(listening);
  assert(own !== undefined && other !== undefined);
  let open = true;
  return {
    socket,
    hasFds: new FdSocket(socket, LIBC, own),
    other,
    [Symbol.dispose](): void {
      if (!open) return;
      open = false;
      LIBC.close(other);
      try {
        socket.close();
      } catch (error) {
        if (!(error instanceof Deno.errors.BadResource)) throw error;
      }
    },
  };
}

function files(...names: string[]): Descriptors {
  return new Descriptors(LIBC, names.map(memoryFile));
}

/** Runs code in a process that may open few files. */
async function poorly(code: string, argument: string): Promise<Deno.CommandOutput> {
  const limited = 'ulimit -n 200; exec "$0" eval --no-check "$1" "$2"';
  const args = ["-c", limited, Deno.execPath(), code, argument];
  return await new Deno.Command("sh", { args, stdin: "null" }).output();
}

/**
 * Returns the bytes received, as text, and the number of descriptors with them, which are closed.
 */
function received(other: number, size = 65536): [string, number] | undefined {
  const buffer = new Uint8Array(size);
  const got = LIBC.receive(other, buffer);
  if (got === undefined) return undefined;
  const count = got.fds?.numbers.length ?? 0;
  got.fds?.close();
  return [DECODER.decode(buffer.subarray(0, got.length)), count];
}

Deno.test("receive() returns nothing while nothing is there, and 0 at the end", async () => {
  using pair = await connected();
  assertEquals(LIBC.receive(pair.other, new Uint8Array(8)), undefined);
  pair.socket.close();
  assertEquals(LIBC.receive(pair.other, new Uint8Array(8))?.length, 0);
});

Deno.test("receive() returns plain bytes, as many as fit", async () => {
  using pair = await connected();
  await pair.socket.write(ENCODER.encode("hello"));
  assertEquals(received(pair.other, 3), ["hel", 0]);
  assertEquals(received(pair.other, 3), ["lo", 0]);
});

Deno.test("receive() returns descriptors with their bytes, and they are the files that were sent", async () => {
  using pair = await connected();
  await pair.hasFds.writeWith(ENCODER.encode("{}"), files("sent-a", "sent-b"));
  const got = LIBC.receive(pair.other, new Uint8Array(8));
  assertEquals(got?.fds?.numbers.length, 2);
  assertEquals(memoryFilesOf(Deno.pid), ["sent-a", "sent-b"]);
  got?.fds?.close();
  got?.fds?.close();
  assertEquals(memoryFilesOf(Deno.pid), []);
});

Deno.test("receive() attaches no descriptors to bytes before theirs", async () => {
  using pair = await connected();
  await pair.socket.write(ENCODER.encode('{"a":{}} {"b":'));
  await pair.hasFds.writeWith(ENCODER.encode('1}{"c":2}'), files("behind"));
  await pair.socket.write(ENCODER.encode("tail"));
  const all: [string, number][] = [];
  for (let got = received(pair.other); got; got = received(pair.other)) all.push(got);
  assertEquals(all, [['{"a":{}', 0], ["}", 0], [' {"b":1}', 1], ['{"c":2}tail', 0]]);
});

Deno.test("receive() returns at most sixteen descriptors, as QEMU does", async () => {
  using pair = await connected();
  const before = descriptorsOf(Deno.pid);
  const names = Array.from({ length: DESCRIPTORS_LIMIT }, (_, index) => `of-16-${index}`);
  await pair.hasFds.writeWith(ENCODER.encode("x"), files(...names));
  assertEquals(received(pair.other), ["x", 16]);
  assertEquals(descriptorsOf(Deno.pid), before);
});

Deno.test("accept() returns a socket that carries only what was sent, whatever options its listener has", async () => {
  const library = Deno.dlopen("libc.so.6", {
    setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  });
  using place = makePlace();
  const path = `${place.path}/s`;
  const listening = LIBC.listen(path);
  // SO_PASSCRED, SO_PASSSEC, SO_PASSPIDFD: newer kernels pass the last one on to later connections.
  for (const option of [16, 34, 76]) {
    library.symbols.setsockopt(listening, 1, option, new Int32Array([1]), 4);
  }
  library.close();
  const [connecting, own] = LIBC.connected(() => Deno.connect({ transport: "unix", path }));
  using socket = await connecting;
  const other = LIBC.accept(listening)!;
  const count = descriptorsOf(Deno.pid);
  await socket.write(ENCODER.encode("{}{}"));
  assertEquals(received(other), ["{}{}", 0]);
  const names = Array.from({ length: DESCRIPTORS_LIMIT }, (_, index) => `beside-${index}`);
  await new FdSocket(socket, LIBC, own!).writeWith(ENCODER.encode("x"), files(...names));
  assertEquals(received(other), ["x", DESCRIPTORS_LIMIT]);
  assertEquals(descriptorsOf(Deno.pid), count);
  LIBC.close(other);
  LIBC.close(listening);
});

Deno.test("receive() returns the bytes, and as many descriptors as the process may open", async () => {
  // A separate process, which may open few files.
  const code = `
    import { loadLibc } from ${
    JSON.stringify(new URL("../lib/platform/libc.ts", import.meta.url).href)
  };
    import { Descriptors } from ${
    JSON.stringify(new URL("../lib/platform/descriptors.ts", import.meta.url).href)
  };
    const libc = loadLibc();
    const path = Deno.args[0];
    const listening = libc.listen(path);
    const [connecting, own] = libc.connected(() => Deno.connect({ transport: "unix", path }));
    const socket = await connecting;
    const other = libc.accept(listening);
    const bells = [];
    try { for (;;) bells.push(libc.checked(libc.c.eventfd(0, 0), "eventfd")); } catch { /* That is all. */ }
    const passed = new Descriptors(libc, bells.slice(0, 5));
    for (const room of [0, 2, 5]) {
      for (const bell of bells.splice(bells.length - room)) libc.close(bell);
      libc.sendWith(own, new TextEncoder().encode("{}"), passed);
      const { length, fds } = libc.receive(other, new Uint8Array(8));
      console.log(length, fds?.numbers.length);
      fds?.close();
      for (let i = 0; i < room; i++) bells.push(libc.checked(libc.c.eventfd(0, 0), "eventfd"));
    }
    Deno.exit(0);`;
  using place = makePlace();
  const { stdout, stderr } = await within("the process", poorly(code, `${place.path}/l`));
  assertEquals(DECODER.decode(stdout), "2 undefined\n2 2\n2 5\n", DECODER.decode(stderr));
});

Deno.test("receive() throws what Deno's own sockets throw if the descriptor is not a socket", () => {
  const error = assertThrows(() => LIBC.receive(999, new Uint8Array(1)));
  assert(error instanceof Deno.errors.BadResource, String(error));
});

Deno.test("send() throws BrokenPipe if the peer has disconnected", async () => {
  using pair = await connected();
  pair.socket.close();
  assertThrows(() => LIBC.send(pair.other, ENCODER.encode("x")), Deno.errors.BrokenPipe);
});

Deno.test("send() reports when the buffer is full", async () => {
  using pair = await connected();
  const bytes = new Uint8Array(65536);
  let sent = 0;
  for (let once = LIBC.send(pair.other, bytes); once; once = LIBC.send(pair.other, bytes)) {
    sent += once;
  }
  assert(sent > 65536);
  const fds = files("waits");
  assertEquals(LIBC.sendWith(pair.other, ENCODER.encode("x"), fds), undefined);
  assertEquals(memoryFilesOf(Deno.pid), ["waits"]);
  fds.close();
  assertEquals(memoryFilesOf(Deno.pid), []);
});

Deno.test("sendWith() refuses descriptors without a byte, bytes without a descriptor, and too many", async () => {
  using pair = await connected();
  const some = ENCODER.encode("x");
  const one = files("one");
  assertThrows(() => LIBC.sendWith(pair.other, new Uint8Array(0), one), RangeError);
  one.close();
  assertThrows(() => LIBC.sendWith(pair.other, some, one), RangeError);
  const many = new Descriptors(LIBC, Array(DESCRIPTORS_LIMIT + 1).fill(0));
  assertThrows(() => LIBC.sendWith(pair.other, some, many), RangeError);
});

Deno.test("credentialsOf() returns the process, user and groups of the peer", async () => {
  using pair = await connected();
  const { pid, uid, gid } = LIBC.identityOf(pair.other)!;
  assertEquals([pid, uid, gid], [Deno.pid, Deno.uid(), Deno.gid()]);
});

Deno.test("credentialsOf() returns nothing if the descriptor is not a socket", () => {
  assertEquals(LIBC.identityOf(999), undefined);
});

Deno.test("Descriptors records which are closed, and closes all but the first", () => {
  const some = files("kept", "second", "third");
  const closed: number[] = [];
  some.whenClosed((count) => closed.push(count));
  const [first] = some.numbers;
  some.keepFirst();
  assertEquals([some.numbers, memoryFilesOf(Deno.pid)], [[first], ["kept"]]);
  some.keepFirst();
  some.close();
  some.close();
  assertEquals([closed, memoryFilesOf(Deno.pid)], [[2, 1], []]);
});

Deno.test("FdBudget.admit() counts open descriptors, and refuses any past the limit", () => {
  const budget = new FdBudget();
  const all: Descriptors[] = [];
  // Nothing is open under these numbers.
  const sixteen = Array.from({ length: 16 }, (_, index) => 900_000 + index);
  for (let held = 0; held < FDS_IN_ALL; held += 16) {
    const some = new Descriptors(LIBC, sixteen);
    assertEquals(budget.admit(some), true);
    all.push(some);
  }
  const one = new Descriptors(LIBC, [900_000]);
  assertEquals([budget.held, budget.admit(one)], [FDS_IN_ALL, false]);
  all[0]!.keepFirst();
  assertEquals([budget.held, budget.admit(one)], [FDS_IN_ALL - 15, true]);
  for (const each of [...all, one]) each.close();
  assertEquals(budget.held, 0);
});

Deno.test("isOwnEnd() recognizes the other ends of accepted connections, even after their listener has closed", async () => {
  using place = makePlace();
  const path = `${place.path}/own`;
  const listening = LIBC.listen(path);
  using tcp = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  using early = await connected();
  LIBC.noteListening();
  const [connecting, end] = LIBC.connected(() => Deno.connect({ transport: "unix", path }));
  using _client = await connecting;
  const accepted = LIBC.accept(listening)!;
  LIBC.close(listening);
  assertEquals([LIBC.isOwnEnd(end!), LIBC.isOwnEnd(accepted)], [true, false]);
  // Descriptors of an unregistered listener, of a pair, of a file, and a number that is not open.
  const pair = socketPair();
  const file = memoryFile("file");
  for (const each of [early.other, ...pair, file, 999]) assertEquals(LIBC.isOwnEnd(each), false);
  const ends = new Descriptors(LIBC, [file, duplicate(end!), ...pair]);
  assertEquals([ends.closeOwnEnds(), ends.numbers], [1, [file, ...pair]]);
  assertEquals(ends.closeOwnEnds(), 0);
  ends.close();
  LIBC.close(accepted);
  const ownEnds = (): number => openDescriptors().filter((each) => LIBC.isOwnEnd(each)).length;
  const count = ownEnds();
  using _other = await Deno.connect({ hostname: "127.0.0.1", port: tcp.addr.port });
  assertEquals(ownEnds(), count + 1);
  (await tcp.accept()).close();
});

/** Returns our open descriptors. */
function openDescriptors(): number[] {
  return [...Deno.readDirSync("/proc/self/fd")].map(({ name }) => Number(name));
}

Deno.test("isListening() distinguishes a listening socket from a connected one", async () => {
  using place = makePlace();
  const listening = LIBC.listen(`${place.path}/l`);
  using pair = await connected();
  assertEquals([LIBC.isListening(listening), LIBC.isListening(pair.other)], [true, false]);
  LIBC.close(listening);
});

Deno.test("listen() throws what Deno.listen() throws", () => {
  using place = makePlace();
  const path = `${place.path}/taken`;
  const first = LIBC.listen(path);
  assertThrows(() => LIBC.listen(path), Deno.errors.AddrInUse);
  assertThrows(() => LIBC.listen(`${place.path}/none/s`), Deno.errors.NotFound);
  assertThrows(() => LIBC.listen(`${place.path}/${"x".repeat(108)}`), TypeError);
  LIBC.close(first);
});

Deno.test("accept() returns nothing while no client connects", () => {
  using place = makePlace();
  const listening = LIBC.listen(`${place.path}/l`);
  assertEquals(LIBC.accept(listening), undefined);
  LIBC.close(listening);
});

Deno.test("accept() reports too many open files in Deno's words", async () => {
  // A separate process, which may open few files.
  const code = `
    import { loadLibc } from ${
    JSON.stringify(new URL("../lib/platform/libc.ts", import.meta.url).href)
  };
    const libc = loadLibc();
    const path = Deno.args[0];
    const listening = libc.listen(path);
    const socket = await Deno.connect({ transport: "unix", path });
    try { for (;;) libc.checked(libc.c.eventfd(0, 0), "eventfd"); } catch (error) { console.log(error.message); }
    try { libc.accept(listening); } catch (error) { console.log(error.message); }
    Deno.exit(0);`;
  using place = makePlace();
  const { stdout, stderr } = await within("the process", poorly(code, `${place.path}/l`));
  const line = "Too many open files (os error 24)\n";
  assertEquals(DECODER.decode(stdout), line + line, DECODER.decode(stderr));
});

/** The functions of the C library, some of them replaced. */
function libcWith(replaced: (symbols: Symbols) => Partial<Symbols>): Libc & Disposable {
  const library = Deno.dlopen("libc.so.6", SYMBOLS);
  const libc = new Libc({ ...library.symbols, ...replaced(library.symbols) });
  return Object.assign(libc, { [Symbol.dispose]: () => library.close() });
}

Deno.test("LAYOUTS has the numbers of each architecture's headers", () => {
  // asm/fcntl.h of x86 (asm-generic's) and of arm64; EPOLL_PACKED in linux/eventpoll.h.
  assertEquals(LAYOUTS, {
    x86_64: { O_DIRECTORY: 0x10000, EPOLL_EVENT_BYTES: 4 + 8 },
    aarch64: { O_DIRECTORY: 0x4000, EPOLL_EVENT_BYTES: 4 + 4 + 8 },
  });
});

Deno.test("namesIn() lists a directory, and nothing of other files", () => {
  using place = makePlace();
  for (const name of ["one", "two"]) Deno.writeTextFileSync(`${place.path}/${name}`, "");
  assertEquals(namesIn(LIBC, place.path).sort(), [".", "..", "one", "two"]);
  assertEquals(namesIn(LIBC, `${place.path}/one`), []);
  assertEquals(namesIn(LIBC, `${place.path}/none`), []);
});

Deno.test("a function that a C library lacks does not disable the others", () => {
  // The GNU library has no getdents, as musl has no getdents64.
  const library = Deno.dlopen("libc.so.6", SYMBOLS);
  try {
    assertEquals(library.symbols.getdents, null);
    assert(library.symbols.sendmsg !== null);
  } finally {
    library.close();
  }
});

Deno.test("namesIn() uses getdents if there is no getdents64, as with musl", () => {
  using place = makePlace();
  Deno.writeTextFileSync(`${place.path}/one`, "");
  using libc = libcWith(({ getdents64 }) => ({ getdents64: null, getdents: getdents64 }));
  assertEquals(namesIn(libc, place.path).sort(), [".", "..", "one"]);
});

Deno.test("namesIn() lists nothing if the C library has neither, and the rest works", () => {
  using place = makePlace();
  Deno.symlinkSync("there", `${place.path}/link`);
  using libc = libcWith(() => ({ getdents64: null, getdents: null }));
  assertEquals(namesIn(libc, place.path), []);
  assertEquals(linkAt(libc, `${place.path}/link`), "there");
});
