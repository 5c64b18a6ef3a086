/**
 * Draws docs/latency.svg and docs/throughput.svg from results.json.
 *
 * Both show the number of clients on logarithmic axes: proportional growth is a straight line.
 *
 * @module
 */

import { type Report, RESULTS, type Scale } from "./measure.ts";

const DOCS = new URL("../docs/", import.meta.url).pathname;
const WIDTH = 720;
const HEIGHT = 420;
const LEFT = 70;
const RIGHT = 560;
const TOP = 50;
const BOTTOM = 350;
const COLOURS = ["#0b6e99", "#7fb7d1", "#b4500b", "#e0a878"];

interface Line {
  readonly name: string;
  readonly points: readonly (readonly [clients: number, value: number])[];
}

interface Picture {
  readonly title: string;
  readonly unit: string;
  readonly lines: readonly Line[];
  /** The figures of one client on a direct connection. */
  readonly direct: number;
  readonly note: string;
}

/** Places a value between the ends of a logarithmic axis. */
function place(value: number, from: number, to: number, low: number, high: number): number {
  return low + (Math.log10(value / from) / Math.log10(to / from)) * (high - low);
}

function powersOfTen(from: number, to: number): number[] {
  const powers: number[] = [];
  for (let power = from; power <= to * 1.0001; power *= 10) powers.push(power);
  return powers;
}

function draw({ title, unit, lines, direct, note }: Picture): string {
  const values = [direct, ...lines.flatMap(({ points }) => points.map(([, value]) => value))];
  const from = 10 ** Math.floor(Math.log10(Math.min(...values)));
  const to = 10 ** Math.ceil(Math.log10(Math.max(...values)));
  const x = (clients: number) => place(clients, 1, 1000, LEFT, RIGHT).toFixed(1);
  const y = (value: number) => place(value, from, to, BOTTOM, TOP).toFixed(1);
  const parts = [
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>`,
    text(LEFT, 28, title, 16),
  ];
  for (const value of powersOfTen(from, to)) {
    parts.push(`<path d="M${LEFT} ${y(value)}H${RIGHT}" stroke="#ddd"/>`);
    parts.push(text(LEFT - 8, Number(y(value)) + 4, value.toLocaleString("en"), 12, "end"));
  }
  for (const clients of powersOfTen(1, 1000)) {
    parts.push(text(Number(x(clients)), BOTTOM + 20, clients.toLocaleString("en"), 12, "middle"));
  }
  parts.push(text((LEFT + RIGHT) / 2, BOTTOM + 40, "clients", 12, "middle"));
  parts.push(text(LEFT, TOP - 8, unit, 12));
  parts.push(`<path d="M${LEFT} ${y(direct)}H${RIGHT}" stroke="#555" stroke-dasharray="6 4"/>`);
  parts.push(text(RIGHT + 8, Number(y(direct)) + 4, "direct, 1 client", 12));
  for (const [index, { name, points }] of lines.entries()) {
    const colour = COLOURS[index % COLOURS.length]!;
    const path = points.map(([clients, value]) => `${x(clients)} ${y(value)}`).join("L");
    parts.push(`<path d="M${path}" fill="none" stroke="${colour}" stroke-width="2"/>`);
    for (const [clients, value] of points) {
      parts.push(`<circle cx="${x(clients)}" cy="${y(value)}" r="3" fill="${colour}"/>`);
    }
    const top = TOP + 20 + 22 * index;
    parts.push(`<path d="M${RIGHT + 12} ${top - 4}h18" stroke="${colour}" stroke-width="2"/>`);
    parts.push(text(RIGHT + 36, top, name, 12));
  }
  parts.push(text(LEFT, HEIGHT - 10, note, 10));
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" ` +
    `font-family="sans-serif" role="img">\n<title>${title}</title>\n${parts.join("\n")}\n</svg>\n`;
}

function text(x: number, y: number, words: string, size: number, anchor = "start"): string {
  return `<text x="${x}" y="${y}" font-size="${size}" text-anchor="${anchor}">${words}</text>`;
}

const { machine, scales } = JSON.parse(Deno.readTextFileSync(RESULTS)) as Report;
const note = `${machine.processors} processors (${machine.processor}), ` +
  `${/version [\d.]+/.exec(machine.qemu)?.[0].replace("version", "QEMU")}, ` +
  `Deno ${machine.deno}, ${machine.date}`;
const of = (who: string, value: (scale: Scale) => number): Line["points"] =>
  scales.filter((scale) => scale.who === who).map((scale) => [scale.clients, value(scale)]);
const direct = scales.find(({ who }) => who === "direct, same query");
if (direct === undefined) throw new Error("results.json has no scaling run: run the task bench");

Deno.writeTextFileSync(
  `${DOCS}latency.svg`,
  draw({
    title: "How long a reply takes while all clients ask at once",
    unit: "microseconds",
    direct: direct.p50,
    note,
    lines: [
      { name: "every time, p50", points: of("qmpmux, every time", ({ p50 }) => p50) },
      { name: "every time, p99", points: of("qmpmux, every time", ({ p99 }) => p99) },
      { name: "same query, p50", points: of("qmpmux, same query", ({ p50 }) => p50) },
      { name: "same query, p99", points: of("qmpmux, same query", ({ p99 }) => p99) },
    ],
  }),
);
Deno.writeTextFileSync(
  `${DOCS}throughput.svg`,
  draw({
    title: "Replies a second, of all clients together",
    unit: "replies a second",
    direct: direct.perSecond,
    note,
    lines: [
      { name: "every time", points: of("qmpmux, every time", ({ perSecond }) => perSecond) },
      { name: "same query", points: of("qmpmux, same query", ({ perSecond }) => perSecond) },
    ],
  }),
);
