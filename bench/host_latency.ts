/**
 * The time of a command of one VM's client, by what the other VMs do.
 *
 * The turns are a client's `query-status` at an instance of its own, and in one process with
 * many VMs: beside idle ones, beside busy ones, and beside a flood at another VM. Busy VMs share the
 * processors however they are served. So the same load on instances of their own has a turn too, and the
 * same load on their QEMUs, without any qmpmux.
 *
 * @module
 */

import type { Host, Program } from "./host.ts";
import { inTurns, median, type Report, row } from "./measure.ts";
import { qmpload, startLoad } from "./programs.ts";

const STATUS = '{"execute":"query-status"}';
/** A command that QEMU runs every time: it is not in the list of cached queries. */
const EVERY_TIME = '{"execute":"query-rx-filter"}';
/** The commands of the measured client in one turn. */
const COMMANDS = 300;
/**
 * The turns of each kind in a round. Short turns that alternate have the same of what else runs on
 * the machine. A round's figures are the medians of its turns.
 */
const TURNS = 9;
/** The VMs that are busy. */
const BUSY = 20;
/**
 * The commands a second of the client of each busy VM. All of them together then keep QEMU and
 * qmpmux busy for half of a processor. Without a bound they would take both processors of a
 * small machine, however they are served.
 */
const HERTZ = 100;
/** The VM whose client is measured; those after it are busy. */
const MEASURED = 1;

interface Times {
  readonly p50: number;
  readonly p99: number;
  /** The replies a second of the busy clients. */
  readonly busy?: number;
}

/** Adds the rows of one program. */
export async function measureLatency(
  report: Report,
  host: Host,
  program: Program,
  rounds: number,
): Promise<void> {
  await using running = new AsyncDisposableStack();
  const all = await host.serveAll(program);
  running.use(all.running);
  const busyVms = Array.from({ length: BUSY }, (_, i) => MEASURED + 1 + i);
  const own = new Map<number, string>();
  for (const vm of [MEASURED, ...busyVms]) {
    const served = await host.serveOwn(program, vm);
    running.use(served.running);
    own.set(vm, served.socket(vm));
  }
  const ways = {
    all: (vm: number) => all.socket(vm),
    own: (vm: number) => own.get(vm)!,
    direct: (vm: number) => host.direct(vm),
  };
  const alone = (way: keyof typeof ways) => () => measure(ways[way](MEASURED));
  const busy = (way: keyof typeof ways) => () => besideBusy(busyVms.map(ways[way]), alone(way));
  const flood = (way: keyof typeof ways) => () => besideFlood(ways[way](busyVms[0]!), alone(way));
  const turns = {
    alone: alone("own"),
    idle: alone("all"),
    busy: busy("all"),
    busyOwn: busy("own"),
    busyDirect: () => besideBusy(busyVms.map(ways.direct), alone("own")),
    flood: flood("all"),
    floodOwn: flood("own"),
  };
  const times: Record<string, Times[]> = {};
  for (let round = 0; round < rounds; round++) {
    for (const [turn, all] of Object.entries(await inTurns<Times>(TURNS, turns))) {
      (times[turn] ??= []).push(typical(all));
    }
  }
  addRows(report, host, program, times);
}

/** Returns the medians of some turns. */
function typical(all: readonly Times[]): Times {
  const of = (part: keyof Times): number => median(all.map((each) => each[part] ?? NaN));
  return { p50: of("p50"), p99: of("p99"), busy: of("busy") };
}

async function measure(path: string): Promise<Times> {
  const { p50, p99 } = await qmpload(["lat", path, String(COMMANDS), STATUS]);
  return { p50: p50!, p99: p99! };
}

/** Measures while a client at each of some sockets sends commands one at a time. */
async function besideBusy(paths: readonly string[], run: () => Promise<Times>): Promise<Times> {
  await using load = await startLoad(["pace", String(HERTZ), STATUS, ...paths]);
  const times = await run();
  return { ...times, busy: (await load.finish())["replies/s"]! };
}

/** Measures while a client has 10,000 queries waiting at another VM. */
async function besideFlood(path: string, run: () => Promise<Times>): Promise<Times> {
  await using _flood = await startLoad(["thr", path, "1", "10000", "600", EVERY_TIME]);
  return await run();
}

function addRows(
  { rows }: Report,
  { vms }: Host,
  { name }: Program,
  times: Readonly<Record<string, readonly Times[]>>,
): void {
  const ALONE = "an instance alone";
  const of = (turn: string, part: keyof Times): number[] => times[turn]!.map((each) => each[part]!);
  const add = (work: string, part: "p50" | "p99", turn: string, goal: number, other?: string) => {
    const figures = {
      qmpmux: of(turn, part),
      [ALONE]: of("alone", part),
      ...(other === undefined ? {} : { [other]: of(`${turn}Own`, part) }),
    };
    const goals = [{ against: ALONE, better: "less", goal } as const];
    const others = other === undefined ? [] : [{ against: other, better: "less" } as const];
    const text = `query-status beside ${work}, ${part}, ${name}`;
    rows.push(row("hosts", text, "us", figures, [...goals, ...others]));
  };
  const busy = `${BUSY} busy VMs`;
  for (const part of ["p50", "p99"] as const) add(`${vms - 1} idle VMs`, part, "idle", 1.1);
  for (const part of ["p50", "p99"] as const) {
    add(busy, part, "busy", 2, `an instance beside ${BUSY} busy ones`);
  }
  add("a flood of 10,000 at another VM", "p99", "flood", 3, "an instance beside a flooded one");
  for (const part of ["p50", "p99"] as const) {
    const work =
      `query-status of an instance beside ${BUSY} busy QEMUs without qmpmux, ${part}, ${name}`;
    const figures = { qmpmux: of("busyDirect", part), [ALONE]: of("alone", part) };
    rows.push(row("hosts", work, "us", figures, [{ against: ALONE, better: "less" }]));
  }
  const rates = {
    qmpmux: of("busy", "busy"),
    instances: of("busyOwn", "busy"),
    "without qmpmux": of("busyDirect", "busy"),
  };
  rows.push(row("hosts", `load of ${busy}, ${name}`, "replies/s", rates));
}
