/**
 * The cost of a flood for other clients.
 *
 * A bystander sends one command after the other, alone and beside each flood in turn; each
 * ratio is the median over rounds. Separate processes generate the load.
 *
 *   QMPMUX_BENCH_ROUNDS=9 deno task bench bystanders
 *
 * @module
 */

import { makePlace } from "../tests/support/place.ts";
import { startQemu } from "../tests/support/qemu.ts";
import { startQmpmux } from "../tests/support/qmpmux.ts";
import { Lines } from "../tests/support/lines.ts";
import { FLOODS } from "./flooder.ts";
import { inTurns, type Report, row } from "./measure.ts";
import { qmpload } from "./programs.ts";

const ROUNDS = Number(Deno.env.get("QMPMUX_BENCH_ROUNDS") ?? 7);
const COMMANDS = 600;

/** A command that QEMU runs every time: it is not in the list of cached queries. */
const COMMAND = '{"execute":"query-rx-filter"}';

/** Measures a bystander's 99th percentile in microseconds. */
async function bystander(path: string): Promise<number> {
  const { p99 } = await qmpload(["lat", path, String(COMMANDS), COMMAND]);
  return p99!;
}

/** Runs something during a flood. */
async function beside(kind: string, path: string, run: () => Promise<number>): Promise<number> {
  const flooder = new URL("./flooder.ts", import.meta.url).pathname;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-config", "-A", flooder, kind, path],
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const lines = new Lines(child.stdout);
  try {
    await lines.until(/^ready$/);
    return await run();
  } finally {
    child.kill("SIGKILL");
    await child.status;
    await lines.rest();
  }
}

/** Adds the rows of this bench. */
export async function measureBystanders({ rows }: Report): Promise<void> {
  for (const kind of Object.keys(FLOODS)) {
    using place = makePlace();
    const at = (name: string): string => `${place.path}/${name}`;
    await using qemu = await startQemu(at("vm"));
    await using mux = await startQmpmux([
      ...["--qemu", qemu.path, "--listen", at("mux")],
      ...["--listen", `${at("watch")},role=observer`],
    ]);
    await mux.log.until(/connected to QEMU/);
    await bystander(at("mux"));
    const isObserver = /observer|refused/.test(kind);
    const figures = await inTurns(ROUNDS, {
      alone: () => bystander(at("mux")),
      qmpmux: () => beside(kind, isObserver ? at("watch") : at("mux"), () => bystander(at("mux"))),
    });
    const goal = { against: "alone", goal: 3, better: "less" } as const;
    rows.push(row("bystanders", `p99 beside a flood of ${kind}`, "us", figures, [goal]));
  }
}
