/**
 * A server that takes the passed socket `s` and does to each connection what its first byte
 * selects.
 *
 * It serves `systemd_test.ts`, which passes the socket as a service manager does. It prints one
 * line a connection: the result of its reading and writing.
 *
 * @module
 */

import { adopt } from "../../lib/platform/socket_activation.ts";
import { PassedSockets } from "../../lib/platform/systemd.ts";

const MUCH = 4 << 20;

type HalfCloser = Deno.Conn & { closeWrite(): Promise<void> };

async function outcome(doing: () => Promise<unknown>): Promise<unknown> {
  try {
    return await doing();
  } catch (error) {
    return (error as Error).name;
  }
}

async function readAll(conn: Deno.Conn, size: number, parts: string[] = []): Promise<string> {
  const buffer = new Uint8Array(size);
  for (;;) {
    const length = await conn.read(buffer);
    if (length === null) return parts.join("");
    parts.push(new TextDecoder().decode(buffer.subarray(0, length)));
  }
}

async function writeAll(conn: Deno.Conn, bytes: Uint8Array): Promise<number[]> {
  const pieces: number[] = [];
  for (let at = 0; at < bytes.length;) {
    pieces.push(await conn.write(bytes.subarray(at)));
    at += pieces.at(-1)!;
  }
  return pieces;
}

const DOINGS: Readonly<Record<string, (conn: HalfCloser) => Promise<unknown>>> = {
  // Reads to the end in small pieces, then answers with everything it has read.
  e: async (conn) => {
    const text = await readAll(conn, 3);
    await writeAll(conn, new TextEncoder().encode(text));
    return text;
  },
  // Ends its own half first and continues reading.
  h: async (conn) => {
    await conn.closeWrite();
    return [await readAll(conn, 100), await outcome(() => conn.write(new Uint8Array(1)))];
  },
  // Writes more than the peer reads at once.
  w: async (conn) => {
    const pieces = await writeAll(conn, new Uint8Array(MUCH).fill(0x77));
    return [pieces.length > 1, pieces.reduce((a, b) => a + b, 0)];
  },
  // A connection that is closed while it reads.
  c: async (conn) => {
    const reading = outcome(() => conn.read(new Uint8Array(1)));
    conn.close();
    return [await reading, await outcome(() => conn.write(new Uint8Array(1)))];
  },
  // A connection that is closed while it writes to a peer that does not read.
  b: async (conn) => {
    const writing = outcome(() => writeAll(conn, new Uint8Array(MUCH)));
    await conn.read(new Uint8Array(1));
    conn.close();
    return await writing;
  },
  // Writes bytes that the peer leaves unread, then reads until the connection ends.
  r: async (conn) => {
    await conn.write(new Uint8Array(10));
    const parts: string[] = [];
    return [
      await outcome(() => readAll(conn, 2, parts)),
      parts.join(""),
      await outcome(() => conn.write(new Uint8Array(1))),
    ];
  },
  // Writes to a peer that has disconnected.
  g: async (conn) => {
    await readAll(conn, 100);
    return await outcome(() => writeAll(conn, new Uint8Array(MUCH)));
  },
};

const variables = { fds: "LISTEN_FDS", pid: "LISTEN_PID", names: "LISTEN_FDNAMES" } as const;
const given = Object.fromEntries(
  Object.entries(variables).map(([key, name]) => [key, Deno.env.get(name)]),
);
const listener = await adopt("s", new PassedSockets(given, Deno.pid).take("s"));
console.log(JSON.stringify(listener.addr.transport));
for (;;) {
  const conn = await listener.accept() as HalfCloser;
  const first = new Uint8Array(1);
  await conn.read(first);
  const kind = String.fromCharCode(first[0]!);
  if (kind === "q") {
    conn.close();
    break;
  }
  console.log(JSON.stringify(await DOINGS[kind]!(conn)));
  conn.close();
}
const accepting = outcome(() => listener.accept());
listener.close();
console.log(JSON.stringify(await accepting));
