/**
 * `qmpmux record`, as users run it.
 *
 * @module
 */

import { within } from "./deadline.ts";
import { Lines } from "./lines.ts";
import { kill, programCommand } from "./qmpmux.ts";

/** A running `qmpmux record`. */
export interface RunningRecord extends AsyncDisposable {
  readonly told: Lines;
  readonly ended: Promise<Deno.CommandStatus>;
  stop(signal: Deno.Signal): void;
}

/**
 * Starts it; resolves when the header has been written.
 *
 * @param place the directory with the socket `control` of a qmpmux
 * @param under a program with its arguments that execs it
 */
export async function startRecord(
  place: string,
  args: readonly string[],
  under: readonly string[] = [],
): Promise<RunningRecord> {
  const [program, first] = programCommand();
  const [command, ...rest] = [...under, program, ...first];
  const child = new Deno.Command(command!, {
    args: [...rest, "record", "--control", `${place}/control`, ...args],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const told = new Lines(child.stderr);
  await told.until(/record: recording to /);
  return {
    told,
    ended: child.status,
    stop: (signal) => child.kill(signal),
    async [Symbol.asyncDispose](): Promise<void> {
      kill(child);
      await child.status;
      await told.rest();
    },
  };
}

/** Resolves when a file has a text. */
export async function contains(path: string, text: string): Promise<void> {
  using watcher = Deno.watchFs(path);
  const written = async (): Promise<void> => {
    if (Deno.readTextFileSync(path).includes(text)) return;
    for await (const _ of watcher) if (Deno.readTextFileSync(path).includes(text)) return;
  };
  await within(`${text} in ${path}`, written());
}
