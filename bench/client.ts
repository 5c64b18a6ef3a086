/**
 * The client library beside bare sockets of the same runtime, and beside QEMU's Python client.
 *
 * @module
 */

import { getPython, getRuntimes } from "../tests/interop/setup.ts";
import { makePlace } from "../tests/support/place.ts";
import { startQemu } from "../tests/support/qemu.ts";
import { inTurns, output, type Report, row } from "./measure.ts";

const HERE = new URL("./", import.meta.url).pathname;
const ROUNDS = Number(Deno.env.get("QMPMUX_BENCH_ROUNDS") ?? 7);
/** The commands of each turn. */
const COUNT = 4000;
/** The most times that the library may take as long as bare sockets. */
const GOAL = 1.3;

/** Adds the rows of this bench. */
export async function measureClient({ rows }: Report): Promise<void> {
  using place = makePlace();
  const at = (name: string): string => `${place.path}/${name}`;
  const extra = ["bare", "python"].flatMap((name) => [
    "-qmp",
    `unix:${at(name)},server=on,wait=off`,
  ]);
  await using _qemu = await startQemu(at("library"), extra);
  const { node22, node, bun } = await getRuntimes();
  const runtimes: Readonly<Record<string, readonly [string, ...string[]]>> = {
    Deno: [Deno.execPath(), "run", "--no-config", "--no-check", "--allow-all"],
    "Node 22": [node22, "--no-warnings"],
    "the newest Node": [node],
    Bun: [bun, "run"],
  };
  const env = `PYTHONPATH=${await getPython()}`;
  const python = async (): Promise<number> => {
    const args = [env, "python3", `${HERE}client_caller.py`, at("python"), String(COUNT)];
    return Number(await output("env", args));
  };
  for (const [name, [program, ...args]] of Object.entries(runtimes)) {
    const call = (way: string) => async (): Promise<number> => {
      const script = [`${HERE}client_caller.ts`, way, at(way), String(COUNT)];
      return Number(await output(program, [...args, ...script]));
    };
    const turns = { qmpmux: call("library"), bare: call("bare"), "qemu.qmp": python };
    rows.push(
      row("client", `execute on ${name}, query-status, p50`, "us", await inTurns(ROUNDS, turns), [
        { against: "bare", better: "less", goal: GOAL },
        { against: "qemu.qmp", better: "less" },
      ]),
    );
  }
}
