/**
 * The smallest program that greets: what starting a compiled Deno costs, whatever it does.
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
