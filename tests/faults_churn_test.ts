/**
 * Thousands of clients that connect and disconnect, in nine ways.
 *
 * They leave nothing behind: no descriptor, no memory that grows with their number, and no command
 * at QEMU.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { TestClient } from "./support/client.ts";
import { LONG, makeScene, note, NOTES, stands, until } from "./support/fault.ts";
import { WITHOUT_QEMU } from "./support/qemu.ts";
import { descriptorsOf, memoryOf } from "./support/process.ts";

const CONNECTIONS = LONG ? 40_000 : 20_000;
/**
 * The number of clients after which memory is measured, in each round. V8 collects the garbage of
 * the first 10,000 late: until then each client seems to keep 5 KiB.
 */
const ROUND = 4000;
const AT_A_TIME = 8;
const MIB = 1 << 20;
/**
 * The growth in the round with the least growth. Uncollected garbage and one-time allocations make
 * some rounds grow more. If each client leaked 4 KiB, every round would exceed it.
 */
const GROWTH = 4096 * ROUND;

const NEGOTIATION = '{"execute":"qmp_capabilities"}';

/**
 * The bytes that a client sends, the number that it then reads, and whether it ends its stream
 * before it closes.
 */
const WAYS: readonly { readonly says: string; readonly reads: number; readonly ends?: boolean }[] =
  [
    { says: "", reads: 0 },
    { says: "", reads: 1 },
    { says: '{"execute":"qmp_cap', reads: 100 },
    { says: NEGOTIATION, reads: 150 },
    { says: NEGOTIATION + note("x") + '{"exec', reads: 0 },
    { says: NEGOTIATION + '{"execute":"query-commands"}', reads: 300, ends: true },
    { says: NEGOTIATION + '{"execute":"query-rx-filter"}'.repeat(5), reads: 0, ends: true },
    { says: '{"execute":"qmp_capabilities","arguments":{"enable":["oob"]}}' + note("x"), reads: 0 },
    { says: "\xff}]", reads: 120 },
  ];

async function comeAndGo(path: string, way: typeof WAYS[number]): Promise<void> {
  using socket = await Deno.connect({ transport: "unix", path });
  if (way.says) await socket.write(new TextEncoder().encode(way.says));
  for (let left = way.reads; left > 0;) {
    const length = await socket.read(new Uint8Array(left));
    if (length === null) break;
    left -= length;
  }
  if (way.ends) await socket.closeWrite();
}

Deno.test({
  name: `${CONNECTIONS} clients connect and disconnect: descriptors and memory are as before`,
  ignore: WITHOUT_QEMU,
  async fn(): Promise<void> {
    await using scene = await makeScene();
    using witness = await TestClient.ready(scene.path);
    const { pid } = scene.mux;
    let count = 0;
    const comers = async (limit: number): Promise<void> => {
      while (count < limit) await comeAndGo(scene.path, WAYS[count++ % WAYS.length]!);
    };
    const rest = async (): Promise<void> => {
      await stands(scene.mux, { clients: 1, inFlight: 0, waiting: 0, sessions: 1 });
      assert((await witness.ask(NOTES)).startsWith('{"return": "'));
    };
    const descriptors = descriptorsOf(pid);
    const run = async (limit: number): Promise<number> => {
      await Promise.all(Array.from({ length: AT_A_TIME }, () => comers(limit)));
      await rest();
      return memoryOf(pid);
    };
    const memory: number[] = [];
    while (count < CONNECTIONS) memory.push(await run(count + ROUND));
    const growth = Math.min(...memory.slice(1).map((after, i) => after - memory[i]!));
    await until("descriptors to be closed", () => descriptorsOf(pid) <= descriptors);
    if (LONG) {
      console.log(
        `${CONNECTIONS} clients: descriptors ${descriptors} -> ${descriptorsOf(pid)}, ` +
          `memory after each ${ROUND} (MiB): ` +
          memory.map((bytes) => (bytes / MIB).toFixed(1)).join(", "),
      );
    }
    assert(growth < GROWTH, `qmpmux grows by ${growth} bytes in ${ROUND} clients`);
    assertEquals(await witness.ask('{"execute":"query-rx-filter"}'), '{"return": []}');
  },
});
