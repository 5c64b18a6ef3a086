/**
 * The cost of a tap, and of `serve --record`: the processor time that qmpmux takes for a command while
 * somebody looks, against the same command while nobody does.
 *
 * The turns are short and many, because other work on the machine changes the figures within seconds. Each
 * ends when all its lines are written.
 *
 *   QMPMUX_BENCH_ROUNDS=41 deno task bench tap
 *
 * @module
 */

import { GATHER_SECONDS } from "../lib/daemon/control_tap.ts";
import { makePlace } from "../tests/support/place.ts";
import { startQemu } from "../tests/support/qemu.ts";
import { startQmpmux, type TestQmpmux } from "../tests/support/qmpmux.ts";
import { inTurns, type Report, row } from "./measure.ts";
import { processorTime } from "./process.ts";
import { qmpload } from "./programs.ts";

const ROUNDS = Number(Deno.env.get("QMPMUX_BENCH_ROUNDS") ?? 21);
/** The commands of each turn. */
const COMMANDS = 1000;
/** The turns in which the code is compiled. */
const WARM_UPS = 8;
/** The time after the last command for its lines, in milliseconds. */
const SETTLE_MS = 1000 * GATHER_SECONDS + 20;
/** The most times of the processor time without a tap. */
const GOAL = 1.2;

/** The commands: QEMU runs each of them every time. */
const COMMAND_TEXTS: Readonly<Record<string, string>> = {
  "a short query": '{"execute":"query-rx-filter"}',
  "a command with arguments":
    '{"execute":"qom-get","arguments":{"path":"/machine","property":"type"}}',
  "a reply of 2 kB": '{"execute":"qom-list-types","arguments":{"implements":"user-creatable"}}',
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
  const settings = `qemu = "${qemu.path}"\ncontrol = "${at("control")}"\n`;
  const listen = `[[listen]]\naddress = "${at("mux")}"\n`;
  const config = new Config(
    at("config"),
    (record) => settings + (record ? `record = "${at("recording")}"\n` : "") + listen,
  );
  await using mux = await startQmpmux(["--config", config.path], { listeners: 2 });
  await mux.log.until(/connected to QEMU/);
  for (const [name, command] of Object.entries(COMMAND_TEXTS)) {
    const nobody = async (): Promise<number> => {
      const before = processorTime(mux.pid);
      await qmpload(["lat", at("mux"), String(COMMANDS), command]);
      await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
      return (processorTime(mux.pid) - before) / COMMANDS;
    };
    const turns: Record<string, () => Promise<number>> = { nobody };
    for (const [looker, args] of Object.entries(LOOKERS)) {
      turns[looker] = async (): Promise<number> => {
        await using _looker = await look(at("control"), args);
        return await nobody();
      };
    }
    turns["serve --record"] = async (): Promise<number> => {
      await using _recording = await config.record(mux);
      return await nobody();
    };
    await inTurns(WARM_UPS, turns);
    const figures = await inTurns(ROUNDS, turns);
    for (const looker of Object.keys(turns).filter((each) => each !== "nobody")) {
      const both = { qmpmux: figures[looker]!, nobody: figures["nobody"]! };
      const goal = { against: "nobody", better: "less", goal: GOAL } as const;
      rows.push(row("tap", `processor time of ${name}, ${looker}`, "us", both, [goal]));
    }
  }
}

/** A file of settings, with a recording or without. */
class Config {
  readonly path: string;
  readonly #text: (record: boolean) => string;

  constructor(path: string, text: (record: boolean) => string) {
    this.path = path;
    this.#text = text;
    Deno.writeTextFileSync(path, text(false));
  }

  /** Begins to record until it is disposed of. */
  async record(mux: TestQmpmux): Promise<AsyncDisposable> {
    await this.#reload(mux, true);
    return { [Symbol.asyncDispose]: () => this.#reload(mux, false) };
  }

  async #reload(mux: TestQmpmux, record: boolean): Promise<void> {
    Deno.writeTextFileSync(this.path, this.#text(record));
    mux.kill("SIGHUP");
    await mux.log.until(/has been reloaded/);
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
