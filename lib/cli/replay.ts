/**
 * `qmpmux replay`: plays a recording as the QEMU that it came from.
 *
 * @module
 */

import { type ListenerSettings, parseListener, splitOptions } from "../config/options.ts";
import { CLOCK } from "../platform/clock.ts";
import { type ExitStatus, Failure } from "../platform/failure.ts";
import { Listener } from "../platform/listener.ts";
import { say, stderrLog } from "../platform/log.ts";
import { onSignals } from "../platform/runtime.ts";
import { streamSocket } from "../platform/stream_socket.ts";
import { readTextFile } from "../platform/text_file.ts";
import { UsageError } from "../policy/usage_error.ts";
import { type Fault, readFault } from "../testing/fault.ts";
import { type Play, PlayError } from "../testing/play.ts";
import { FILE_BYTES_LIMIT, readPlay } from "../testing/play_file.ts";
import { Replay } from "../testing/replay.ts";
import type { Given } from "./flags.ts";
import { REPLAY } from "./traffic_commands.ts";

/** The options of a listener that have an effect; QEMU's own spelling has the last two. */
const LISTENER_OPTIONS: readonly string[] = [...REPLAY.flags.listen.options, "server", "wait"];

/** The highest speed. */
const SPEED_LIMIT = 1e6;

/**
 * Runs `qmpmux replay` until a signal ends it.
 *
 * @throws UsageError, Failure
 */
export async function runReplay(given: Given): Promise<ExitStatus> {
  const [path] = given.operands;
  if (path === undefined) {
    throw new UsageError("replay: the recording is missing; name its file");
  }
  const listeners = given.all("listen").map(listenerOf);
  if (listeners.length === 0) {
    throw new UsageError("replay: no address is given; add --listen ADDR");
  }
  const tell = (line: string): void => say(`replay: ${line}`);
  const options = {
    isLenient: given.has("lenient"),
    speed: speedOf(given.one("speed")),
    clock: CLOCK,
    faults: given.all("fault").map(faultOf),
    say: tell,
    note: tell,
  };
  const replay = await loading(path, async () => {
    return await Replay.of(await playOf(path, given), options);
  });
  const isNamed = listeners.length > 1 || given.all("listen").some(hasName);
  for (const { grant: { name } } of listeners) {
    if (!isNamed || replay.listeners.has(name)) continue;
    const known = [...replay.listeners].join(", ");
    const remedy = known === ""
      ? "give one --listen, without name="
      : `add name= with one of its listeners: ${known}`;
    throw new UsageError(`replay: --listen: the recording has no listener ${name}; ${remedy}`);
  }
  await play(replay, listeners, isNamed);
  return replay.unexpected > 0 ? 1 : 0;
}

function listenerOf(text: string): ListenerSettings {
  const settings = parseListener(text);
  const other = splitOptions(text)[1].find(([key]) => !LISTENER_OPTIONS.includes(key));
  if (other === undefined) return settings;
  throw new UsageError(
    `replay: --listen: the option ${other[0]}= has no effect on a recording; leave it out`,
  );
}

function hasName(text: string): boolean {
  return splitOptions(text)[1].some(([key]) => key === "name");
}

async function playOf(path: string, given: Given): Promise<Play> {
  const as = given.one("as") ?? "clients";
  if (as !== "clients" && as !== "qemu") {
    throw new UsageError(`replay: invalid value "${as}" for --as: expected clients or qemu`);
  }
  const text = readTextFile({
    path: path === "-" ? "/dev/stdin" : path,
    command: "replay",
    flag: "FILE",
    limit: FILE_BYTES_LIMIT,
    status: 1,
    isReadOnce: true,
  });
  return await readPlay(text, { as, vm: given.one("vm") });
}

/** Runs a function that reads a file; an error in the file gets its path. */
async function loading<T>(path: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (error instanceof PlayError) throw new Failure(1, `replay: ${path}: ${error.message}`);
    throw error;
  }
}

function faultOf(text: string): Fault {
  try {
    return readFault(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new UsageError(`replay: --fault: ${error.message}`);
  }
}

function speedOf(text = "1"): number {
  const speed = /^\d{1,7}(\.\d{1,6})?$/.test(text) ? Number(text) : Infinity;
  if (speed <= SPEED_LIMIT) return speed;
  throw new UsageError(
    `replay: invalid value "${text}" for --speed: expected a number up to ${SPEED_LIMIT}, ` +
      "such as 1 or 0.5; 0 waits for nothing",
  );
}

/** Serves connections until a signal. */
async function play(
  replay: Replay,
  settings: readonly ListenerSettings[],
  isNamed: boolean,
): Promise<void> {
  using listeners = new DisposableStack();
  const stopped = Promise.withResolvers<void>();
  using _signals = onSignals(() => stopped.resolve(), () => {}, () => {});
  const serving = new Set<Promise<void>>();
  for (const each of settings) {
    const listener = listeners.use(await Listener.open(each));
    const name = isNamed ? each.grant.name : undefined;
    say(`replay: listening on ${listener.address}`);
    const accepting = listener.accept((socket) => {
      const connection = replay.serve(streamSocket(socket), { listener: name })
        .finally(() => serving.delete(connection));
      serving.add(connection);
      connection.catch(stopped.reject);
    }, stderrLog);
    accepting.catch(stopped.reject);
  }
  await stopped.promise;
  listeners.dispose();
  replay.closeConnections();
  await Promise.allSettled(serving);
}
