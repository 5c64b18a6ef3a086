/**
 * The smallest program that sends a greeting: the cost of starting any compiled Deno program.
 *
 *   hello PATH
 *
 * @module
 */

const listener = Deno.listen({ transport: "unix", path: Deno.args[0]! });
const client = await listener.accept();
await client.write(new TextEncoder().encode('{"QMP": {}}\r\n'));
await client.read(new Uint8Array(1));
Deno.exit(0);
