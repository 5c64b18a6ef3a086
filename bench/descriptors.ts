/**
 * The cost of peer credentials and of passing descriptors.
 *
 * It puts the same load on a listener of each kind: of a qmpmux that makes no foreign calls,
 * and of one that does, whose plain listener must be as fast.
 *
 * @module
 */

import { PassingClient } from "../tests/support/passing.ts";
import { makePlace } from "../tests/support/place.ts";
import { startQemu } from "../tests/support/qemu.ts";
import { startQmpmux } from "../tests/support/qmpmux.ts";
import { inTurns, type Report, row } from "./measure.ts";
import { qmpload, weigh } from "./programs.ts";

const ROUNDS = Number(Deno.env.get("QMPMUX_BENCH_ROUNDS") ?? 7);
const STATUS = '{"execute":"query-status"}';
const PASSES = 200;

/** Adds the rows of this bench. */
export async function measureDescriptors(report: Report): Promise<void> {
  using place = makePlace();
  await using qemu = await startQemu(`${place.path}/qmp`, [
    "-qmp",
    `unix:${place.path}/direct,server=on,wait=off`,
    "-qmp",
    `unix:${place.path}/other,server=on,wait=off`,
  ]);
  const at = (name: string): string => `${place.path}/${name}`;
  await using without = await startQmpmux([
    "--qemu",
    `unix:${at("other")}`,
    "--listen",
    `unix:${at("without")}`,
  ]);
  await using ffi = await startQmpmux([
    "--qemu",
    `unix:${qemu.path}`,
    ...["plain", "identity,identity=on", "fds,fds=on"].flatMap((each) => [
      "--listen",
      `unix:${at(each)}`,
    ]),
  ]);
  const weights = [weigh(without.pid).anonymous, weigh(ffi.pid).anonymous];
  const bench = "descriptors";
  const rows = report.rows;

  const trip = (name: string) => async () => (await qmpload(["lat", at(name), "800", STATUS])).p50!;
  const trips = {
    direct: trip("direct"),
    without: trip("without"),
    plain: trip("plain"),
    identity: trip("identity"),
    qmpmux: trip("fds"),
  };
  rows.push(row(bench, "query-status, one client, p50", "us", await inTurns(ROUNDS, trips), [
    { against: "direct", better: "less" },
    { against: "without", better: "less" },
    { against: "plain", better: "less" },
  ]));

  const many = (name: string) => async () =>
    (await qmpload(["thr", at(name), "16", "1", "1", STATUS]))["replies/s"]!;
  const flows = {
    without: many("without"),
    plain: many("plain"),
    identity: many("identity"),
    qmpmux: many("fds"),
  };
  rows.push(row(bench, "query-status, 16 clients", "replies/s", await inTurns(ROUNDS, flows), [
    { against: "without", better: "more" },
    { against: "plain", better: "more" },
  ]));

  const passes = { direct: () => pass(at("direct")), qmpmux: () => pass(at("fds")) };
  rows.push(row(bench, "a descriptor: getfd and closefd", "us", await inTurns(ROUNDS, passes), [
    { against: "direct", better: "less" },
  ]));

  const MiB = { without: [weights[0]! / 2 ** 20], qmpmux: [weights[1]! / 2 ** 20] };
  rows.push(row(bench, "memory of its own at the start", "MiB", MiB, [
    { against: "without", better: "less" },
  ]));
}

/** Measures the microseconds to pass a descriptor and to close it. */
async function pass(path: string): Promise<number> {
  using client = await PassingClient.ready(path);
  const began = performance.now();
  for (let i = 0; i < PASSES; i++) {
    await client.getfd("bench");
    await client.closefd("bench");
  }
  return (performance.now() - began) * 1000 / PASSES;
}
