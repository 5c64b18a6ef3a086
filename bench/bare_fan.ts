/**
 * A bare loop that hands every event to every client: the floor for fan-out in Deno.
 *
 * It implements just enough of QMP to be measured: it sends a greeting, replies to
 * `qmp_capabilities`, and forwards one command at a time.
 *
 *   deno run -A bench/bare_fan.ts FROM TO
 *
 * @module
 */

const [from, to] = Deno.args;
if (from === undefined || to === undefined) throw new Error("Usage: bare_fan.ts FROM TO");

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const GREETING = encoder.encode('{"QMP": {"version": {}, "capabilities": []}}\r\n');
const DONE = encoder.encode('{"return": {}}\r\n');

const qemu = await Deno.connect({ transport: "unix", path: to });
const clients = new Set<Deno.Conn>();
let asker: Deno.Conn | undefined;

async function hearQemu(): Promise<void> {
  const buffer = new Uint8Array(65536);
  await qemu.read(buffer);
  await qemu.write(encoder.encode('{"execute":"qmp_capabilities"}'));
  await qemu.read(buffer);
  for (;;) {
    const length = await qemu.read(buffer);
    if (length === null) return;
    const text = decoder.decode(buffer.subarray(0, length));
    for (const line of text.split(/(?<=\n)/)) {
      const bytes = encoder.encode(line);
      if (line.startsWith('{"timestamp"')) {
        for (const client of clients) client.write(bytes).catch(() => clients.delete(client));
      } else asker?.write(bytes).catch(() => {});
    }
  }
}

async function hear(client: Deno.Conn): Promise<void> {
  const buffer = new Uint8Array(4096);
  try {
    await client.write(GREETING);
    for (;;) {
      const length = await client.read(buffer);
      if (length === null) break;
      const command = buffer.slice(0, length);
      if (clients.has(client)) {
        asker = client;
        await qemu.write(command);
      } else {
        clients.add(client);
        await client.write(DONE);
      }
    }
  } catch { /* The client is gone. */ }
  clients.delete(client);
  client.close();
}

void hearQemu();
const listener = Deno.listen({ transport: "unix", path: from });
console.log("listening");
for await (const client of listener) void hear(client);
