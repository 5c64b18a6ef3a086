/**
 * `deno task bench [NAME…]`: runs the benches, prints ratios, writes results.json.
 *
 * Without names it runs all of them. With names it replaces their rows and keeps the rest of
 * the file.
 *
 * @module
 */

import { measureBystanders } from "./bystanders.ts";
import { measureClient } from "./client.ts";
import { measureDescriptors } from "./descriptors.ts";
import { measureEndToEnd } from "./end_to_end.ts";
import { measureEventLog } from "./event_log.ts";
import { measureFanOut } from "./fan_out.ts";
import { measureHosts } from "./hosts.ts";
import { print, type Report, RESULTS, thisMachine } from "./measure.ts";
import { measureSchedule } from "./schedule.ts";
import { measureShell } from "./shell.ts";
import { measureTap } from "./tap.ts";
import { measureWire } from "./wire.ts";

const BENCHES: Readonly<Record<string, (report: Report) => void | Promise<void>>> = {
  wire: measureWire,
  schedule: measureSchedule,
  fan_out: measureFanOut,
  event_log: measureEventLog,
  end_to_end: measureEndToEnd,
  descriptors: measureDescriptors,
  bystanders: measureBystanders,
  hosts: measureHosts,
  client: measureClient,
  tap: measureTap,
  shell: measureShell,
};

function formerRows(names: readonly string[]): Pick<Report, "rows" | "scales" | "weights"> {
  const { rows, scales, weights } = names.length > 0 && exists(RESULTS)
    ? JSON.parse(Deno.readTextFileSync(RESULTS)) as Report
    : { rows: [], scales: [], weights: [] };
  return {
    rows: rows.filter(({ bench }) => !names.includes(bench)),
    scales: names.includes("end_to_end") ? [] : scales,
    weights: names.includes("hosts") ? [] : weights,
  };
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

const names = Deno.args.filter((name) => name !== "--");
const unknown = names.filter((name) => !Object.hasOwn(BENCHES, name));
if (unknown.length > 0) {
  console.error(`No bench ${unknown.join(", ")}; there are ${Object.keys(BENCHES).join(", ")}`);
  Deno.exit(64);
}
const report: Report = { machine: await thisMachine(), ...formerRows(names) };
for (const [name, measure] of Object.entries(BENCHES)) {
  if (names.length > 0 && !names.includes(name)) continue;
  console.error(`${name} …`);
  await measure(report);
}
print(report);
Deno.writeTextFileSync(RESULTS, `${JSON.stringify(report, undefined, 2)}\n`);
