/**
 * The shell: the time to its first prompt, and that of a completion.
 *
 * The first prompt is compared with `qmpmux exec`, which starts and connects too. With
 * `QMPMUX_BINARY` the compiled program is measured.
 *
 * @module
 */

import { candidatesFor } from "../lib/cli/shell/completer.ts";
import { plain } from "../lib/cli/shell/paint.ts";
import { Session } from "../lib/cli/shell/session.ts";
import { connect } from "../lib/client/qmp.ts";
import { makePlace } from "../tests/support/place.ts";
import { startQemu } from "../tests/support/qemu.ts";
import { programCommand, startQmpmux } from "../tests/support/qmpmux.ts";
import { inTurns, type Report, row } from "./measure.ts";

const ROUNDS = Number(Deno.env.get("QMPMUX_BENCH_ROUNDS") ?? 21);

/** The completions of each turn. */
const COMPLETIONS = 200;

/** The lines that are completed. */
const LINES: Readonly<Record<string, string>> = {
  "a nested argument": "blockdev-add driver=qcow2 file.driver=file file.fi",
  "the name of a node, which QEMU is asked for": "blockdev-del node-name=d",
};

const PROMPT = new URL("prompt.py", import.meta.url).pathname;

/** Adds the rows of this bench. */
export async function measureShell({ rows }: Report): Promise<void> {
  using place = makePlace();
  const [vm, mux] = [`${place.path}/vm`, `${place.path}/mux`];
  await using _qemu = await startQemu(vm);
  await using qmpmux = await startQmpmux(["--qemu", vm, "--listen", mux]);
  await qmpmux.log.until(/connected to QEMU/);
  const starts = {
    qmpmux: () => untilText("qmp>", "shell", "--socket", mux),
    exec: () => untilText("{}", "exec", "--socket", mux, "query-name"),
  };
  await inTurns(1, starts);
  const first = await inTurns(ROUNDS, starts);
  const build = Deno.env.get("QMPMUX_BINARY") ? "compiled" : "from source";
  rows.push(
    row("shell", `first prompt, ${build}`, "ms", first, [{ against: "exec", better: "less" }]),
  );
  await using qmp = await connect(mux);
  const session = new Session(qmp, {
    print: () => {},
    complain: () => {},
    progress: () => {},
    columns: 80,
    lineColumn: 0,
    isTerminal: true,
    paint: plain,
  });
  await session.present();
  for (const [name, line] of Object.entries(LINES)) {
    const turns = {
      qmpmux: async (): Promise<number> => {
        const began = performance.now();
        for (let i = 0; i < COMPLETIONS; i++) await candidatesFor(session, line);
        return (performance.now() - began) / COMPLETIONS;
      },
    };
    await inTurns(1, turns);
    rows.push(row("shell", `completion of ${name}`, "ms", await inTurns(ROUNDS, turns)));
  }
}

/** Returns the milliseconds from the start of the program to a text of its. */
async function untilText(text: string, ...args: readonly string[]): Promise<number> {
  const [command, first] = programCommand();
  const { stdout } = await new Deno.Command("python3", {
    args: [PROMPT, text, command, ...first, ...args],
    env: { TERM: "xterm", QMPMUX_HISTORY: "" },
    stdin: "null",
  }).output();
  return Number(new TextDecoder().decode(stdout));
}
