/**
 * Clients that behave badly, with all limits at their defaults, and the cost to other clients.
 *
 * No other client loses anything, QEMU's memory does not grow, and qmpmux's stays within the sum of
 * the limits. `deno task storm` runs the long form, which also prints how long others waited;
 * `docs/limits.md` has its figures.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { within } from "./support/deadline.ts";
import { Lines } from "./support/lines.ts";
import { makePlace } from "./support/place.ts";
import { startQemu, WITHOUT_QEMU } from "./support/qemu.ts";
import { startQmpmux } from "./support/qmpmux.ts";
import { memoryOf } from "./support/process.ts";

const LONG = Deno.args.includes("--long");
const ROOT = new URL("./", import.meta.url).pathname;
const MIB = 1 << 20;

/**
 * The growth of QEMU's memory that is allowed for any reason; one stalled client would cost it far
 * more.
 */
const QEMU_SLACK = 4 * MIB;

/**
 * The memory that qmpmux may use besides the bytes that its limits let clients hold: garbage not
 * yet collected.
 */
const HEAP = 64 * MIB;

/** The number of clients that do not read in an event storm. */
const STALLED = LONG ? 50 : 5;

/** A storm is slow, and this is not a measure of speed. */
const PATIENCE_MS = 300_000;

/** A client that does no harm, and measures how long it waits for its replies. */
class Meter implements Disposable {
  readonly #socket: Deno.UnixConn;
  readonly #buffer = new Uint8Array(4096);

  private constructor(socket: Deno.UnixConn) {
    this.#socket = socket;
  }

  /** Returns a client that has negotiated; `undefined` if it was refused. */
  static async connect(path: string): Promise<Meter | undefined> {
    const meter = new Meter(await Deno.connect({ transport: "unix", path }));
    if (await meter.#line() === "") {
      meter[Symbol.dispose]();
      return undefined;
    }
    await meter.#ask('{"execute":"qmp_capabilities"}');
    await meter.#ask('{"execute":"__org.qmpmux_set-event-filter","arguments":{"enable":[]}}');
    return meter;
  }

  /**
   * Sends queries until it has that many replies, and until `over` is settled; returns the
   * microseconds, sorted.
   */
  async ask(least: number, over?: Promise<unknown>): Promise<number[]> {
    const times: number[] = [];
    let going = over !== undefined;
    void over?.finally(() => going = false);
    while (going || times.length < least) {
      const began = performance.now();
      // QEMU runs it each time, because its result can change.
      const answer = await this.#ask(`{"execute":"query-rx-filter","id":${times.length}}`);
      times.push((performance.now() - began) * 1000);
      assertEquals(answer, `{"return": [], "id": ${times.length - 1}}\r\n`);
    }
    return times.sort((a, b) => a - b);
  }

  async #ask(text: string): Promise<string> {
    await this.#socket.write(new TextEncoder().encode(text));
    return await this.#line();
  }

  async #line(): Promise<string> {
    let text = "";
    while (!text.endsWith("\r\n")) {
      const length = await this.#socket.read(this.#buffer);
      if (length === null) break;
      text += new TextDecoder().decode(this.#buffer.subarray(0, length));
    }
    return text;
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }
}

/**
 * Connects one more client, and retries until clients that have just left are no longer counted.
 */
async function newcomerAt(path: string): Promise<Meter> {
  for (;;) {
    const meter = await Meter.connect(path);
    if (meter) return meter;
  }
}

/** Returns the least value that a given part, from 0 to 1, does not exceed. */
function part(sorted: readonly number[], whole: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * whole))]!;
}

interface Storm {
  readonly kind:
    | "storm"
    | "flood"
    | "oob-flood"
    | "exec-oob-flood"
    | "mixed-flood"
    | "long"
    | "crowd";
  readonly size: number;
  /** Options of the listener, in the short form. */
  readonly options?: string;
  /** The result that the bad client must report. */
  readonly seen: unknown;
  /** The line that must appear in the log meanwhile. */
  readonly told?: RegExp;
  /** The maximum growth of qmpmux, in bytes. */
  readonly growth: number;
}

/** Runs a bad client while a good one measures. */
async function weather({ kind, size, options = "", seen, told, growth }: Storm): Promise<void> {
  using place = makePlace();
  await using qemu = await startQemu(`${place.path}/vm`);
  const path = `${place.path}/mux`;
  await using mux = await startQmpmux(["--qemu", qemu.path, "--listen", path + options]);
  await mux.log.until(/connected to QEMU/);
  using meter = await newcomerAt(path);
  await meter.ask(1000);
  const alone = await meter.ask(LONG ? 5000 : 200);

  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-config",
      "-A",
      `${ROOT}support/load.ts`,
      kind,
      path,
      String(size),
      String(STALLED),
    ],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const output = new Lines(child.stdout);
  assertEquals(await output.next(), "ready");
  const before = { qemu: memoryOf(qemu.pid), mux: memoryOf(mux.pid) };
  let peak = before.mux;
  const watch = setInterval(() => peak = Math.max(peak, memoryOf(mux.pid)), 20);
  await child.stdin.close();
  const over = output.next("the bad client to end", PATIENCE_MS);
  const under = await meter.ask(100, over);
  clearInterval(watch);
  assertEquals(JSON.parse((await over)!), seen);
  await child.status;
  assertEquals(await output.next(), undefined);
  if (told) await mux.log.until(told);

  // A client that was connected all the time is served as before, as is one that connects now.
  await meter.ask(10);
  using newcomer = await within("a place for a new client", newcomerAt(path));
  await newcomer.ask(10);
  const qemuGrowth = memoryOf(qemu.pid) - before.qemu;
  if (LONG) tell({ kind, size, alone, under, qemuGrowth, muxGrowth: peak - before.mux });
  assert(qemuGrowth <= QEMU_SLACK, `QEMU has grown by ${qemuGrowth} bytes`);
  assert(peak - before.mux <= growth, `qmpmux has grown by ${peak - before.mux} bytes`);
}

interface Report {
  readonly kind: string;
  readonly size: number;
  readonly alone: readonly number[];
  readonly under: readonly number[];
  readonly qemuGrowth: number;
  readonly muxGrowth: number;
}

function tell({ kind, size, alone, under, qemuGrowth, muxGrowth }: Report): void {
  const [p50, p99] = [0.5, 0.99].map((whole) => [part(alone, whole), part(under, whole)] as const);
  const pair = ([a, b]: readonly [number, number]): string =>
    `${a.toFixed(0)} -> ${b.toFixed(0)} µs (${(b / a).toFixed(1)} times)`;
  console.log(
    `${kind} ${size}: others p50 ${pair(p50!)}, p99 ${pair(p99!)}, of ${under.length}; ` +
      `QEMU +${(qemuGrowth / MIB).toFixed(1)} MiB, qmpmux at most +${
        (muxGrowth / MIB).toFixed(1)
      } MiB`,
  );
}

function test(name: string, storm: Storm): void {
  Deno.test({ name, ignore: WITHOUT_QEMU, fn: () => weather(storm) });
}

const EVENTS = LONG ? 250_000 : 20_000;
test("an event storm disconnects clients that do not read, and others miss no event", {
  kind: "storm",
  size: EVENTS,
  options: LONG ? "" : ",slow-unread=64K,max-unread=1M",
  seen: { made: EVENTS, seen: EVENTS },
  told: /client mux\/\d+ was dropped: it left \d+ bytes unread/,
  growth: HEAP + STALLED * (LONG ? 16 : 1) * MIB,
});

const QUERIES = LONG ? 10_000 : 3000;
test("a flood of queries is answered in full, and delays no other client for long", {
  kind: "flood",
  size: QUERIES,
  seen: { answered: QUERIES },
  growth: HEAP,
});

// With oob, many wait at a time; these run longer than others measure.
const OOB_QUERIES = LONG ? 40_000 : 3000;
for (const kind of ["oob-flood", "exec-oob-flood", "mixed-flood"] as const) {
  test(`a flood with oob is answered in full (${kind})`, {
    kind,
    size: OOB_QUERIES,
    seen: { answered: OOB_QUERIES },
    growth: HEAP,
  });
}

test("a command of 64 MiB is refused, and costs QEMU nothing", {
  kind: "long",
  size: 64 * MIB,
  seen: { refused: 1, answered: 1 },
  told: /client mux\/\d+ sent a command of more than 262144 bytes/,
  growth: HEAP,
});

const CONNECTIONS = LONG ? 10_000 : 1000;
const PLACES = LONG ? 2048 : 256;
test("thousands of connections are accepted up to the limit, and the rest are refused", {
  kind: "crowd",
  size: CONNECTIONS,
  options: `,max-clients=${PLACES}`,
  // The client that measures is the first.
  seen: { greeted: PLACES - 1, refused: CONNECTIONS - PLACES + 1 },
  told: new RegExp(`a client was refused: ${PLACES} are connected already \\(max-clients\\)`),
  growth: HEAP + PLACES * (20 << 10),
});
