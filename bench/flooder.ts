/**
 * A client that floods a monitor until it is killed, as a separate process.
 *
 *     flooder.ts KIND SOCKET
 *
 * It prints `ready` when the flood has begun.
 *
 * @module
 */

const ENCODER = new TextEncoder();
const QUERY = '{"execute":"query-rx-filter"}';
const OVERTAKER = '{"exec-oob":"query-yank"}';

/** A flood: the capabilities that it needs, and the bytes that it repeats. */
interface Flood {
  readonly enable?: readonly string[];
  readonly text: string;
  /** The number of such clients. */
  readonly clients?: number;
}

const ID = `[${"1,".repeat(2000)}1]`;

/** The floods, by name. */
export const FLOODS: Readonly<Record<string, Flood>> = {
  "queries": { text: QUERY },
  "queries with oob": { enable: ["oob"], text: QUERY },
  "exec-oob": { enable: ["oob"], text: OVERTAKER },
  "both, four to one": { enable: ["oob"], text: QUERY.repeat(4) + OVERTAKER },
  "cached answers": { text: '{"execute":"query-version"}' },
  "the schema, cached": { text: '{"execute":"query-qmp-schema"}' },
  "query-commands of an observer": { text: '{"execute":"query-commands"}' },
  "query-commands of four observers": { text: '{"execute":"query-commands"}', clients: 4 },
  "qmpmux's own commands": { text: '{"execute":"__org.qmpmux_query-self"}' },
  "filters": {
    text: `{"execute":"__org.qmpmux_set-event-filter","arguments":{"enable":[${
      Array.from({ length: 200 }, (_, i) => `"*a${i}*"`).join()
    }]}}`,
  },
  "errors": { text: "{]" },
  "refused commands": { text: '{"execute":"stop"}' },
  "long ids": { text: `{"execute":"query-version","id":${ID}}` },
  "white space": { text: " ".repeat(65536) },
};

async function write(socket: Deno.UnixConn, bytes: Uint8Array): Promise<void> {
  while (bytes.length > 0) bytes = bytes.subarray(await socket.write(bytes));
}

async function drain(socket: Deno.UnixConn): Promise<void> {
  const buffer = new Uint8Array(1 << 20);
  while (await socket.read(buffer) !== null);
}

async function flood(path: string, { enable = [], text }: Flood): Promise<void> {
  const socket = await Deno.connect({ transport: "unix", path });
  await socket.read(new Uint8Array(4096));
  const negotiation = { execute: "qmp_capabilities", arguments: { enable } };
  await write(socket, ENCODER.encode(JSON.stringify(negotiation)));
  void drain(socket);
  const bytes = ENCODER.encode(text.repeat(Math.max(1, Math.floor(65536 / text.length))));
  for (;;) await write(socket, bytes);
}

if (import.meta.main) {
  const [kind, path] = Deno.args;
  const found = FLOODS[kind!];
  if (found === undefined || path === undefined) {
    throw new Error(`Cannot flood: expected KIND SOCKET, with one of ${Object.keys(FLOODS)}`);
  }
  const floods = Array.from({ length: found.clients ?? 1 }, () => flood(path, found));
  console.log("ready");
  await Promise.all(floods);
}
