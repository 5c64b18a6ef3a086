/**
 * Clients that behave badly, in a separate process.
 *
 *     load.ts storm SOCKET EVENTS STALLED   STALLED clients that never read, one that makes that
 *                                           many events, and one that reads them all
 *     load.ts flood SOCKET COUNT            a client that sends that many queries at once, then reads
 *     load.ts oob-flood SOCKET COUNT        the same with oob, so that many of them wait at a time
 *     load.ts exec-oob-flood SOCKET COUNT   the same, all of them out of band
 *     load.ts mixed-flood SOCKET COUNT      the same, one of five out of band
 *     load.ts long SOCKET BYTES             a client that sends a command of that size, then a small one
 *     load.ts crowd SOCKET COUNT            that many connections, all kept until the end
 *
 * It prints `ready` when it is about to begin, begins at the end of its input, and prints its
 * findings as JSON.
 *
 * @module
 */

const ENCODER = new TextEncoder();

type Socket = Deno.UnixConn;

function connect(path: string): Promise<Socket> {
  return Deno.connect({ transport: "unix", path });
}

async function write(socket: Socket, bytes: Uint8Array): Promise<void> {
  while (bytes.length > 0) bytes = bytes.subarray(await socket.write(bytes));
}

function say(socket: Socket, text: string): Promise<void> {
  return write(socket, ENCODER.encode(text));
}

/** Counts lines that contain a text until there are that many; returns the number. */
async function count(socket: Socket, text: string, wanted: number): Promise<number> {
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(65536);
  let found = 0;
  let rest = "";
  while (found < wanted) {
    const length = await socket.read(buffer);
    if (length === null) break;
    const lines = (rest + decoder.decode(buffer.subarray(0, length), { stream: true })).split(
      "\r\n",
    );
    rest = lines.pop()!;
    for (const line of lines) if (line.includes(text)) found++;
  }
  return found;
}

async function ready(path: string, enable: readonly string[] = []): Promise<Socket> {
  const socket = await connect(path);
  await count(socket, '"QMP"', 1);
  await say(socket, JSON.stringify({ execute: "qmp_capabilities", arguments: { enable } }));
  await count(socket, '"return"', 1);
  return socket;
}

async function begin(): Promise<void> {
  console.log("ready");
  for await (const _ of Deno.stdin.readable);
}

async function storm(path: string, events: number, stalled: number): Promise<unknown> {
  for (let i = 0; i < stalled; i++) await ready(path);
  const [maker, witness] = [await ready(path), await ready(path)];
  await begin();
  const made = count(maker, '"return"', events);
  const seen = count(witness, '"event"', events);
  const pair = ENCODER.encode('{"execute":"cont"}{"execute":"stop"}'.repeat(50));
  for (let sent = 0; sent < events; sent += 100) await write(maker, pair);
  return { made: await made, seen: await seen };
}

const QUERY = '{"execute":"query-rx-filter"}';
const OVERTAKER = '{"exec-oob":"query-yank"}';

/** Sends that many queries, a few of which are repeated. */
async function flood(
  path: string,
  queries: number,
  enable: readonly string[],
  few: readonly string[] = [QUERY],
): Promise<unknown> {
  const socket = await ready(path, enable);
  await begin();
  const answered = count(socket, '"return"', queries);
  await say(socket, few.join("").repeat(queries / few.length));
  return { answered: await answered };
}

async function long(path: string, bytes: number): Promise<unknown> {
  const socket = await ready(path);
  await begin();
  const errors = count(socket, "JSON token size limit exceeded", 1);
  await say(socket, '{"execute":"ringbuf-write","arguments":{"device":"d","data":"');
  const part = new Uint8Array(1 << 20).fill(0x61);
  for (let left = bytes; left > 0; left -= part.length) await write(socket, part.subarray(0, left));
  const refused = await errors;
  await say(socket, '"}}{"execute":"query-name"}');
  return { refused, answered: await count(socket, "", 1) };
}

async function crowd(path: string, connections: number): Promise<unknown> {
  await begin();
  const sockets: Socket[] = [];
  let refused = 0;
  const buffer = new Uint8Array(1024);
  while (sockets.length + refused < connections) {
    const socket = await connect(path);
    if (await socket.read(buffer) === null) {
      refused++;
      socket.close();
    } else sockets.push(socket);
  }
  return { greeted: sockets.length, refused };
}

const KINDS: Record<string, (path: string, count: number, more: number) => Promise<unknown>> = {
  storm,
  "flood": (path, queries) => flood(path, queries, []),
  "oob-flood": (path, queries) => flood(path, queries, ["oob"]),
  "exec-oob-flood": (path, queries) => flood(path, queries, ["oob"], [OVERTAKER]),
  "mixed-flood": (path, queries) =>
    flood(path, queries, ["oob"], [QUERY, QUERY, QUERY, QUERY, OVERTAKER]),
  long,
  crowd,
};

const [kind, path, size, more] = Deno.args;
console.log(JSON.stringify(await KINDS[kind!]!(path!, Number(size), Number(more))));
Deno.exit(0);
