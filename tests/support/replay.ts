/**
 * `qmpmux replay`, as users run it.
 *
 * @module
 */

import { Lines } from "./lines.ts";
import { makePlace } from "./place.ts";
import { programCommand } from "./qmpmux.ts";

/** A running replay. */
export interface Playing extends AsyncDisposable {
  readonly path: string;
  readonly log: Lines;
  readonly pid: number;
  /** Ends it; returns its exit status. */
  stop(): Promise<number>;
}

/** Plays a text, at `s` in a new directory. */
export async function play(text: string, ...args: string[]): Promise<Playing> {
  const place = makePlace();
  Deno.writeTextFileSync(`${place.path}/file`, text);
  const listen = args.includes("--listen") ? [] : ["--listen", `${place.path}/s`];
  const [command, first] = programCommand();
  const rest = args.map((arg) => arg.replace("DIR", place.path));
  const child = new Deno.Command(command, {
    args: [...first, "replay", `${place.path}/file`, ...listen, ...rest],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const log = new Lines(child.stderr);
  const count = Math.max(1, args.filter((arg) => arg === "--listen").length);
  for (let heard = 0; heard < count; heard++) await log.until(/: listening on /);
  let isStopped = false;
  const stop = async (): Promise<number> => {
    if (!isStopped) child.kill("SIGTERM");
    isStopped = true;
    const { code } = await child.status;
    return code;
  };
  return {
    path: place.path,
    log,
    pid: child.pid,
    stop,
    async [Symbol.asyncDispose](): Promise<void> {
      await stop();
      await log.rest();
      place[Symbol.dispose]();
    },
  };
}
