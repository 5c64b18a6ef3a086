/**
 * qmpmux as users run it: a separate program, from source or compiled.
 *
 * `QMPMUX_BINARY` names the compiled program to test; without it, the source runs with the
 * permissions in `deno.json`.
 *
 * @module
 */

import { within } from "./deadline.ts";
import { Lines } from "./lines.ts";
import { passing } from "./passer.ts";

const ROOT = new URL("../../", import.meta.url).pathname;

/** Returns the command that starts the program, and its first arguments. */
export function programCommand(): [string, string[]] {
  const binary = Deno.env.get("QMPMUX_BINARY");
  if (binary) return [binary.startsWith("/") ? binary : ROOT + binary, []];
  const { tasks } = JSON.parse(Deno.readTextFileSync(`${ROOT}deno.json`));
  const [, ...args] = (tasks.qmpmux.command as string).split(" ");
  return [Deno.execPath(), args.map((arg) => arg === "main.ts" ? `${ROOT}main.ts` : arg)];
}

/** Runs the program to its end; returns `stderr` and `stdout` as text. */
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

/** Runs a subcommand at a monitor to its end. */
export function runAt(
  path: string,
  args: readonly string[],
  timeout: number,
): ReturnType<typeof runQmpmux> {
  const flag = args[0] === "check" ? "--qemu" : "--socket";
  return runQmpmux([...args, flag, path, "--timeout", String(timeout)]);
}

/** A running qmpmux. */
export interface TestQmpmux extends AsyncDisposable {
  readonly pid: number;
  /** The log, line by line. */
  readonly log: Lines;
  /** The lines of its log that name its listeners. */
  readonly listening: readonly string[];
  readonly ended: Promise<Deno.CommandStatus>;
  kill(signal: Deno.Signal): void;
}

/** The environment that qmpmux starts with. */
export interface Means {
  /** Sockets that are passed to it, as `NAME=PATH`. */
  readonly sockets?: readonly string[];
  /** Permissions that are removed from it. */
  readonly without?: readonly string[];
  /** A module that is loaded before the program, if that runs from source. */
  readonly preload?: URL;
  /** A program with its arguments that execs it. */
  readonly under?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** The number of listeners to wait for; by default one for each `--listen`. */
  readonly listeners?: number;
}

/** Starts `qmpmux serve`; resolves when all its listeners listen. */
export async function startQmpmux(
  args: readonly string[],
  { sockets = [], without = [], preload, under = [], env = {}, listeners }: Means = {},
): Promise<TestQmpmux> {
  const [program, first] = programCommand();
  const kept = first.filter((flag) => !without.includes(flag));
  // The last of the first arguments is the main module.
  if (preload) kept.splice(-1, 0, `--preload=${preload}`);
  const [outer, ...all] = [...under, program, ...kept, "serve", ...args];
  const [command, rest] = sockets.length > 0 ? passing(sockets, [outer!, all]) : [outer!, all];
  const child = new Deno.Command(command, {
    args: rest,
    env,
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const log = new Lines(child.stderr);
  const ended = child.status;
  const stop = async (): Promise<void> => {
    kill(child);
    await ended;
    await log.rest();
  };
  await using failing = new AsyncDisposableStack();
  failing.defer(stop);
  const listening: string[] = [];
  const expected = listeners ?? args.filter((arg) => arg === "--listen").length;
  while (listening.length < expected) listening.push(await log.until(/: listening on /));
  failing.move();
  return {
    pid: child.pid,
    log,
    listening,
    ended,
    kill: (signal) => child.kill(signal),
    [Symbol.asyncDispose]: stop,
  };
}

/** Kills a program that may have exited already. */
export function kill(child: Deno.ChildProcess): void {
  try {
    child.kill("SIGKILL");
  } catch (error) {
    if (!(error instanceof TypeError) && !(error instanceof Deno.errors.NotFound)) throw error;
  }
}
