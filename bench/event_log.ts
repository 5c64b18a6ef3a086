/**
 * The price of the event log: an event to many subscribers, the memory of kept events, and an event
 * for which nobody subscribes.
 *
 * @module
 */

import { FakeQemu, type FakeQemuConnection } from "../tests/support/fake_qemu.ts";
import { makePlace } from "../tests/support/place.ts";
import { startQemu } from "../tests/support/qemu.ts";
import { startQmpmux } from "../tests/support/qmpmux.ts";
import { BenchHub } from "./hub.ts";
import { inTurns, type Report, row, timed } from "./measure.ts";
import { pss } from "./process.ts";
import { muxArguments, qmpload, weigh } from "./programs.ts";

const ROUNDS = 9;
const CLIENTS = 1000;
const VMS = 100;
const EVENT = '{"timestamp": {"seconds": 1795311257, "microseconds": 423160}, "event": "STOP"}\r\n';
/** An event of a usual length. */
const USUAL =
  '{"timestamp": {"seconds": 1795311257, "microseconds": 423160}, "event": "JOB_STATUS_CHANGE", ' +
  '"data": {"status": "running", "id": "drive-virtio-disk0"}}\r\n';
/** The events that each VM sends: more than its log keeps. */
const EVENTS = Math.ceil(1.5 * (1 << 20) / USUAL.length);
const SETTLE_MS = 5000;
const EVENTS_BEFORE = 10;
const EVENTS_MEASURED = 100;

/** The median time of an event, and the processor time, in microseconds. */
interface Fan {
  readonly p50: number;
  readonly cpu: number;
}

/** Adds the rows of this bench. */
export async function measureEventLog(report: Report): Promise<void> {
  inTheHub(report);
  await toSubscribers(report);
  await keptByMany(report);
}

/** Measures events without sockets: for nobody, with a full log, and for many subscribers. */
function inTheHub({ rows }: Report): void {
  const event = new TextEncoder().encode(EVENT);
  const us = (hub: BenchHub): number => timed(() => hub.hears(event)) / 1000;
  const nobody = {
    qmpmux: [us(new BenchHub())],
    "event-log-bytes=0": [us(new BenchHub({ eventLog: { bytes: 0, events: 0 } }))],
  };
  const none = [{ against: "event-log-bytes=0", better: "less" }] as const;
  rows.push(row("event_log", "an event for nobody, without sockets", "us", nobody, none));
  const many = (command?: string): number => {
    const hub = new BenchHub();
    for (let i = 0; i < CLIENTS; i++) {
      const client = hub.client();
      if (command !== undefined) client.say(command);
    }
    return us(hub);
  };
  const figures = {
    qmpmux: [many(subscription({ bookmarks: "each" }))],
    "without bookmarks": [many(subscription({}))],
    "ordinary clients": [many()],
  };
  const work = `an event and a bookmark to ${CLIENTS} subscribers, without sockets`;
  rows.push(
    row("event_log", work, "us", figures, [
      { against: "without bookmarks", better: "less" },
      { against: "ordinary clients", better: "less" },
    ]),
  );
}

/** Returns the command that subscribes. */
function subscription(args: object): string {
  return JSON.stringify({ execute: "__org.qmpmux_subscribe", arguments: args });
}

/**
 * Measures the time until the last of many subscribers has an event and its bookmark, and the processor
 * time of qmpmux, which depends less on what else the machine does.
 */
async function toSubscribers({ rows }: Report): Promise<void> {
  using place = makePlace();
  const at = (name: string): string => `${place.path}/${name}`;
  await using _qemu = await startQemu(at("vm"));
  await using mux = await startQmpmux(muxArguments(at("vm"), at("mux")));
  const fan = async (events: number, more: readonly string[]): Promise<Fan> => {
    const { cpu } = weigh(mux.pid);
    const { p50 } = await qmpload(["fan", at("mux"), String(CLIENTS), String(events), ...more]);
    return { p50: p50!, cpu: weigh(mux.pid).cpu - cpu };
  };
  /** The clients are connected for a few events, and again for many: the difference is that of events. */
  const both = async (...more: string[]): Promise<Fan> => {
    const few = await fan(EVENTS_BEFORE, more);
    const many = await fan(EVENTS_BEFORE + EVENTS_MEASURED, more);
    return { p50: many.p50, cpu: (many.cpu - few.cpu) / EVENTS_MEASURED };
  };
  const figures = await inTurns(ROUNDS, {
    qmpmux: () => both("2", subscription({ bookmarks: "each" })),
    "without bookmarks": () => both("1", subscription({})),
    "ordinary clients": () => both(),
  });
  const goals = [
    { against: "without bookmarks", better: "less", goal: 1.5 },
    { against: "ordinary clients", better: "less", goal: 1.5 },
  ] as const;
  const of = (part: keyof Fan): Record<string, number[]> =>
    Object.fromEntries(
      Object.entries(figures).map(([who, fans]) => [who, fans.map((each) => each[part])]),
    );
  const work = `an event and a bookmark to ${CLIENTS} subscribers`;
  rows.push(row("event_log", work, "us", of("p50"), goals));
  rows.push(row("event_log", `processor time of ${work}`, "us", of("cpu"), goals));
}

/** Weighs a process with many VMs whose logs are full. */
async function keptByMany({ rows }: Report): Promise<void> {
  const mb: Record<string, number[]> = {};
  for (const [name, flags] of [["qmpmux", []], ["none", ["--event-log-bytes", "0"]]] as const) {
    mb[name] = [await weighed(flags)];
  }
  const [full, none] = [mb["qmpmux"]![0]!, mb["none"]![0]!];
  const figures = { qmpmux: [full - none], "event-log-bytes": [VMS * (1 << 20) / 1e6] };
  const goals = [{ against: "event-log-bytes", better: "less", goal: 1.3 }] as const;
  rows.push(row("event_log", `kept events of ${VMS} VMs`, "MB", figures, goals));
}

/** Returns the memory in MB of a process whose VMs have all sent their events. */
async function weighed(flags: readonly string[]): Promise<number> {
  using place = makePlace();
  await using made = new AsyncDisposableStack();
  const connected = Promise.withResolvers<void>();
  const connections = new Set<FakeQemuConnection>();
  for (let vm = 0; vm < VMS; vm++) {
    Deno.mkdirSync(`${place.path}/${vm}`);
    made.use(
      new FakeQemu(`${place.path}/${vm}/vm`, {
        answer: ({ name }, connection): undefined => {
          if (name !== "qmp_capabilities") return undefined;
          connections.add(connection);
          if (connections.size === VMS) connected.resolve();
          return undefined;
        },
      }),
    );
  }
  const addresses = ["--qemu", `${place.path}/{vm}/vm`, "--listen", `${place.path}/{vm}/mux`];
  const mux = made.use(await startQmpmux([...addresses, ...flags], { listeners: VMS }));
  await connected.promise;
  const events = USUAL.repeat(EVENTS);
  for (const connection of connections) connection.say(events);
  await new Promise((resolve) => setTimeout(resolve, 2 * SETTLE_MS));
  return pss(mux.pid);
}
