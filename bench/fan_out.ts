/**
 * The delivery of one event to many clients, in the core and over sockets.
 *
 * Over sockets a real QEMU sends the event, and the time until the last client has it is
 * compared with that of a bare loop that writes the same bytes to as many sockets.
 *
 * @module
 */

import { makePlace } from "../tests/support/place.ts";
import { startQemu } from "../tests/support/qemu.ts";
import { startQmpmux } from "../tests/support/qmpmux.ts";
import { BenchHub } from "./hub.ts";
import { inTurns, type Report, row, timed } from "./measure.ts";
import { muxArguments, qmpload, startScript } from "./programs.ts";

const COUNTS = [10, 100, 1000];
const ROUNDS = 7;
const EVENT = '{"timestamp": {"seconds": 1795311257, "microseconds": 423160}, "event": "STOP"}\r\n';

/** Adds the rows of this bench. */
export async function measureFanOut(report: Report): Promise<void> {
  const hub = new BenchHub();
  for (let i = 0; i < 1000; i++) hub.client();
  const event = new TextEncoder().encode(EVENT);
  report.rows.push({
    bench: "fan_out",
    work: "an event to 1,000 monitors, without sockets",
    unit: "us",
    values: { qmpmux: timed(() => hub.hears(event)) / 1000 },
    ratios: [],
  });
  await overSockets(report);
}

async function overSockets({ rows }: Report): Promise<void> {
  using place = makePlace();
  const at = (name: string): string => `${place.path}/${name}`;
  await using _qemu = await startQemu(at("a"), ["-qmp", `unix:${at("b")},server=on,wait=off`]);
  await using _mux = await startQmpmux(muxArguments(at("a"), at("mux")));
  await using _bare = await startScript("bare_fan.ts", [at("bare"), at("b")]);
  const fan = async (path: string, clients: number): Promise<number> =>
    (await qmpload(["fan", at(path), String(clients), "40"])).p50!;
  const us: number[] = [];
  for (const clients of COUNTS) {
    const figures = await inTurns(ROUNDS, {
      qmpmux: () => fan("mux", clients),
      "bare loop": () => fan("bare", clients),
    });
    const goals = [{ against: "bare loop", better: "less", goal: 1.3 } as const];
    const measured = row("fan_out", `an event to ${clients} clients`, "us", figures, goals);
    rows.push(measured);
    us.push(measured.values["qmpmux"]!);
  }
  const growth = us.at(-1)! / us[0]!;
  rows.push({
    bench: "fan_out",
    work: "growth from 10 to 1,000 clients",
    unit: "times",
    values: { qmpmux: growth, linear: 100 },
    ratios: [{ against: "linear", value: growth / 100, goal: 1, better: "less" }],
  });
}
