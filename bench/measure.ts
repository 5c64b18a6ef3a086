/**
 * The code that all benches share: turns, medians, and the report.
 *
 * Machines differ and are shared, so figures are compared only within one run. The programs
 * compared take turns, round by round, while the others are idle; a ratio is the median of
 * the rounds' ratios.
 *
 * @module
 */

const ROOT = new URL("../", import.meta.url).pathname;

/** The directory for programs that the benches compile. */
export const CACHE = `${ROOT}.cache/bench`;

/** The file of all results. */
export const RESULTS = `${ROOT}bench/results.json`;

/** A kind of work, measured for one or more programs. */
export interface Row {
  readonly bench: string;
  readonly work: string;
  readonly unit: string;
  /** The median of each program. */
  readonly values: Readonly<Record<string, number>>;
  readonly ratios: readonly Ratio[];
}

/** The ratio of qmpmux to another program, and the goal. */
export interface Ratio {
  readonly against: string;
  /** The median of the rounds' ratios. */
  readonly value: number;
  /** The lowest and the highest of them, if there were rounds. */
  readonly spread?: readonly [lowest: number, highest: number];
  readonly goal?: number;
  /** Whether less is better, as for times, or more, as for throughput. */
  readonly better: "less" | "more";
}

/** The throughput and latency of a number of clients. */
export interface Scale {
  /** The date of the run; later runs of other benches keep these figures. */
  readonly date: string;
  readonly who: string;
  readonly clients: number;
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
  /** The memory of the process in the middle in MiB, if there is such a process. */
  readonly rss?: number;
  /** The processor time of that process in microseconds. */
  readonly cpu?: number;
}

/** The memory of what serves a number of VMs. */
export interface Weight {
  /** The date of the run; later runs of other benches keep these figures. */
  readonly date: string;
  readonly who: string;
  readonly vms: number;
  /** The memory in MB of all processes, without QEMU's. */
  readonly pss: number;
}

/** The machine, the time and the versions. */
export interface Host {
  readonly date: string;
  readonly processor: string;
  readonly processors: number;
  readonly kernel: string;
  readonly load: string;
  readonly deno: string;
  readonly qemu: string;
  readonly peers: string;
}

/** The results of a run. */
export interface Report {
  readonly machine: Host;
  readonly rows: Row[];
  readonly scales: Scale[];
  readonly weights: Weight[];
}

/** Returns the median. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? NaN;
}

/** Measures each in turn, round by round; returns the figures of every round. */
export async function inTurns<Figure = number>(
  rounds: number,
  turns: Readonly<Record<string, () => Promise<Figure>>>,
): Promise<Record<string, Figure[]>> {
  const figures: Record<string, Figure[]> = {};
  for (let round = 0; round < rounds; round++) {
    for (const [who, measure] of Object.entries(turns)) (figures[who] ??= []).push(await measure());
  }
  return figures;
}

/** Makes a row from the figures of `inTurns`. */
export function row(
  bench: string,
  work: string,
  unit: string,
  figures: Readonly<Record<string, readonly number[]>>,
  goals: readonly Omit<Ratio, "value" | "spread">[] = [],
): Row {
  const values = Object.fromEntries(
    Object.entries(figures).map(([who, measured]) => [who, median(measured)]),
  );
  const ours = figures["qmpmux"] ?? [];
  const ratios = goals.flatMap((goal) => {
    const theirs = figures[goal.against];
    if (theirs === undefined) return [];
    const all = ours.map((our, round) => our / theirs[round]!);
    const spread = [Math.min(...all), Math.max(...all)] as const;
    return [{ ...goal, value: median(all), ...(all.length > 1 ? { spread } : {}) }];
  });
  console.error(`  ${work}`);
  return { bench, work, unit, values, ratios };
}

/** Measures a call in nanoseconds: the best of some rounds, since noise only makes it slower. */
export function timed(call: () => void, atLeastMs = 100, rounds = 7): number {
  let best = Infinity;
  for (let round = 0; round < rounds; round++) {
    const began = performance.now();
    let calls = 0;
    let now = began;
    while (now - began < atLeastMs) {
      for (let i = 0; i < 16; i++) call();
      calls += 16;
      now = performance.now();
    }
    best = Math.min(best, (now - began) / calls);
  }
  return best * 1e6;
}

/** Runs a program to its end; returns its output. */
export async function output(program: string, args: readonly string[]): Promise<string> {
  const command = new Deno.Command(program, { args: [...args], stdin: "null", stderr: "piped" });
  const { success, stdout, stderr } = await command.output();
  if (!success) {
    throw new Error(`${program} ${args.join(" ")} failed: ${new TextDecoder().decode(stderr)}`);
  }
  return new TextDecoder().decode(stdout);
}

/** Returns the first line that a program prints, `undefined` when it is not installed. */
export async function versionOf(program: string, flag = "--version"): Promise<string | undefined> {
  try {
    return (await output(program, [flag])).split("\n")[0];
  } catch {
    return undefined;
  }
}

/** Describes this machine. */
export async function thisMachine(): Promise<Host> {
  const processor = /^model name\s*:\s*(.*)$/m.exec(await Deno.readTextFile("/proc/cpuinfo"))?.[1];
  const socat = /version (\S+)/.exec(await output("socat", ["-V"]).catch(() => ""))?.[1];
  return {
    date: new Date().toISOString().slice(0, 16) + "Z",
    processor: processor ?? "unknown",
    processors: navigator.hardwareConcurrency,
    kernel: Deno.osRelease(),
    load: Deno.loadavg().map((load) => load.toFixed(1)).join(" "),
    deno: Deno.version.deno,
    qemu: await versionOf("qemu-system-x86_64") ?? "none",
    peers: socat === undefined ? "" : `socat ${socat}`,
  };
}

/** Prints rows as tables, one for each bench. */
export function print({ machine, rows, scales }: Report): void {
  for (const [name, value] of Object.entries(machine)) console.log(`${name.padEnd(12)}${value}`);
  for (const bench of new Set(rows.map((row) => row.bench))) {
    console.log(`\n${bench}`);
    for (const { work, unit, values, ratios } of rows.filter((row) => row.bench === bench)) {
      const figures = Object.entries(values).map(([who, value]) => `${who} ${figure(value)}`);
      console.log(`  ${work}: ${figures.join(", ")} ${unit}`);
      for (const ratio of ratios) console.log(`    ${ratioText(ratio)}`);
    }
  }
  if (scales.length > 0) {
    console.log("\nclients  who  replies/s  p50 us  p99 us  MiB  CPU us a command");
  }
  for (const { who, clients, perSecond, p50, p99, rss, cpu } of scales) {
    const rest = [rss, cpu].map((value) => value === undefined ? "-" : figure(value));
    const all = [clients, who, Math.round(perSecond), figure(p50), figure(p99), ...rest];
    console.log(all.join("  "));
  }
}

function ratioText({ against, value, spread, goal, better }: Ratio): string {
  const rounds = spread && ` (${spread.map(factor).join(" to ")})`;
  const text = `${factor(value)}${rounds ?? ""} x ${against}`;
  if (goal === undefined) return text;
  const met = better === "less" ? value <= goal : value >= goal;
  return `${text} (goal: ${better === "less" ? "at most" : "at least"} ${goal}${
    met ? "" : "; MISSED"
  })`;
}

function factor(value: number): string {
  return value < 0.1 ? value.toPrecision(2) : value.toFixed(2);
}

function figure(value: number): string {
  return Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3);
}
