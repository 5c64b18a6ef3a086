/**
 * Metrics over HTTP: the responses, and the requests that are refused.
 *
 * @module
 */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { Failure } from "../lib/platform/failure.ts";
import { answerTo, MetricsServer } from "../lib/daemon/metrics_server.ts";
import { Listener } from "../lib/platform/listener.ts";
import { parseMetrics } from "../lib/config/recording.ts";
import { within } from "./support/deadline.ts";
import { FakeLog } from "./support/fake_log.ts";
import { makePlace } from "./support/place.ts";

const METRICS = "# TYPE qmpmux_a counter\nqmpmux_a 1\n";

/** Returns the metrics in two parts. */
function render(): Promise<readonly Uint8Array[]> {
  const bytes = new TextEncoder().encode(METRICS);
  return Promise.resolve([bytes.subarray(0, 9), bytes.subarray(9)]);
}

/** Returns the response to a request as a text. */
async function answerText(request: string, hosts?: readonly string[]): Promise<string> {
  const parts = await answerTo(request, render, hosts);
  return await new Blob([...parts] as BlobPart[]).text();
}

/** Returns the status line of the response to a request. */
async function statusOf(request: string): Promise<string> {
  return (await answerText(request)).split("\r\n")[0]!;
}

/** Starts a server at an address, which is closed when the test ends. */
async function serving(
  text: string,
  hosts: readonly string[] = [],
): Promise<MetricsServer & AsyncDisposable> {
  const server = new MetricsServer(await Listener.open(parseMetrics(text)), render, () => hosts);
  const over = server.run(new FakeLog());
  return Object.assign(server, {
    async [Symbol.asyncDispose](): Promise<void> {
      server[Symbol.dispose]();
      await within("the server's end", over);
    },
  });
}

async function write(socket: Deno.Conn, text: string): Promise<void> {
  for (let bytes = new TextEncoder().encode(text); bytes.length > 0;) {
    bytes = bytes.subarray(await socket.write(bytes));
  }
}

/** Returns everything that a socket sends until its end. */
async function heard(socket: Deno.Conn): Promise<string> {
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(4096);
  let text = "";
  for (;;) {
    const length = await within("an answer", socket.read(buffer));
    if (length === null) return text;
    text += decoder.decode(buffer.subarray(0, length), { stream: true });
  }
}

Deno.test("answerTo() returns the metrics for GET /metrics", async () => {
  assertEquals(
    await answerText("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"),
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n" +
      "Content-Length: 35\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n" + METRICS,
  );
});

Deno.test("answerTo() accepts a query after the path, and lines without CR", async () => {
  assertEquals(await statusOf("GET /metrics?name[]=a HTTP/1.0\n\n"), "HTTP/1.1 200 OK");
});

Deno.test("answerTo() returns only the head for HEAD", async () => {
  const answer = await answerText("HEAD /metrics HTTP/1.1\r\n\r\n");
  assert(answer.includes("Content-Length: 35\r\n") && answer.endsWith("\r\n\r\n"));
});

Deno.test("answerTo() refuses other paths, methods, and malformed requests", async () => {
  assertEquals(await statusOf("GET / HTTP/1.1\r\n\r\n"), "HTTP/1.1 404 Not Found");
  assertEquals(await statusOf("POST /metrics HTTP/1.1\r\n\r\n"), "HTTP/1.1 405 Method Not Allowed");
  assertEquals(await statusOf('{"execute": "quit"}\r\n\r\n'), "HTTP/1.1 400 Bad Request");
  assertEquals(await statusOf(""), "HTTP/1.1 400 Bad Request");
});

const HOSTS = ["node1.example", "[fd00::1]"];

for (
  const [headers, status] of [
    ["Host: localhost", "200 OK"],
    ["host:127.0.0.1:9636", "200 OK"],
    ["HOST: [::1]:1 ", "200 OK"],
    ["Host: LocalHost:65535", "200 OK"],
    ["Host: 127.0.0.2", "200 OK"],
    ["Accept: */*\r\nHost: localhost\r\nX-Host: evil.example", "200 OK"],
    ["Host: Node1.Example:80", "200 OK"],
    ["Host: [FD00::1]", "200 OK"],
    ["Host: evil.example", "403 Forbidden"],
    ["Host: evil.example:9636", "403 Forbidden"],
    ["Host: node1.example.evil.example", "403 Forbidden"],
    ["Host: localhost.evil.example", "403 Forbidden"],
    ["Host: localhost:1@evil.example", "403 Forbidden"],
    ["Host: 127.0.0.1.evil.example", "403 Forbidden"],
    ["Host: 192.0.2.1", "403 Forbidden"],
    ["Host: [::2]", "403 Forbidden"],
    ["Host:", "403 Forbidden"],
    ["X-Host: localhost", "403 Forbidden"],
    ["Host: localhost\r\nHost: evil.example", "403 Forbidden"],
    ["Host : localhost", "403 Forbidden"],
    ["Host: localhost, evil.example", "403 Forbidden"],
  ] as const
) {
  Deno.test(`answerTo() on TCP returns ${status} for ${JSON.stringify(headers)}`, async () => {
    for (const end of ["\r\n", "\n"]) {
      const request = `GET /metrics HTTP/1.1\r\n${headers}\r\n\r\n`.replaceAll("\r\n", end);
      const answer = await answerText(request, HOSTS);
      assertEquals(answer.split("\r\n")[0], `HTTP/1.1 ${status}`);
      assertEquals(answer.includes("qmpmux_a 1"), status === "200 OK");
    }
  });
}

Deno.test("answerTo() on TCP names the address to request instead, for any path", async () => {
  for (const path of ["/metrics", "/"]) {
    const answer = await answerText(`GET ${path} HTTP/1.1\r\nHost: evil.example\r\n\r\n`, []);
    assert(answer.startsWith("HTTP/1.1 403 "));
    assert(answer.includes("use localhost, 127.0.0.1 or [::1], or allow the name with "));
    assert(!answer.includes("evil"));
  }
});

Deno.test("answerTo() does not read a line of the body as a header", async () => {
  const request = "GET /metrics HTTP/1.1\r\n\r\nHost: localhost\r\n\r\n";
  assert((await answerText(request, [])).startsWith("HTTP/1.1 403 "));
});

Deno.test("MetricsServer checks the host on a port, and on a socket file if it is given host names", async () => {
  using place = makePlace();
  const path = `${place.path}/metrics`;
  const strict = `${place.path}/strict`;
  await using onPort = await serving("127.0.0.1:0", ["node1.example"]);
  await using _onFile = await serving(path);
  await using _onStrictFile = await serving(strict, ["node1.example"]);
  const port = Number(onPort.address.split(":").at(-1));
  for (const [host, status] of [["node1.example", 200], ["evil.example", 403]] as const) {
    using tcp = await Deno.connect({ hostname: "127.0.0.1", port });
    await write(tcp, `GET /metrics HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    assert((await heard(tcp)).startsWith(`HTTP/1.1 ${status} `));
    using unix = await Deno.connect({ transport: "unix", path });
    await write(unix, `GET /metrics HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    assert((await heard(unix)).startsWith("HTTP/1.1 200 "));
    using checked = await Deno.connect({ transport: "unix", path: strict });
    await write(checked, `GET /metrics HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    assert((await heard(checked)).startsWith(`HTTP/1.1 ${status} `));
  }
});

Deno.test("MetricsServer answers on a socket file of the requested mode", async () => {
  using place = makePlace();
  const path = `${place.path}/metrics`;
  {
    await using _ = await serving(`unix:${path},mode=0640`);
    assertEquals(Deno.statSync(path).mode! & 0o777, 0o640);
    using socket = await Deno.connect({ transport: "unix", path });
    await write(socket, "GET /met");
    await write(socket, "rics HTTP/1.1\r\n\r\n");
    assert((await heard(socket)).endsWith(METRICS));
  }
  assertEquals([...Deno.readDirSync(place.path)], []);
});

Deno.test("MetricsServer answers fetch() on a port of this machine", async () => {
  await using server = await serving("tcp:127.0.0.1:0");
  const url = `http://${server.address.slice("tcp:".length)}/metrics`;
  const response = await within("an answer", fetch(url));
  assertEquals([response.status, await response.text()], [200, METRICS]);
});

Deno.test("MetricsServer reports a request that is too long as malformed", async () => {
  using place = makePlace();
  const path = `${place.path}/metrics`;
  await using _ = await serving(path);
  using socket = await Deno.connect({ transport: "unix", path });
  await write(socket, "x".repeat(8192));
  assert((await heard(socket)).startsWith("HTTP/1.1 400 "));
});

Deno.test("MetricsServer sends nothing to a client that disconnects without a request", async () => {
  using place = makePlace();
  const path = `${place.path}/metrics`;
  await using _ = await serving(path);
  using socket = await Deno.connect({ transport: "unix", path });
  await write(socket, "GET /metrics HTTP/1.1\r\n");
  await socket.closeWrite();
  assertEquals(await heard(socket), "");
});

Deno.test("MetricsServer closes a connection past its limit", async () => {
  using place = makePlace();
  const path = `${place.path}/metrics`;
  await using _ = await serving(path);
  const sockets = [];
  for (let i = 0; i < 16; i++) sockets.push(await Deno.connect({ transport: "unix", path }));
  using late = await Deno.connect({ transport: "unix", path });
  assertEquals(await heard(late), "");
  await write(sockets[0]!, "GET /metrics HTTP/1.1\r\n\r\n");
  assert((await heard(sockets[0]!)).startsWith("HTTP/1.1 200 "));
  for (const socket of sockets) socket.close();
});

Deno.test("the listener for metrics leaves a file that is not a socket alone", async () => {
  using place = makePlace();
  const path = `${place.path}/file`;
  Deno.writeTextFileSync(path, "mine");
  await assertRejects(() => Listener.open(parseMetrics(path)), Failure);
  assertEquals(Deno.readTextFileSync(path), "mine");
});
