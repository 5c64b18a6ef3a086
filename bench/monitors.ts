/**
 * The monitors that QEMU 11.1 and later can make while it runs, each with an idle client, against
 * another such QEMU with one monitor, with qmpmux and as many idle clients.
 *
 * @module
 */

import { TestClient } from "../tests/support/client.ts";
import { listens, makePlace } from "../tests/support/place.ts";
import { startQmpmux } from "../tests/support/qmpmux.ts";
import { inTurns, type Report, row } from "./measure.ts";
import { muxArguments, qmpload, start } from "./programs.ts";

const QEMU = new URL("../.cache/qemu/11.1/run-qemu", import.meta.url).pathname;
const STATUS = '{"execute":"query-status"}';
/** The commands in one turn: QEMU looks at the sockets of all its monitors for each byte of one. */
const COMMANDS = 400;

/** Adds the rows of QEMU's own monitors. */
export async function measureMonitors({ rows }: Report, rounds: number): Promise<void> {
  try {
    Deno.statSync(QEMU);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    console.error(`Not measured: monitors of QEMU 11.1. tools/newer_qemu makes ${QEMU}`);
    return;
  }
  using place = makePlace();
  const at = (name: string): string => `${place.path}/${name}`;
  await using _many = await startNewQemu(at("admin"), at("used"));
  await using _one = await startNewQemu(at("qmpmux"));
  await using mux = await startQmpmux(muxArguments(at("qmpmux"), at("mux")));
  await mux.log.until(/connected to QEMU/);
  using admin = await TestClient.ready(at("admin"));
  using idle = new DisposableStack();
  const p50 = (path: string) => async () =>
    (await qmpload(["lat", path, String(COMMANDS), STATUS])).p50!;
  let made = 0;
  for (const count of [0, 10, 100, 1000]) {
    for (; made < count; made++) {
      await addMonitor(admin, made, at(`m${made}`));
      idle.use(await TestClient.ready(at(`m${made}`)));
      idle.use(await TestClient.ready(at("mux")));
    }
    const figures = await inTurns(rounds, { qmpmux: p50(at("mux")), monitors: p50(at("used")) });
    const work = `query-status beside ${count} idle clients, each with a monitor of QEMU 11.1, p50`;
    rows.push(row("hosts", work, "us", figures, [{ against: "monitors", better: "less" }]));
  }
}

/** Starts QEMU 11.1 with some monitors. */
async function startNewQemu(...paths: string[]): Promise<AsyncDisposable> {
  const monitors = paths.flatMap((path) => ["-qmp", `unix:${path},server=on,wait=off`]);
  const machine = "-machine none -nodefaults -display none -S".split(" ");
  const qemu = await start(QEMU, [...machine, ...monitors], paths[0]);
  for (const path of paths) await listens(path);
  return qemu;
}

/** Adds a monitor to a running QEMU. */
async function addMonitor(admin: TestClient, number: number, path: string): Promise<void> {
  const addr = { type: "unix", data: { path } };
  const backend = { type: "socket", data: { addr, server: true, wait: false } };
  const [chardev, id] = [`c${number}`, `m${number}`];
  for (
    const command of [
      { execute: "chardev-add", arguments: { id: chardev, backend } },
      { execute: "object-add", arguments: { "qom-type": "monitor-qmp", id, chardev } },
    ]
  ) {
    const reply = await admin.ask(command);
    if (!reply.startsWith('{"return"')) throw new Error(`${command.execute}: ${reply}`);
  }
}
