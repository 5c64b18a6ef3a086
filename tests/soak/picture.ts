/**
 * Draws docs/soak.svg from the results of `deno task soak`: reply times and memory over time.
 *
 *     deno task soak:picture [RESULTS]
 *
 * @module
 */

import { picture, text } from "../../bench/plot.ts";
import type { Sample } from "./load.ts";
import type { Head, Tail } from "./run.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
const WIDTH = 800;
const LEFT = 70;
const RIGHT = 600;
const PANEL = 170;
const GAP = 60;
const TOP = 60;
const MIB = 1 << 20;

interface Line {
  readonly name: string;
  /** The classes of `bench/plot.ts` that draw it. */
  readonly style: string;
  readonly of: (sample: Sample) => number | null;
}

interface Panel {
  readonly title: string;
  /** Whether the steps are powers of ten; otherwise they are even, from 0. */
  readonly logarithmic: boolean;
  readonly lines: readonly Line[];
}

const PANELS: readonly Panel[] = [
  {
    title: "milliseconds to a reply, in each sample (logarithmic scale)",
    logarithmic: true,
    lines: [
      { name: "p50", style: "blue", of: ({ p50 }) => p50 },
      { name: "p99", style: "orange", of: ({ p99 }) => p99 },
    ],
  },
  {
    title: "MiB of memory",
    logarithmic: false,
    lines: [
      { name: "qmpmux, resident", style: "orange", of: ({ qmpmux }) => qmpmux.resident / MIB },
      { name: "qmpmux, anonymous", style: "blue", of: ({ qmpmux }) => qmpmux.anonymous / MIB },
      { name: "QEMU, resident", style: "grey", of: ({ qemu }) => qemu.resident / MIB },
    ],
  },
  {
    title: "descriptors and clients",
    logarithmic: false,
    lines: [
      { name: "descriptors", style: "orange", of: ({ qmpmux }) => qmpmux.descriptors },
      { name: "clients", style: "blue dashed", of: ({ clients }) => clients },
    ],
  },
  {
    title: "commands a second",
    logarithmic: false,
    lines: [{ name: "commands", style: "blue", of: ({ rate }) => rate }],
  },
];

/** Returns even steps of 1, 2 or 5 times a power of ten, about four of them. */
function stepFor(most: number): number {
  const rough = most / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((times) => times * power).find((step) => step >= rough)!;
}

function drawPanel(
  { title, logarithmic, lines }: Panel,
  samples: readonly Sample[],
  top: number,
  x: (seconds: number) => number,
): string[] {
  const values = lines.flatMap(({ of }) => samples.map(of)).filter((value) => value !== null);
  const most = Math.max(...values);
  const bottom = top + PANEL;
  const ticks: number[] = [];
  let y: (value: number) => number;
  if (logarithmic) {
    const [from, to] = [
      Math.floor(Math.log10(Math.max(Math.min(...values), 0.01))),
      Math.ceil(Math.log10(most)),
    ];
    for (let power = from; power <= to; power++) ticks.push(10 ** power);
    y = (value) => bottom - (Math.log10(Math.max(value, 0.01)) - from) / (to - from) * PANEL;
  } else {
    const step = stepFor(most);
    const to = Math.ceil(most / step);
    for (let at = 0; at <= to; at++) ticks.push(at * step);
    y = (value) => bottom - value / (to * step) * PANEL;
  }
  const parts = [text(LEFT, top - 10, title, 12)];
  for (const tick of ticks) {
    const at = y(tick).toFixed(1);
    parts.push(`<path class="grid" d="M${LEFT} ${at}H${RIGHT}"/>`);
    parts.push(text(LEFT - 8, Number(at) + 4, tick.toLocaleString("en"), 11, "end"));
  }
  for (const [index, { name, style, of }] of lines.entries()) {
    const path = samples.flatMap((sample) => {
      const value = of(sample);
      return value === null ? [] : [`${x(sample.seconds).toFixed(1)} ${y(value).toFixed(1)}`];
    });
    parts.push(`<path class="line thin ${style}" d="M${path.join("L")}"/>`);
    const at = top + 12 + 20 * index;
    parts.push(`<path class="line ${style}" d="M${RIGHT + 12} ${at - 4}h24"/>`);
    parts.push(text(RIGHT + 44, at, name, 12));
  }
  return parts;
}

function draw(head: Head, samples: readonly Sample[], tail: Tail): string {
  const { options, machine, date } = head;
  const height = TOP + PANELS.length * (PANEL + GAP) + 10;
  const end = samples.at(-1)!.seconds;
  const x = (seconds: number): number => LEFT + seconds / end * (RIGHT - LEFT);
  const title = `${options.clients.toLocaleString("en")} clients, ` +
    `${(tail.counts["answered"] ?? 0).toLocaleString("en")} commands`;
  const parts = [text(LEFT, 28, title, 16)];
  for (const [index, panel] of PANELS.entries()) {
    parts.push(...drawPanel(panel, samples, TOP + index * (PANEL + GAP), x));
  }
  const bottom = TOP + PANELS.length * (PANEL + GAP) - GAP;
  const [unit, name] = end > 7200 ? [3600, "hours"] : [60, "minutes"];
  const step = stepFor(0.8 * end / unit);
  for (let at = 0; at * unit <= end; at += step) {
    parts.push(text(x(at * unit), bottom + 18, at.toLocaleString("en"), 11, "middle"));
  }
  parts.push(text((LEFT + RIGHT) / 2, bottom + 36, name, 12, "middle"));
  const loads = samples.map(({ load }) => load).sort((a, b) => a - b);
  const note =
    `A burst of all clients every ${options.burst} s; ${machine["processors"]} processors ` +
    `(${machine["processor"]}), load ${loads[0]!.toFixed(1)} to ${loads.at(-1)!.toFixed(1)}; ` +
    `QEMU ${machine["qemu"]}, Deno ${machine["deno"]}, ${date}`;
  parts.push(text(LEFT, height - 12, note, 9));
  return picture(WIDTH, height, title, parts);
}

const lines = Deno.readTextFileSync(Deno.args[0] ?? `${ROOT}.cache/soak.jsonl`)
  .trim().split("\n").map((line) => JSON.parse(line) as Head | Sample | Tail);
const samples = lines.filter((line) => line.kind === "sample");
const head = lines.find((line) => line.kind === "run");
const tail = lines.find((line) => line.kind === "result");
if (head === undefined || tail === undefined || samples.length < 2) {
  console.error("Cannot draw: these are not the results of a complete soak");
  Deno.exit(1);
}
Deno.writeTextFileSync(`${ROOT}docs/soak.svg`, draw(head, samples, tail));
