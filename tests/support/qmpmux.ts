/**
 * qmpmux as its users run it: a program of its own, from source or compiled.
 *
 * `QMPMUX_BINARY` names the compiled program to test; without it, the source is
 * run with the permissions that `deno.json` gives.
 *
 * @module
 */

import { within } from "./deadline.ts";
import { Lines } from "./lines.ts";
import { passing } from "./passer.ts";

const ROOT = new URL("../../", import.meta.url).pathname;

/** How to start the program: a command and its first arguments. */
export function programCommand(): [string, string[]] {
  const binary = Deno.env.get("QMPMUX_BINARY");
  if (binary) return [binary.startsWith("/") ? binary : ROOT + binary, []];
  const { tasks } = JSON.parse(Deno.readTextFileSync(`${ROOT}deno.json`));
  const [, ...args] = (tasks.qmpmux.command as string).split(" ");
  return [Deno.execPath(), args.map((arg) => arg === "main.ts" ? `${ROOT}main.ts` : arg)];
}

/** Runs the program to its end; `stderr` and `stdout` as text. */
export async function runQmpmux(
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<{ code: number; stdout: string; stderr: string }> {
  const [command, first] = programCommand();
  const output = await within(
    `qmpmux ${args.join(" ")} to end`,
    new Deno.Command(command, { args: [...first, ...args], env, stdin: "null" }).output(),
  );
  const decoder = new TextDecoder();
  const { code } = output;
  return { code, stdout: decoder.decode(output.stdout), stderr: decoder.decode(output.stderr) };
}

/** A running qmpmux. */
export interface TestQmpmux extends AsyncDisposable {
  readonly pid: number;
  /** Its log, line by line. */
  readonly log: Lines;
  /** What it said of its listeners. */
  readonly listening: readonly string[];
  readonly ended: Promise<Deno.CommandStatus>;
  kill(signal: Deno.Signal): void;
}

/** What it is started with besides: sockets by `NAME=PATH`, and without some of its permissions. */
export interface Means {
  readonly sockets?: readonly string[];
  readonly without?: readonly string[];
  /** A module that is loaded before the program; only where it runs from source. */
  readonly preload?: URL;
}

/** Starts `qmpmux serve`; resolves when all its listeners listen. */
export async function startQmpmux(
  args: readonly string[],
  { sockets = [], without = [], preload }: Means = {},
): Promise<TestQmpmux> {
  const [program, first] = programCommand();
  const kept = first.filter((flag) => !without.includes(flag));
  // The last of the first arguments is the main module.
  if (preload) kept.splice(-1, 0, `--preload=${preload}`);
  const all = [...kept, "serve", ...args];
  const [command, rest] = sockets.length > 0 ? passing(sockets, [program, all]) : [program, all];
  const child = new Deno.Command(command, {
    args: rest,
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const log = new Lines(child.stderr);
  const ended = child.status;
  const listening: string[] = [];
  const stop = async (): Promise<void> => {
    try {
      child.kill("SIGKILL");
    } catch (error) {
      // It has ended by itself.
      if (!(error instanceof TypeError)) throw error;
    }
    await ended;
    await log.rest();
  };
  try {
    for (const arg of args) {
      if (arg === "--listen") listening.push(await log.until(/: listening on /));
    }
  } catch (error) {
    // It has ended instead, or is of no use.
    await stop();
    throw error;
  }
  return {
    pid: child.pid,
    log,
    listening,
    ended,
    kill: (signal) => child.kill(signal),
    [Symbol.asyncDispose]: stop,
  };
}
