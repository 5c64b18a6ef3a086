/**
 * The cost of a tap: the processor time that qmpmux takes for a command while somebody looks, against
 * the same command while nobody does.
 *
 * The turns are short and many, because other work on the machine changes the figures within seconds.
 *
 *   QMPMUX_BENCH_ROUNDS=41 deno task bench tap
 *
 * @module
 */

import { makePlace } from "../tests/support/place.ts";
import { startQemu } from "../tests/support/qemu.ts";
import { startQmpmux } from "../tests/support/qmpmux.ts";
import { inTurns, type Report, row } from "./measure.ts";
import { processorTime } from "./process.ts";
import { qmpload } from "./programs.ts";

const ROUNDS = Number(Deno.env.get("QMPMUX_BENCH_ROUNDS") ?? 21);
/** The commands of each turn. */
const COMMANDS = 1000;
/** The most times of the processor time without a tap. */
const GOAL = 1.2;

/** The commands: QEMU runs each of them every time. */
const COMMAND_TEXTS: Readonly<Record<string, string>> = {
  "a short query": '{"execute":"query-rx-filter"}',
  "a command with arguments":
    '{"execute":"qom-get","arguments":{"path":"/machine","property":"type"}}',
  "a reply of 4 kB": '{"execute":"qom-list-types","arguments":{"implements":"user-creatable"}}',
};

/** The arguments of `__org.qmpmux_tap`, by the subcommand that gives them. */
const LOOKERS: Readonly<Record<string, object>> = {
  "tap": { brief: true },
  "tap --json": {},
};

/** Adds the rows of this bench. */
export async function measureTap({ rows }: Report): Promise<void> {
  using place = makePlace();
  const at = (name: string): string => `${place.path}/${name}`;
  await using qemu = await startQemu(at("vm"));
  await using mux = await startQmpmux(
    ["--qemu", qemu.path, "--listen", at("mux"), "--control", at("control")],
    { listeners: 2 },
  );
  await mux.log.until(/connected to QEMU/);
  for (const [name, command] of Object.entries(COMMAND_TEXTS)) {
    const nobody = async (): Promise<number> => {
      const before = processorTime(mux.pid);
      await qmpload(["lat", at("mux"), String(COMMANDS), command]);
      return (processorTime(mux.pid) - before) / COMMANDS;
    };
    const turns: Record<string, () => Promise<number>> = { nobody };
    for (const [looker, args] of Object.entries(LOOKERS)) {
      turns[looker] = async (): Promise<number> => {
        await using _looker = await look(at("control"), args);
        return await nobody();
      };
    }
    // The code is compiled before it is measured.
    await inTurns(3, turns);
    const figures = await inTurns(ROUNDS, turns);
    for (const looker of Object.keys(LOOKERS)) {
      const both = { qmpmux: figures[looker]!, nobody: figures["nobody"]! };
      const goal = { against: "nobody", better: "less", goal: GOAL } as const;
      rows.push(row("tap", `processor time of ${name}, ${looker}`, "us", both, [goal]));
    }
  }
}

/** Looks at the traffic, and drops it. */
async function look(control: string, args: object): Promise<AsyncDisposable> {
  const socket = await Deno.connect({ transport: "unix", path: control });
  const tap = JSON.stringify({ execute: "__org.qmpmux_tap", arguments: args });
  await socket.write(new TextEncoder().encode(`{"execute":"qmp_capabilities"}${tap}`));
  const { promise: begun, resolve } = Promise.withResolvers<void>();
  const dropping = (async (): Promise<void> => {
    const buffer = new Uint8Array(1 << 16);
    let text = "";
    for (;;) {
      const length = await socket.read(buffer).catch(() => null);
      if (length === null) return;
      if (text.length < 4096) text += new TextDecoder().decode(buffer.subarray(0, length));
      if (text.includes("qmpmux-recording")) resolve();
    }
  })();
  await begun;
  return {
    async [Symbol.asyncDispose](): Promise<void> {
      socket.close();
      await dropping;
    },
  };
}
