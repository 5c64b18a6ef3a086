/**
 * The program as users run it, with a real QEMU and real sockets.
 *
 * One QEMU has a monitor for each path to it: direct, qmpmux, a bare relay in Deno, and socat.
 * They take turns, so that each has QEMU to itself; every figure is a ratio within one run.
 *
 *   QMPMUX_BENCH_ROUNDS=9 deno task bench end_to_end
 *
 * `QMPMUX_BENCH_DENO` names the Deno that compiles the programs whose start is measured.
 *
 * @module
 */

import { makePlace } from "../tests/support/place.ts";
import { startQemu } from "../tests/support/qemu.ts";
import { startQmpmux } from "../tests/support/qmpmux.ts";
import { CACHE, inTurns, output, type Report, row, versionOf } from "./measure.ts";
import {
  muxArguments,
  qmpload,
  type Running,
  start,
  startLoad,
  startScript,
  weigh,
} from "./programs.ts";

const ROUNDS = Number(Deno.env.get("QMPMUX_BENCH_ROUNDS") ?? 7);

const STATUS = '{"execute":"query-status"}';
/** A command that QEMU runs every time: it is not in the list of cached queries. */
const EVERY_TIME = '{"execute":"query-rx-filter"}';

/** The commands sent one by one, their number in each turn, and the goals. */
const ROUND_TRIPS: readonly {
  work: string;
  command: string;
  count: number;
  direct: number;
  relay?: number;
}[] = [
  {
    work: "query-status, as short as can be",
    command: STATUS,
    count: 800,
    direct: 1.25,
    relay: 1.05,
  },
  {
    work: "query-status with spaces and the id of qemu.qmp",
    command: '{"execute": "query-status", "id": "__qmp#00001"}',
    count: 800,
    direct: 1,
  },
  {
    work: "query-status as qemu.qmp 0.0.3 writes it",
    command: '{"execute":"query-status","id":"__qmp#00001"}',
    count: 800,
    direct: 1,
  },
  {
    work: "query-status as libvirt writes it",
    command: '{"execute":"query-status","id":"libvirt-417"}\r',
    count: 800,
    direct: 1,
  },
  {
    work: "an uncached command, pretty-printed",
    command: '{\n    "execute": "qom-get",\n    "arguments": {\n        "path": "/machine",\n' +
      '        "property": "type"\n    },\n    "id": "libvirt-417"\n}',
    count: 500,
    direct: 0.7,
  },
  {
    work: "query-status, pretty-printed",
    command: '{\n    "execute": "query-status",\n    "arguments": {\n    },\n    "id": 1\n}',
    count: 500,
    direct: 0.7,
  },
  { work: "query-qmp-schema", command: '{"execute":"query-qmp-schema"}', count: 10, direct: 0.2 },
  { work: "query-commands", command: '{"execute":"query-commands"}', count: 300, direct: 0.8 },
  { work: "query-version", command: '{"execute":"query-version"}', count: 800, direct: 0.8 },
];

/** Adds the rows of this bench. */
export async function measureEndToEnd(report: Report): Promise<void> {
  using place = makePlace();
  const at = (name: string): string => `${place.path}/${name}`;
  const monitors = ["relay", "socat", "direct"].flatMap((name) => [
    "-qmp",
    `unix:${at(`qemu-${name}`)},server=on,wait=off`,
  ]);
  await using stack = new AsyncDisposableStack();
  stack.use(await startQemu(at("qemu-qmpmux"), monitors));
  const mux = stack.use(
    await startQmpmux(muxArguments(at("qemu-qmpmux"), at("qmpmux"))),
  );
  await mux.log.until(/connected to QEMU/);
  stack.use(await startScript("relay.ts", [at("relay"), at("qemu-relay")]));
  const ways: Record<string, string> = {
    direct: at("qemu-direct"),
    qmpmux: at("qmpmux"),
    relay: at("relay"),
  };
  if (await versionOf("socat", "-V") !== undefined) {
    stack.use(await startSocat(at("socat"), at("qemu-socat")));
    ways["socat"] = at("socat");
  }
  weighIdle(report, mux.pid);
  await roundTrips(report, ways);
  await crowds(report, ways);
  await quiet(report, ways);
  await scale(report, ways, mux.pid);
  await weighClients(report, place.path);
  await million(report, ways["qmpmux"]!, mux.pid);
  await starts(report, place.path);
}

function startSocat(from: string, to: string): Promise<Running> {
  return start("socat", [`UNIX-LISTEN:${from},fork`, `UNIX-CONNECT:${to}`], from);
}

async function roundTrips({ rows }: Report, ways: Readonly<Record<string, string>>): Promise<void> {
  for (const { work, command, count, direct, relay } of ROUND_TRIPS) {
    const lat = (path: string) => async () =>
      (await qmpload(["lat", path, String(count), command])).p50!;
    const turns = Object.entries(ways).map(([who, path]) => [who, lat(path)] as const);
    const figures = await inTurns(ROUNDS, Object.fromEntries(turns));
    const goals = [
      { against: "direct", better: "less", goal: direct } as const,
      {
        against: "relay",
        better: "less",
        ...(relay === undefined ? {} : { goal: relay }),
      } as const,
    ];
    rows.push(row("end_to_end", `${work}, p50`, "us", figures, goals));
  }
}

/** Compares many clients, each with one command in flight, with the fastest use of a direct monitor. */
async function crowds({ rows }: Report, ways: Readonly<Record<string, string>>): Promise<void> {
  const thr = (args: readonly string[]) => async () => (await qmpload(args))["replies/s"]!;
  for (
    const [clients, command, goal, what] of [
      [16, EVERY_TIME, 0.95, "an uncached command"],
      [16, STATUS, 3, "a shared query"],
      [200, STATUS, 8, "a shared query"],
    ] as const
  ) {
    const figures = await inTurns(ROUNDS, {
      qmpmux: thr(["thr", ways["qmpmux"]!, String(clients), "1", "1", command]),
      "direct, oob, 4 in flight": thr(["-o", "thr", ways["direct"]!, "1", "4", "1", command]),
    });
    const goals = [{ against: "direct, oob, 4 in flight", better: "more", goal } as const];
    rows.push(row("end_to_end", `${clients} clients, ${what}`, "replies/s", figures, goals));
  }
}

/** The floods beside which a quiet client is measured: its commands, the figure, and the goal. */
const FLOODS = [
  { oob: [], depth: 10_000, command: STATUS, count: 2000, figure: "p99", goal: 3 },
  { oob: ["-o"], depth: 200, command: EVERY_TIME, count: 600, figure: "p50", goal: 2 },
] as const;

/** Measures a client that sends few commands beside one that always has many queries waiting. */
async function quiet(
  { rows }: Report,
  { qmpmux }: Readonly<Record<string, string>>,
): Promise<void> {
  for (const { oob, depth, command, count, figure, goal } of FLOODS) {
    const alone = async () => (await qmpload(["lat", qmpmux!, String(count), command]))[figure]!;
    const beside = async () => {
      const flood = [...oob, "thr", qmpmux!, "1", String(depth), "600", EVERY_TIME];
      await using _flood = await startLoad(flood);
      return await alone();
    };
    const figures = await inTurns(ROUNDS, { qmpmux: beside, alone });
    const goals = [{ against: "alone", better: "less", goal } as const];
    const kind = `${depth.toLocaleString("en")}${oob.length > 0 ? " with oob" : ""}`;
    const work = `a quiet client beside a flood of ${kind}, ${figure}`;
    rows.push(row("end_to_end", work, "us", figures, goals));
  }
}

async function scale(
  { machine: { date }, scales }: Report,
  ways: Readonly<Record<string, string>>,
  pid: number,
): Promise<void> {
  const SECONDS = 2;
  for (
    const [what, command] of [["uncached command", EVERY_TIME], ["shared query", STATUS]] as const
  ) {
    const direct = await qmpload(["thr", ways["direct"]!, "1", "1", String(SECONDS), command]);
    const { p50, p99 } = direct;
    const perSecond = direct["replies/s"]!;
    scales.push({ date, who: `direct, ${what}`, clients: 1, perSecond, p50: p50!, p99: p99! });
    for (const clients of [1, 10, 100, 1000]) {
      const before = weigh(pid);
      const said = await qmpload([
        "thr",
        ways["qmpmux"]!,
        String(clients),
        "1",
        String(SECONDS),
        command,
      ]);
      const after = weigh(pid);
      const perSecond = said["replies/s"]!;
      scales.push({
        date,
        who: `qmpmux, ${what}`,
        clients,
        perSecond,
        p50: said["p50"]!,
        p99: said["p99"]!,
        rss: after.rss / 2 ** 20,
        cpu: (after.cpu - before.cpu) / (perSecond * (SECONDS + 0.5)),
      });
    }
  }
}

function weighIdle({ rows }: Report, pid: number): void {
  const { rss, anonymous } = weigh(pid);
  const values = { resident: rss / 2 ** 20, anonymous: anonymous / 2 ** 20 };
  rows.push({ bench: "end_to_end", work: "an idle process", unit: "MiB", values, ratios: [] });
}

/**
 * Measures the memory of an idle client: of each of the second thousand, which excludes memory that
 * is allocated once, in a new qmpmux, which has no memory of former clients to reuse.
 */
async function weighClients({ rows }: Report, place: string): Promise<void> {
  const CLIENTS = 1000;
  const path = `${place}/idle`;
  await using _qemu = await startQemu(`${place}/qemu-idle`);
  await using mux = await startQmpmux(muxArguments(`${place}/qemu-idle`, path));
  await mux.log.until(/connected to QEMU/);
  const connect = () => startLoad(["idle", path, String(CLIENTS), "600"]);
  await using _first = await connect();
  const before = weigh(mux.pid);
  await using _second = await connect();
  const kB = (weigh(mux.pid).rss - before.rss) / CLIENTS / 1000;
  const values = { qmpmux: kB, goal: 20 };
  const ratios = [{ against: "goal", value: kB / 20, goal: 1, better: "less" } as const];
  rows.push({ bench: "end_to_end", work: "an idle client", unit: "kB", values, ratios });
}

/** Measures the growth of memory with commands, each second over a million of them. */
async function million({ rows }: Report, path: string, pid: number): Promise<void> {
  let commands = 0;
  const weights: { commands: number; anonymous: number }[] = [];
  while (commands < 1_000_000) {
    const said = await qmpload(["thr", path, "200", "1", "1.5", STATUS]);
    commands += said["replies/s"]! * 2;
    weights.push({ commands, anonymous: weigh(pid).anonymous });
  }
  // The first third warms up.
  const settled = weights.slice(Math.ceil(weights.length / 3));
  const bench = "end_to_end";
  const MiB = {
    "after a third": settled[0]!.anonymous / 2 ** 20,
    "at the end": settled.at(-1)!.anonymous / 2 ** 20,
  };
  const work = "memory over a million commands";
  rows.push({ bench, work, unit: "MiB", values: MiB, ratios: [] });
  const values = { qmpmux: slope(settled) };
  rows.push({ bench, work: `${work}, growth`, unit: "bytes a command", values, ratios: [] });
}

/** Returns the bytes of memory per command, by least squares. */
function slope(points: readonly { commands: number; anonymous: number }[]): number {
  const mean = (of: (point: typeof points[number]) => number) =>
    points.reduce((sum, point) => sum + of(point), 0) / points.length;
  const x = mean(({ commands }) => commands);
  const y = mean(({ anonymous }) => anonymous);
  const up = mean((point) => (point.commands - x) * (point.anonymous - y));
  return up / mean((point) => (point.commands - x) ** 2);
}

/** Compares the time from start to greeting, compiled, with that of the smallest such program. */
async function starts({ rows }: Report, place: string): Promise<void> {
  const deno = Deno.env.get("QMPMUX_BENCH_DENO") ?? Deno.execPath();
  const root = new URL("../", import.meta.url).pathname;
  const hello = `${CACHE}/hello`;
  const qmpmux = `${CACHE}/qmpmux`;
  const { tasks } = JSON.parse(Deno.readTextFileSync(`${root}deno.json`));
  const flags = ["compile", ...(tasks.qmpmux.command as string).split(" ").slice(2, -1)];
  try {
    // Use the flags of tools/compile.ts; types are checked elsewhere.
    const config = ["--no-check", "--no-code-cache", "--config", `${root}deno.json`];
    await output(deno, [...flags, ...config, "--output", qmpmux, `${root}main.ts`]);
    await output(deno, [...flags, ...config, "--output", hello, `${root}bench/hello.ts`]);
  } catch (error) {
    console.error(`Not measured: starting a compiled program. ${(error as Error).message}`);
    return;
  }
  const qemu = `${place}/qemu-start`;
  await using _qemu = await startQemu(qemu);
  let started = 0;
  const figures = await inTurns(3 * ROUNDS, {
    qmpmux: () => {
      const path = `${place}/start-${started++}`;
      return timeToGreeting(qmpmux, path, ["serve", "--qemu", qemu, "--listen", path]);
    },
    "qmpmux replay": () => {
      const path = `${place}/start-${started++}`;
      const recording = `${root}tests/fixtures/recording-1.jsonl`;
      return timeToGreeting(qmpmux, path, ["replay", recording, "--listen", path]);
    },
    "compiled hello": () => {
      const path = `${place}/start-${started++}`;
      return timeToGreeting(hello, path, [path]);
    },
  });
  const goals = [{ against: "compiled hello", better: "less", goal: 1.3 } as const];
  rows.push(row("end_to_end", "from start to first greeting, compiled", "ms", figures, goals));
}

async function timeToGreeting(program: string, path: string, args: string[]): Promise<number> {
  const began = performance.now();
  await using _ = await start(program, args);
  const socket = await connect(path);
  await socket.read(new Uint8Array(1));
  const took = performance.now() - began;
  socket.close();
  return took;
}

/** Connects to a socket, and retries until a listener exists. */
async function connect(path: string): Promise<Deno.UnixConn> {
  for (;;) {
    try {
      return await Deno.connect({ transport: "unix", path });
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
  }
}
