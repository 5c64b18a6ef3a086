/**
 * A QEMU 11.1 with many monitors, each with an idle client, against another with one monitor, with
 * qmpmux and as many idle clients.
 *
 * QEMU 11.1 can make monitors while it runs. These are the same objects, made at its start: a QEMU
 * with hundreds of monitors takes seconds for the commands that make one more.
 *
 * @module
 */

import { TestClient } from "../tests/support/client.ts";
import { listens, makePlace } from "../tests/support/place.ts";
import { startQmpmux } from "../tests/support/qmpmux.ts";
import { inTurns, type Report, row } from "./measure.ts";
import { muxArguments, qmpload, type Running, start } from "./programs.ts";

const QEMU = new URL("../.cache/qemu/11.1/run-qemu", import.meta.url).pathname;
const MACHINE = "-machine none -nodefaults -display none -S".split(" ");
const STATUS = '{"execute":"query-status"}';
/**
 * The numbers of idle clients, and the commands of one turn. QEMU looks at the sockets of all its
 * monitors for each byte of a command, so that a command takes a fifth of a second with 1,000.
 */
const TURNS = [[0, 400], [10, 400], [100, 400], [1000, 20]] as const;

/** Adds the rows of QEMU's own monitors. */
export async function measureMonitors({ rows }: Report, rounds: number): Promise<void> {
  try {
    Deno.statSync(QEMU);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    console.error(`Not measured: monitors of QEMU 11.1. tools/newer_qemu makes ${QEMU}`);
    return;
  }
  for (const [count, commands] of TURNS) {
    using place = makePlace();
    const at = (name: string): string => `${place.path}/${name}`;
    await using _many = await startWithMonitors(at("used"), count);
    await using _one = await startWithMonitors(at("one"), 0);
    await using mux = await startQmpmux(muxArguments(at("one"), at("mux")));
    await mux.log.until(/connected to QEMU/);
    using idle = new DisposableStack();
    for (let i = 0; i < count; i++) {
      for (const path of [monitor(at("used"), i), at("mux")]) {
        await idle.use(await TestClient.connect(path)).line();
      }
    }
    const p50 = (path: string) => async () =>
      (await qmpload(["lat", path, String(commands), STATUS])).p50!;
    const figures = await inTurns(rounds, { qmpmux: p50(at("mux")), monitors: p50(at("used")) });
    const work = `query-status of QEMU 11.1 beside ${count} idle clients, p50`;
    rows.push(row("hosts", work, "us", figures, [{ against: "monitors", better: "less" }]));
  }
}

function monitor(path: string, number: number): string {
  return `${path}-${number}`;
}

/** Starts QEMU 11.1 with a monitor at a path, and further ones. */
async function startWithMonitors(path: string, count: number): Promise<Running> {
  const args = [...MACHINE, "-qmp", `unix:${path},server=on,wait=off`];
  for (let i = 0; i < count; i++) {
    const socket = `socket,id=c${i},path=${monitor(path, i)},server=on,wait=off`;
    args.push("-chardev", socket, "-object", `monitor-qmp,id=m${i},chardev=c${i}`);
  }
  const qemu = await start(QEMU, args, path);
  await using failing = new AsyncDisposableStack();
  failing.use(qemu);
  await listens(path);
  if (count > 0) await listens(monitor(path, count - 1));
  failing.move();
  return qemu;
}
