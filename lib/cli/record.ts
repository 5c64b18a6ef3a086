/**
 * `qmpmux record`: writes the traffic of a running qmpmux to a file as it happens.
 *
 * The lines are written as they arrive. qmpmux numbers them, and counts those that it drops, so that
 * the numbers in the file are right.
 *
 * @module
 */

import { readHeader } from "../observe/recording_reader.ts";
import { type ExitStatus, Failure } from "../platform/failure.ts";
import { say } from "../platform/log.ts";
import { checkNew, RecordingFile } from "../platform/recording_file.ts";
import { onSignals } from "../platform/runtime.ts";
import { UsageError } from "../policy/usage_error.ts";
import type { Given } from "./flags.ts";
import { type TapArguments, tapLines } from "./tap_session.ts";
import { type TrafficGlobs, trafficGlobs } from "./traffic_filters.ts";

/**
 * Runs `qmpmux record` until a signal, or until qmpmux ends.
 *
 * @throws UsageError, Failure
 */
export async function runRecord(given: Given): Promise<ExitStatus> {
  const [path] = given.operands;
  if (path === undefined) {
    throw new UsageError("record: the file is missing; name a new one");
  }
  if (path === "-") {
    throw new UsageError("record: - is not a file; tap --json --events writes to stdout");
  }
  const args = recordArguments(trafficGlobs("record", given), given);
  checkNew(path);
  const stopped = Promise.withResolvers<void>();
  const stop = (): void => stopped.resolve();
  using _signals = onSignals(stop, stop, () => {});
  using target = new Target(path);
  const recording = tapLines("record", given, args, (line) => target.take(line));
  await Promise.race([recording, stopped.promise]);
  return 0;
}

/** The file, which is created with its first line, and what is told of it. */
class Target implements Disposable {
  readonly #path: string;
  #file: RecordingFile | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  /** Writes a line; @throws Failure if it cannot, or if the first one is not a header */
  take(line: string): void {
    const isFirst = this.#file === undefined;
    if (isFirst) checkHeader(line);
    this.#file ??= new RecordingFile(this.#path);
    this.#file.write(line);
    if (isFirst) say(`record: recording to ${this.#path}; Ctrl-C ends it`);
  }

  /** Closes the file, and tells how long it is. */
  [Symbol.dispose](): void {
    if (this.#file === undefined) return say("record: nothing was recorded");
    const { lines } = this.#file;
    this.#file[Symbol.dispose]();
    say(`record: ${this.#path} has ${lines === 1 ? "1 line" : `${lines} lines`}`);
  }
}

/** Returns the arguments for qmpmux: all commands and events, unless some are chosen. */
function recordArguments(
  { vm, client, command, event }: TrafficGlobs,
  given: Given,
): TapArguments {
  const [commands, events] = [some(command), some(event)];
  const isAny = commands === undefined && events === undefined;
  return {
    vm: some(vm),
    client: some(client),
    command: isAny ? undefined : commands ?? [],
    events: isAny || given.has("events") ? ["*"] : events,
    secrets: given.has("secrets"),
  };
}

function some(globs: readonly string[] | undefined): readonly string[] | undefined {
  return globs?.length ? globs : undefined;
}

function checkHeader(line: string): void {
  const header = readHeader(line);
  if ("wrong" in header) {
    throw new Failure(69, `record: qmpmux has sent a line, but ${header.wrong}`);
  }
}
