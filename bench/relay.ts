/**
 * A bare byte relay: the cost of any hop through Deno.
 *
 * It makes one connection to `TO` for each client of `FROM`, and copies the bytes.
 *
 *   deno run -A bench/relay.ts FROM TO
 *
 * @module
 */

const [from, to] = Deno.args;
if (from === undefined || to === undefined) throw new Error("Usage: relay.ts FROM TO");

async function pump(source: Deno.Conn, sink: Deno.Conn): Promise<void> {
  const buffer = new Uint8Array(65536);
  try {
    for (;;) {
      const length = await source.read(buffer);
      if (length === null) break;
      for (let sent = 0; sent < length;) sent += await sink.write(buffer.subarray(sent, length));
    }
  } catch { /* One of the two is gone. */ }
  try {
    sink.close();
  } catch { /* The other way has closed it. */ }
}

const listener = Deno.listen({ transport: "unix", path: from });
console.log("listening");
for await (const client of listener) {
  const server = await Deno.connect({ transport: "unix", path: to });
  void pump(client, server);
  void pump(server, client);
}
