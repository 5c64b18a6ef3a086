/**
 * Many VMs in one process, against an instance for each VM.
 *
 * A host has up to 40 real QEMUs, and fake ones beyond. Each figure is measured twice: from source,
 * with the flags of the task `qmpmux`, and compiled, if there is `dist/qmpmux` or a program that
 * `QMPMUX_BENCH_BINARY` names.
 *
 *   QMPMUX_BENCH_ROUNDS=9 deno task bench hosts
 *
 * @module
 */

import { TestClient } from "../tests/support/client.ts";
import { makePlace } from "../tests/support/place.ts";
import { Host, type Program, programs } from "./host.ts";
import { measureLatency } from "./host_latency.ts";
import { median, type Report, type Row, row } from "./measure.ts";
import { measureMonitors } from "./monitors.ts";
import { activity, pss } from "./process.ts";
import { weigh } from "./programs.ts";

const ROUNDS = Number(Deno.env.get("QMPMUX_BENCH_ROUNDS") ?? 7);
/** The processes that are started for one figure of memory. */
const STARTS = 3;
const REAL = 40;
const VMS = 200;
const INSTANCES = [10, REAL];
/** The time until a process that has started is idle. */
const SETTLE_MS = 5000;
const IDLE_SECONDS = 60;
const IDLE_CLIENTS = 20;

/** Adds the rows of this bench, those of the programs next to each other. */
export async function measureHosts(report: Report): Promise<void> {
  const rows: Row[] = [];
  await measureAll({ ...report, rows });
  const byWork = Object.groupBy(rows, ({ work }) => work.replace(/, (source|compiled)$/, ""));
  report.rows.push(...Object.values(byWork).flatMap((group) => group ?? []));
}

async function measureAll(report: Report): Promise<void> {
  using place = makePlace();
  const all = programs(place.path);
  for (const vms of [1, REAL, VMS, 1000]) {
    await using host = await Host.create(vms, REAL);
    for (const program of all) await weighOne(report, host, program);
  }
  perVm(report, all);
  {
    await using host = await Host.create(REAL, REAL);
    for (const program of all) await weighInstances(report, host, program);
  }
  await using host = await Host.create(VMS, REAL);
  for (const program of all) await startAll(report, host, program);
  for (const program of all) await rest(report, host, program);
  for (const program of all) await measureLatency(report, host, program, ROUNDS);
  await measureMonitors(report, ROUNDS);
}

/** Adds a row whose goal is a figure, not another program. */
function addRow(
  { rows }: Report,
  work: string,
  unit: string,
  qmpmux: readonly number[],
  goal?: number,
): void {
  if (goal === undefined) return void rows.push(row("hosts", work, unit, { qmpmux }));
  const goals = [{ against: "goal", better: "less", goal: 1 } as const];
  rows.push(row("hosts", work, unit, { qmpmux, goal: qmpmux.map(() => goal) }, goals));
}

function settle(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
}

/** Weighs one process that serves every VM of a host. */
async function weighOne(report: Report, host: Host, program: Program): Promise<void> {
  const { vms } = host;
  const weights: number[] = [];
  for (let i = 0; i < STARTS; i++) {
    const served = await host.serveAll(program);
    await using _ = served.running;
    await settle();
    weights.push(pss(served.running.pid));
  }
  const work = `PSS of one process, ${vms} VMs, ${program.name}`;
  addRow(report, work, "MB", weights, vms === VMS ? 75 + 0.4 * VMS : undefined);
  addWeight(report, "one process", program, vms, median(weights));
  if (vms === 1) addWeight(report, "instances", program, vms, median(weights));
}

function addWeight(
  report: Report,
  what: string,
  { name }: Program,
  vms: number,
  pss: number,
): void {
  report.weights.push({ date: report.machine.date, who: `${what}, ${name}`, vms, pss });
}

/** Adds the memory of each further VM. */
function perVm(report: Report, all: readonly Program[]): void {
  for (const [from, to] of [[1, VMS], [VMS, 1000]] as const) {
    for (const program of all) {
      const of = (vms: number): number =>
        report.weights.find((each) => each.vms === vms && each.who.endsWith(program.name))!.pss;
      const each = (of(to) - of(from)) / (to - from);
      addRow(report, `PSS of each VM from ${from} to ${to}, ${program.name}`, "MB", [each], 0.4);
    }
  }
}

/** Weighs an instance for each VM. */
async function weighInstances(report: Report, host: Host, program: Program): Promise<void> {
  await using running = new AsyncDisposableStack();
  const pids: number[] = [];
  for (const count of INSTANCES) {
    while (pids.length < count) {
      const served = running.use((await host.serveOwn(program, pids.length + 1)).running);
      pids.push(served.pid);
    }
    await settle();
    const sum = pids.reduce((sum, pid) => sum + pss(pid), 0);
    const work = `PSS of each of ${count} instances, ${program.name}`;
    addRow(report, work, "MB", [sum / count]);
    addWeight(report, "instances", program, count, sum);
  }
}

async function startAll(report: Report, host: Host, program: Program): Promise<void> {
  const times: number[] = [];
  const processor: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const served = await host.serveAll(program);
    await using _ = served.running;
    times.push(served.milliseconds);
    processor.push(weigh(served.running.pid).cpu / 1000);
  }
  const work = `start until ${VMS} VMs are served`;
  addRow(report, `${work}, ${program.name}`, "ms", times, 3000);
  // This part does not depend on what else runs.
  addRow(report, `processor time of a ${work}, ${program.name}`, "ms", processor);
}

/** Measures what an idle process does, without clients and with some. */
async function rest(report: Report, host: Host, program: Program): Promise<void> {
  const served = await host.serveAll(program);
  await using _ = served.running;
  using clients = new DisposableStack();
  for (const count of [0, IDLE_CLIENTS]) {
    for (let vm = 1; vm <= count; vm++) clients.use(await TestClient.ready(served.socket(vm)));
    await settle();
    const { wakeUps, processor } = await activity(served.running.pid, IDLE_SECONDS);
    const what = `idle, ${VMS} VMs, ${count} clients, ${program.name}`;
    addRow(report, `wake-ups while ${what}`, "/s", [wakeUps], 5);
    addRow(report, `processor time while ${what}`, "% of one", [processor], 0.2);
  }
}
