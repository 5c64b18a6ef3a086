/**
 * Draws docs/latency.svg, docs/throughput.svg and docs/hosts.svg from results.json.
 *
 * They are drawn over the number of clients or VMs. Both axes are logarithmic, so that a
 * value that grows in proportion is a straight line.
 *
 * @module
 */

import { type Report, RESULTS, type Scale } from "./measure.ts";
import { picture, text } from "./plot.ts";

const DOCS = new URL("../docs/", import.meta.url).pathname;
const WIDTH = 800;
const HEIGHT = 420;
const LEFT = 90;
const RIGHT = 580;
const TOP = 60;
const BOTTOM = 350;

interface Line {
  readonly name: string;
  readonly colour: "blue" | "orange";
  /** Dashed, with hollow marks. */
  readonly dashed?: boolean;
  readonly points: readonly (readonly [count: number, value: number])[];
}

interface Picture {
  readonly title: string;
  /** The name of what the lower axis counts. */
  readonly counted: string;
  readonly unit: string;
  readonly lines: readonly Line[];
  /** The value for one client that is connected to QEMU directly. */
  readonly direct?: number;
  readonly note: string;
}

/** Returns the place of a value between two ends of a logarithmic axis. */
function place(value: number, from: number, to: number, low: number, high: number): number {
  return low + (Math.log10(value / from) / Math.log10(to / from)) * (high - low);
}

function powersOfTen(from: number, to: number): number[] {
  const powers: number[] = [];
  for (let power = from; power <= to * 1.0001; power *= 10) powers.push(power);
  return powers;
}

function draw({ title, counted, unit, lines, direct, note }: Picture): string {
  const values = lines.flatMap(({ points }) => points.map(([, value]) => value));
  if (direct !== undefined) values.push(direct);
  const from = 10 ** Math.floor(Math.log10(Math.min(...values)));
  const to = 10 ** Math.ceil(Math.log10(Math.max(...values)));
  const x = (count: number) => place(count, 1, 1000, LEFT, RIGHT).toFixed(1);
  const y = (value: number) => place(value, from, to, BOTTOM, TOP).toFixed(1);
  const parts = [text(LEFT, 28, title, 16)];
  for (const value of powersOfTen(from, to)) {
    parts.push(`<path class="grid" d="M${LEFT} ${y(value)}H${RIGHT}"/>`);
    parts.push(text(LEFT - 8, Number(y(value)) + 4, value.toLocaleString("en"), 12, "end"));
  }
  for (const count of powersOfTen(1, 1000)) {
    parts.push(text(Number(x(count)), BOTTOM + 20, count.toLocaleString("en"), 12, "middle"));
  }
  const axis = `${counted} (logarithmic scale)`;
  parts.push(text((LEFT + RIGHT) / 2, BOTTOM + 40, axis, 12, "middle"));
  parts.push(text(LEFT, TOP - 8, `${unit} (logarithmic scale)`, 12));
  if (direct !== undefined) {
    parts.push(`<path class="line grey dotted" d="M${LEFT} ${y(direct)}H${RIGHT}"/>`);
    parts.push(text(RIGHT + 8, Number(y(direct)) + 4, "QEMU directly, 1 client", 12));
  }
  for (const [index, { name, colour, dashed, points }] of lines.entries()) {
    const stroke = `line ${colour}${dashed ? " dashed" : ""}`;
    const mark = dashed ? `hollow ${colour}` : `${colour}-dot`;
    const path = points.map(([count, value]) => `${x(count)} ${y(value)}`).join("L");
    parts.push(`<path class="${stroke}" d="M${path}"/>`);
    for (const [count, value] of points) {
      parts.push(`<circle class="${mark}" cx="${x(count)}" cy="${y(value)}" r="4"/>`);
    }
    const top = TOP + 20 + 22 * index;
    parts.push(`<path class="${stroke}" d="M${RIGHT + 12} ${top - 4}h30"/>`);
    parts.push(`<circle class="${mark}" cx="${RIGHT + 27}" cy="${top - 4}" r="4"/>`);
    parts.push(text(RIGHT + 50, top, name, 12));
  }
  parts.push(text(LEFT, HEIGHT - 12, note, 10));
  return picture(WIDTH, HEIGHT, title, parts);
}

const { machine, scales, weights } = JSON.parse(Deno.readTextFileSync(RESULTS)) as Report;
const of = (who: string, value: (scale: Scale) => number): Line["points"] =>
  scales.filter((scale) => scale.who === who).map((scale) => [scale.clients, value(scale)]);
const direct = scales.find(({ who }) => who === "direct, shared query");
if (direct === undefined || weights[0] === undefined) {
  throw new Error("results.json has no scaling run: run the task bench");
}

const host = `${machine.processors} processors (${machine.processor}), ` +
  `${/version [\d.]+/.exec(machine.qemu)?.[0].replace("version", "QEMU")}, Deno ${machine.deno}`;
const note = `${host}, ${direct.date}`;
const uncached = (value: (scale: Scale) => number) =>
  ({ colour: "orange", points: of("qmpmux, uncached command", value) }) as const;
const shared = (value: (scale: Scale) => number) =>
  ({ colour: "blue", points: of("qmpmux, shared query", value) }) as const;

Deno.writeTextFileSync(
  `${DOCS}latency.svg`,
  draw({
    title: "Time to a reply while all clients ask at once",
    counted: "clients",
    unit: "microseconds",
    direct: direct.p50,
    note,
    lines: [
      { name: "uncached command, p99", dashed: true, ...uncached(({ p99 }) => p99) },
      { name: "uncached command, p50", ...uncached(({ p50 }) => p50) },
      { name: "shared query, p99", dashed: true, ...shared(({ p99 }) => p99) },
      { name: "shared query, p50", ...shared(({ p50 }) => p50) },
    ],
  }),
);
Deno.writeTextFileSync(
  `${DOCS}throughput.svg`,
  draw({
    title: "Replies a second, all clients together",
    counted: "clients",
    unit: "replies a second",
    direct: direct.perSecond,
    note,
    lines: [
      { name: "shared query", ...shared(({ perSecond }) => perSecond) },
      { name: "uncached command", ...uncached(({ perSecond }) => perSecond) },
    ],
  }),
);

const weightLine = (name: string, colour: Line["colour"], dashed = false): Line => {
  const points = weights.filter(({ who }) => who === name).map(({ vms, pss }) =>
    [vms, pss] as const
  );
  return { name, colour, dashed, points };
};
Deno.writeTextFileSync(
  `${DOCS}hosts.svg`,
  draw({
    title: "Memory to serve the VMs of a host, without QEMU's",
    counted: "VMs",
    unit: "MB of PSS",
    note: `${host}, ${weights[0].date}`,
    lines: [
      weightLine("instances, source", "orange"),
      weightLine("instances, compiled", "orange", true),
      weightLine("one process, source", "blue"),
      weightLine("one process, compiled", "blue", true),
    ].filter(({ points }) => points.length > 0),
  }),
);
