/**
 * Web browsers at a TCP listener: their requests reach no splitter, and all other bytes pass
 * unchanged.
 *
 * First the guard by itself, cut anywhere; then the program, with a real HTTP client.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import type { Stream } from "../lib/platform/stream.ts";
import { WebGuard } from "../lib/daemon/web_guard.ts";
import { FakeQemu } from "./support/fake_qemu.ts";
import { TestClient } from "./support/client.ts";
import { within } from "./support/deadline.ts";
import { newDenoTest } from "./support/new_deno.ts";
import { WITHOUT_PYTHON } from "./support/passer.ts";
import { makePlace } from "./support/place.ts";
import { startQmpmux, type TestQmpmux } from "./support/qmpmux.ts";

const ENCODER = new TextEncoder();
const METHODS = "GET HEAD POST PUT DELETE OPTIONS PATCH CONNECT TRACE".split(" ");

/** A socket that chunks are read from; it records its use. */
class Chunks implements Stream {
  readonly done: string[] = [];
  readonly #chunks: Uint8Array[];

  constructor(chunks: readonly Uint8Array[]) {
    this.#chunks = chunks.filter(({ length }) => length > 0);
  }

  read(buffer: Uint8Array): Promise<number | null> {
    const chunk = this.#chunks.shift();
    if (chunk === undefined) return Promise.resolve(null);
    const length = Math.min(chunk.length, buffer.length);
    buffer.set(chunk.subarray(0, length));
    if (length < chunk.length) this.#chunks.unshift(chunk.subarray(length));
    return Promise.resolve(length);
  }

  write(bytes: Uint8Array): Promise<number> {
    this.done.push(`write ${bytes.length}`);
    return Promise.resolve(bytes.length);
  }

  closeWrite(): Promise<void> {
    this.done.push("closeWrite");
    return Promise.resolve();
  }

  close(): void {
    this.done.push("close");
  }
}

function latin1(text: string): Uint8Array {
  return Uint8Array.from(text, (sign) => sign.charCodeAt(0));
}

/**
 * Returns the chunks that a guard lets through until the end, and its replies; buffers have this
 * length.
 */
async function through(
  chunks: readonly string[],
  room = 16,
): Promise<{ heard: string; refused: string[]; ended: boolean }> {
  const refused: string[] = [];
  const guard = new WebGuard(new Chunks(chunks.map(latin1)), (because) => refused.push(because));
  const buffer = new Uint8Array(room);
  let heard = "";
  try {
    for (;;) {
      const length = await guard.read(buffer);
      if (length === null) return { heard, refused, ended: true };
      assert(length > 0);
      heard += String.fromCharCode(...buffer.subarray(0, length));
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.ConnectionAborted)) throw error;
    return { heard, refused, ended: false };
  }
}

/** Returns a text cut in two at every place, byte by byte, and not at all. */
function cuts(text: string): string[][] {
  const places = Array.from(text, (_, at) => [text.slice(0, at), text.slice(at)]);
  return [...places, [...text]];
}

const BODY = 'Host: x\r\n\r\n{"execute":"qmp_capabilities"}{"execute":"quit"}';

for (
  const [what, text, kind] of [
    ...METHODS.map((method) => [`the method ${method}`, `${method} `, "HTTP"]),
    ["a method that a page made up", "x-y /", "HTTP"],
    ["a method of quotes", "' /", "HTTP"],
    ["a method of a thousand letters", `${"m".repeat(1024)}`, "HTTP"],
    ["a record of TLS", "\x16\x03\x01", "TLS"],
  ] as [string, string, string][]
) {
  Deno.test(`WebGuard.read() returns nothing of text that begins with ${what}, however it is cut`, async () => {
    const refused = [`its first bytes look like ${kind}, as web browsers send it`];
    const short = text.length > 100 ? [[text], [text.slice(0, 9), text.slice(9)]] : cuts(text);
    for (const first of short) {
      const all = [...first.slice(0, -1), first.at(-1)! + BODY];
      assertEquals(await through(all), { heard: "", refused, ended: false }, all.join("|"));
    }
  });
}

for (
  const text of [
    '{"execute":"qmp_capabilities"}',
    ' {"execute":"query-status"}\r\n{"a',
    "",
    "\n",
    "true 1 [2] {}",
    "POS",
    "POST",
    "GE",
    "get {}",
    "GETS {}",
    'nonsense {"execute":"stop"}',
    "'GET x'",
    "\xff{}",
    "\x16{}",
    "\x16",
    "-1 ",
    " GET / HTTP/1.1\r\n",
    `{"execute":"x","arguments":{"a":"GET / HTTP/1.1"}}`,
    "a".repeat(1023),
    `${"a".repeat(40)}\n{}`,
  ]
) {
  const shown = JSON.stringify(text.length > 60 ? `${text.slice(0, 20)}…` : text);
  Deno.test(`WebGuard.read() returns ${shown} unchanged, however it is cut`, async () => {
    const short = text.length > 100 ? [[text], [text.slice(0, 9), text.slice(9)]] : cuts(text);
    for (const chunks of short) {
      for (const room of [1, 16, 4096]) {
        assertEquals(await through(chunks, room), { heard: text, refused: [], ended: true });
      }
    }
  });
}

Deno.test("WebGuard.read() delays nothing once the stream cannot be a request", async () => {
  const guard = new WebGuard(new Chunks(["GE", "T{", "POST /"].map(latin1)), () => {});
  const buffer = new Uint8Array(16);
  assertEquals(await guard.read(buffer), 4);
  assertEquals(await guard.read(buffer), 6);
  assertEquals(await guard.read(buffer), null);
});

Deno.test("WebGuard forwards all calls except reads", async () => {
  const socket = new Chunks([]);
  const guard = new WebGuard(socket, () => {});
  assertEquals(await guard.write(ENCODER.encode("abc")), 3);
  await guard.closeWrite();
  guard.close();
  assertEquals(socket.done, ["write 3", "closeWrite", "close"]);
});

/**
 * Sends the request that a page may send without a preflight: commands as a text.
 *
 * It writes the bytes itself, because `fetch` may disconnect at the greeting before it has sent
 * anything.
 */
async function post(port: number): Promise<void> {
  const body = '{"execute":"qmp_capabilities"}\n{"execute":"stop"}\n';
  using socket = await Deno.connect({ hostname: "127.0.0.1", port });
  const head = `POST / HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nContent-Type: text/plain\r\n` +
    `Content-Length: ${body.length}\r\n\r\n`;
  await socket.write(ENCODER.encode(head + body));
  const buffer = new Uint8Array(4096);
  try {
    while (await socket.read(buffer) !== null);
  } catch (error) {
    // Bytes that have not been read are lost with the connection.
    if (!(error instanceof Deno.errors.ConnectionReset)) throw error;
  }
}

/** Connects a browser, then a client; only the client is answered. */
async function tryBoth(mux: TestQmpmux, qemu: FakeQemu, port: number, name: string): Promise<void> {
  await within("the request to end", post(port));
  const line = await mux.log.until(/a client was closed/);
  assertEquals(
    line.replace(/^.*?qmpmux: /, ""),
    `${name}: a client was closed: its first bytes look like HTTP, as web browsers send it`,
  );
  using client = new TestClient(await Deno.connect({ hostname: "127.0.0.1", port }));
  await client.line();
  assertEquals(await client.ask({ execute: "qmp_capabilities" }), '{"return": {}}');
  await client.ask({ execute: "query-name" });
  assertEquals(qemu.heard.join("").match(/"execute":"(?!qmp_cap)[^"]*"/g), [
    '"execute":"query-name"',
  ]);
}

Deno.test("a web page's request to a TCP listener runs nothing, and is logged and counted", async () => {
  using place = makePlace();
  await using qemu = new FakeQemu(`${place.path}/vm`);
  const metrics = `${place.path}/metrics`;
  await using mux = await startQmpmux(
    ["--qemu", qemu.path, "--listen", "tcp:127.0.0.1:0", "--metrics", `unix:${metrics}`],
  );
  await mux.log.until(/connected to QEMU/);
  const [, name, port] = /(tcp:127\.0\.0\.1:(\d+))/.exec(mux.listening[0]!)!;
  await tryBoth(mux, qemu, Number(port), name!);
  using asker = await Deno.connect({ transport: "unix", path: metrics });
  await asker.write(ENCODER.encode("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"));
  const told = await within("the metrics", new Response(asker.readable).text());
  assert(told.includes('qmpmux_limits_reached_total{limit="web-request"} 1\n'), told);
});

Deno.test("a web page's request is disconnected while there is no QEMU, too", async () => {
  using place = makePlace();
  await using mux = await startQmpmux(
    ["--qemu", `${place.path}/vm`, "--listen", "tcp:127.0.0.1:0"],
  );
  const [, port] = /tcp:127\.0\.0\.1:(\d+)/.exec(mux.listening[0]!)!;
  await within("the request to fail", post(Number(port)));
  await mux.log.until(/a client was closed: its first bytes look like HTTP/);
});

/** Returns the port of a process's descriptor that is a TCP socket. */
function portOf(pid: number, descriptor: number): number {
  const [, inode] = /^socket:\[(\d+)\]$/.exec(Deno.readLinkSync(`/proc/${pid}/fd/${descriptor}`))!;
  const lines = Deno.readTextFileSync("/proc/net/tcp").split("\n").map((line) =>
    line.trim().split(/\s+/)
  );
  const [, local] = lines.find((fields) => fields[9] === inode)!;
  return parseInt(local!.split(":")[1]!, 16);
}

newDenoTest({
  name: "a web page's request to a passed TCP socket runs nothing",
  ignore: WITHOUT_PYTHON,
  fn: async () => {
    using place = makePlace();
    await using qemu = new FakeQemu(`${place.path}/vm`);
    await using mux = await startQmpmux(["--qemu", qemu.path, "--listen", "fd:t"], {
      sockets: ["t=0"],
    });
    await mux.log.until(/connected to QEMU/);
    await tryBoth(mux, qemu, portOf(mux.pid, 3), "fd:t");
  },
});

Deno.test("on a unix socket text that begins like a request gets QEMU's reply", async () => {
  using place = makePlace();
  await using qemu = new FakeQemu(`${place.path}/vm`);
  const path = `${place.path}/mux`;
  await using _mux = await startQmpmux(["--qemu", qemu.path, "--listen", path]);
  using client = await TestClient.ready(path);
  await client.send("GET / HTTP/1.1\r\n");
  assert((await client.line()).startsWith('{"error": {"class": "GenericError"'));
});
