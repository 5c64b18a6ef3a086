/**
 * The programs that benches start: the load, the peers, and compiled programs.
 *
 * @module
 */

import { Lines } from "../tests/support/lines.ts";
import { appears } from "../tests/support/place.ts";
import { CACHE, output } from "./measure.ts";

const HERE = new URL("./", import.meta.url).pathname;

/** Runs qmpload to its end; returns its figures by name, such as `p50` and `replies/s`. */
export async function qmpload(args: readonly string[]): Promise<Record<string, number>> {
  return figuresIn(await output(await qmploadProgram(), args));
}

/** Reads the output of qmpload: `p50=12.3 … replies/s=456` by name. */
function figuresIn(said: string): Record<string, number> {
  return Object.fromEntries(
    [...said.matchAll(/([\w/]+)=([\d.]+)/g)].map(([, name, value]) => [name!, Number(value)]),
  );
}

/** A qmpload that runs until it is disposed of. */
export interface Load extends AsyncDisposable {
  /** Sends SIGTERM; returns the figures that it prints then. */
  finish(): Promise<Record<string, number>>;
}

/** Starts a qmpload; resolves when all its clients have negotiated. */
export async function startLoad(args: readonly string[]): Promise<Load> {
  const child = new Deno.Command(await qmploadProgram(), {
    args: [...args],
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const lines = new Lines(child.stdout);
  await lines.until(/^connected=/);
  const stop = async (signal: Deno.Signal): Promise<string[]> => {
    try {
      child.kill(signal);
    } catch (error) {
      // It has exited already.
      if (!(error instanceof TypeError)) throw error;
    }
    await child.status;
    return await lines.rest();
  };
  let ended = false;
  return {
    async finish(): Promise<Record<string, number>> {
      ended = true;
      return figuresIn((await stop("SIGTERM")).join("\n"));
    },
    async [Symbol.asyncDispose](): Promise<void> {
      if (!ended) await stop("SIGKILL");
    },
  };
}

let program: Promise<string> | undefined;

/** Returns the path of qmpload, compiled from the present source. */
export function qmploadProgram(): Promise<string> {
  program ??= (async () => {
    await Deno.mkdir(CACHE, { recursive: true });
    const path = `${CACHE}/qmpload`;
    await output("cc", ["-O2", "-o", path, `${HERE}qmpload.c`]);
    return path;
  })();
  return program;
}

/** A program that runs until it is disposed. */
export interface Running extends AsyncDisposable {
  readonly pid: number;
}

/** Starts a program, and waits for a file that it creates, if one is named. */
export async function start(
  command: string,
  args: readonly string[],
  file?: string,
): Promise<Running> {
  const quiet = { stdin: "null", stdout: "null", stderr: "null" } as const;
  const child = new Deno.Command(command, { args: [...args], ...quiet }).spawn();
  if (file !== undefined) await appears(file);
  return {
    pid: child.pid,
    async [Symbol.asyncDispose](): Promise<void> {
      try {
        child.kill("SIGKILL");
      } catch (error) {
        // It has exited already.
        if (!(error instanceof TypeError)) throw error;
      }
      await child.status;
    },
  };
}

/** Returns the flags of qmpmux, which allow the thousands of clients that benches connect. */
export function muxArguments(qemu: string, listen: string): string[] {
  return ["--qemu", qemu, "--max-clients", "4096", "--listen", `${listen},max-clients=4096`];
}

/** Starts a script of this folder whose first argument is the socket that it creates. */
export function startScript(name: string, args: readonly string[]): Promise<Running> {
  return start(Deno.execPath(), ["run", "--no-config", "-A", HERE + name, ...args], args[0]);
}

/** Returns a process's memory in bytes, and its processor time in microseconds. */
export function weigh(pid: number): { rss: number; anonymous: number; cpu: number } {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  const of = (name: string) =>
    Number(new RegExp(`^${name}:\\s*(\\d+) kB`, "m").exec(status)![1]) * 1024;
  const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  // A tick is a hundredth of a second: USER_HZ, on every machine.
  const cpu = (Number(fields[11]) + Number(fields[12])) * 10_000;
  return { rss: of("VmRSS"), anonymous: of("RssAnon"), cpu };
}
