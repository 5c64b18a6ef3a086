/**
 * Runs a load for any length of time, and judges it: replies, events, and growth.
 *
 *     deno task soak [--minutes N] [--clients N] [--rate N] [--seed S] [--qmpmux PROGRAM]
 *                    [--results FILE] [--plant FAULT]
 *
 * The results are JSON lines: the options, a sample every few seconds, the findings. With
 * --plant a fault is planted (see plant.ts), and must be found. The exit status is 1 if
 * anything is wrong.
 *
 * @module
 */

import { type LoadOptions, type LoadResult, runLoad, type Sample } from "./load.ts";
import { programCommand } from "../support/qmpmux.ts";
import { judgeGrowth, type Point, type Verdict } from "./slope.ts";

const ROOT = new URL("../../", import.meta.url).pathname;

/**
 * The figures that may not grow, over what, and by how much at most; less is noise that no run of
 * an hour could show.
 */
export const GROWTHS: Readonly<Record<string, Growth>> = {
  "memory of qmpmux": {
    unit: "bytes a command",
    threshold: 4,
    // The heap finds its size in two to three minutes, and then varies for as long (measured).
    warmUp: 180,
    least: 240,
    of: ({ commands, qmpmux }) => ({ x: commands, y: qmpmux.anonymous }),
  },
  "descriptors of qmpmux beyond its clients'": {
    unit: "a connection",
    threshold: 0.001,
    of: ({ connections, clients, qmpmux }) => ({ x: connections, y: qmpmux.descriptors - clients }),
  },
  "memory of QEMU": {
    unit: "bytes a command",
    threshold: 4,
    of: ({ commands, qemu }) => ({ x: commands, y: qemu.anonymous }),
  },
  "descriptors of QEMU": {
    unit: "a connection",
    threshold: 0.001,
    of: ({ connections, qemu }) => ({ x: connections, y: qemu.descriptors }),
  },
};

interface Growth {
  readonly unit: string;
  readonly threshold: number;
  /** The seconds at the start that do not count; a third of all does not count either. */
  readonly warmUp?: number;
  /** The seconds that must have been measured after that. */
  readonly least?: number;
  readonly of: (sample: Sample) => Point;
}

/** The first line of a results file. */
export interface Head {
  readonly kind: "run";
  readonly date: string;
  readonly options: Omit<LoadOptions, "program">;
  readonly program: string;
  readonly machine: Readonly<Record<string, string | number>>;
}

/** The last line of a results file. */
export interface Tail {
  readonly kind: "result";
  readonly wrong: readonly string[];
  readonly log: readonly string[];
  readonly counts: Readonly<Record<string, number>>;
  readonly growth: Readonly<Record<string, Verdict>>;
  /** The medians and maxima over all samples, in milliseconds. */
  readonly p50: number;
  readonly p99: number;
  readonly worst: number;
}

/**
 * Returns the figures that grow, by name; a figure that was measured for too short a time is
 * omitted.
 */
export function growthOf(samples: readonly Sample[]): Record<string, Verdict> {
  const found: Record<string, Verdict> = {};
  const end = samples.at(-1)?.seconds ?? 0;
  for (const [name, { threshold, warmUp = 0, least = 0, of }] of Object.entries(GROWTHS)) {
    if (end < warmUp + least) continue;
    const warm = samples.filter(({ seconds }) => seconds < warmUp).length;
    const verdict = judgeGrowth(samples.map(of), threshold, warm);
    if (verdict !== undefined) found[name] = verdict;
  }
  return found;
}

/**
 * Returns the program: as tests start it, or one that is named, or the source with a fault in it.
 */
export function programFor(binary?: string, fault?: string): LoadOptions["program"] {
  if (binary !== undefined) return [Deno.realPathSync(binary), []];
  if (fault === undefined) return programCommand();
  const { tasks } = JSON.parse(Deno.readTextFileSync(`${ROOT}deno.json`));
  const [, run, ...flags] = (tasks.qmpmux.command as string).split(" ").slice(0, -1);
  const plant = `--preload=file://${ROOT}tests/soak/plant.ts?${fault}`;
  return [Deno.execPath(), [run!, ...flags, plant, `${ROOT}main.ts`]];
}

async function machine(): Promise<Head["machine"]> {
  const cpuinfo = await Deno.readTextFile("/proc/cpuinfo");
  const qemu = Deno.env.get("QMPMUX_TEST_QEMU") ?? "qemu-system-x86_64";
  const { stdout } = await new Deno.Command(qemu, { args: ["--version"] }).output();
  return {
    processor: /^model name\s*:\s*(.*)$/m.exec(cpuinfo)?.[1] ?? "unknown",
    processors: navigator.hardwareConcurrency,
    kernel: Deno.osRelease(),
    deno: Deno.version.deno,
    qemu: /version (\S+)/.exec(new TextDecoder().decode(stdout))?.[1] ?? "unknown",
    load: Deno.loadavg().map((load) => load.toFixed(1)).join(" "),
  };
}

function middle(values: readonly (number | null)[]): number {
  const sorted = values.filter((value) => value !== null).sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? NaN;
}

function tailOf({ wrong, log, counts, samples }: LoadResult): Tail {
  return {
    kind: "result",
    wrong,
    log,
    counts,
    growth: growthOf(samples),
    p50: middle(samples.map(({ p50 }) => p50)),
    p99: middle(samples.map(({ p99 }) => p99)),
    worst: Math.max(...samples.map(({ p99 }) => p99 ?? 0)),
  };
}

const MIB = 1 << 20;

function tell(sample: Sample): void {
  const { seconds, commands, clients, rate, p50, p99, qmpmux, qemu, burst } = sample;
  console.log(
    `${seconds.toFixed(0).padStart(6)} s  ${commands} commands, ${rate}/s  ${clients} clients  ` +
      `p50 ${p50?.toFixed(1)} p99 ${p99?.toFixed(1)} ms${burst ? " (burst)" : ""}  ` +
      `qmpmux ${(qmpmux.anonymous / MIB).toFixed(1)} MiB ${qmpmux.descriptors} fds ` +
      `${(100 * qmpmux.processor).toFixed(0)} %  ` +
      `QEMU ${(qemu.anonymous / MIB).toFixed(1)} MiB ${(100 * qemu.processor).toFixed(0)} %`,
  );
}

/** Prints the result; returns whether everything is right. */
function conclude({ wrong, log, counts, growth, p50, p99, worst }: Tail): boolean {
  for (const line of log) console.log(`log: ${line}`);
  console.log(Object.entries(counts).map(([name, count]) => `${name} ${count}`).join(", "));
  console.log(
    `p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms (medians of the samples), ` +
      `worst p99 ${worst.toFixed(1)} ms`,
  );
  let well = wrong.length === 0;
  for (const line of wrong) console.log(`WRONG: ${line}`);
  for (const name of Object.keys(GROWTHS)) {
    const verdict = growth[name];
    if (verdict === undefined) {
      console.log(`${name}: measured for too short a time to tell whether it grows`);
      continue;
    }
    const { value, low, high, points, threshold, grows } = verdict;
    well &&= !grows;
    console.log(
      `${grows ? "GROWS: " : ""}${name}: ${value.toPrecision(3)} ${GROWTHS[name]!.unit}, ` +
        `with 99 % between ${low.toPrecision(3)} and ${high.toPrecision(3)} ` +
        `(${points} points; it grows where the lower bound exceeds ${threshold})`,
    );
  }
  console.log(well ? "all is well" : "NOT WELL");
  return well;
}

if (import.meta.main) {
  const { parseArgs } = await import("@std/cli/parse-args");
  const names = ["minutes", "clients", "rate", "seed", "qmpmux", "results", "plant"];
  const args = parseArgs(Deno.args, { string: names }) as Readonly<
    Record<string, string | undefined>
  >;
  const unknown = Object.keys(args).find((name) => name !== "_" && !names.includes(name));
  if (unknown !== undefined) {
    console.error(`No option --${unknown}; there are ${names.join(", ")}`);
    Deno.exit(64);
  }
  const minutes = Number(args.minutes ?? 10);
  const options = {
    seconds: 60 * minutes,
    clients: Number(args.clients ?? 1000),
    rate: Number(args.rate ?? 2000),
    seed: args.seed === undefined
      ? crypto.getRandomValues(new Uint32Array(1))[0]! >>> 1
      : Number(args.seed),
    burst: 20,
    // A few hundred samples for a short run, at most a few thousand for hours.
    sample: Math.max(1, Math.min(10, minutes / 5)),
  };
  const results = args.results ?? `${ROOT}.cache/soak.jsonl`;
  const program = programFor(args.qmpmux, args.plant);
  const head: Head = {
    kind: "run",
    date: new Date().toISOString().slice(0, 16) + "Z",
    options,
    program: args.qmpmux ?? "as tests start it",
    machine: await machine(),
  };
  Deno.mkdirSync(results.replace(/[^/]*$/, "") || ".", { recursive: true });
  using file = Deno.openSync(results, { write: true, create: true, truncate: true });
  const write = (line: unknown): void => {
    let bytes = new TextEncoder().encode(`${JSON.stringify(line)}\n`);
    while (bytes.length > 0) bytes = bytes.subarray(file.writeSync(bytes));
  };
  write(head);
  console.log(`seed ${options.seed}; results in ${results}`);
  const result = await runLoad({ ...options, program }, (sample) => {
    write(sample);
    tell(sample);
  });
  const tail = tailOf(result);
  write(tail);
  if (!conclude(tail)) Deno.exitCode = 1;
}
