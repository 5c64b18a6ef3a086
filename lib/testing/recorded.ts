/**
 * The kind of fake QEMU that plays a recording.
 *
 * @module
 */

import { CLOCK } from "../platform/clock.ts";
import { readWholeFile } from "../platform/whole_file.ts";
import { decodeUtf8 } from "../wire/utf8.ts";
import type { FakeHost, FakeKind } from "./fake_kind.ts";
import { readFault } from "./fault.ts";
import { type Play, PlayError } from "./play.ts";
import { FILE_BYTES_LIMIT, readPlay } from "./play_file.ts";
import { Replay } from "./replay.ts";

/** The options of a fake QEMU that plays a recording. */
export interface RecordingOptions {
  /** The address to listen on, or `false`, as for the other kinds. */
  readonly listen?: string | false;
  /** Faults, such as `query-block: delay 5s` or `stop#2: drop`. */
  readonly faults?: readonly string[];
  /** Whether commands may come in any order, and more often than recorded. */
  readonly lenient?: boolean;
  /** The speed: 1 as recorded, 2 twice as fast; 0, the default, waits for nothing. */
  readonly speed?: number;
  /** The side that is played: the recorded `clients`, the default, or the one connection to `qemu`. */
  readonly as?: "clients" | "qemu";
  /** The VM, if the recording is of several. */
  readonly vm?: string;
  /** The listener whose recorded clients are played; without it, all of them. */
  readonly listener?: string;
}

/**
 * Reads a file that is played.
 *
 * @throws PlayError if it cannot be played; Error with the `code` of the system's error if it cannot be read;
 *   TypeError, RangeError or SyntaxError if an option is invalid
 */
export async function recordedKind(
  file: string | URL,
  options: RecordingOptions,
): Promise<FakeKind> {
  const { faults = [], lenient: isLenient = false, speed = 0, as = "clients", vm } = options;
  if (!(speed >= 0 && speed < Infinity)) {
    throw new RangeError(`invalid speed ${speed}: expected a number from 0 up`);
  }
  if (as !== "clients" && as !== "qemu") {
    throw new TypeError(`invalid side ${JSON.stringify(as)}: expected "clients" or "qemu"`);
  }
  const read = faults.map(readFault);
  const bytes = await readWholeFile(file, FILE_BYTES_LIMIT);
  const mismatches: string[] = [];
  const replayOf = (play: Play): Promise<Replay> => {
    const say = (line: string): void => void mismatches.push(line);
    return Replay.of(play, { isLenient, speed, clock: CLOCK, faults: read, say });
  };
  let replay: Replay;
  try {
    replay = await replayOf(await readPlay(textOf(bytes), { as, vm }));
  } catch (error) {
    if (error instanceof PlayError) throw new PlayError(0, `${file}: ${error.message}`);
    throw error;
  }
  const { listener } = options;
  if (listener !== undefined && !replay.listeners.has(listener)) {
    const known = [...replay.listeners].join(", ") || "none";
    throw new TypeError(`${file}: the recording has no listener ${listener}: it has ${known}`);
  }
  return {
    check: replay.check,
    faults: read,
    mismatches,
    missing: () => replay.missing(),
    service: (host: FakeHost) => ({
      serve: (socket) => replay.serve(socket, { listener, host }),
      closeConnections: () => replay.closeConnections(),
      finish: () => Promise.resolve(),
      sendEvent: (name, event) => replay.sendEvent(name, event),
    }),
  };
}

function textOf(bytes: Uint8Array): string {
  const text = decodeUtf8(bytes);
  if (typeof text === "string") return text;
  throw new PlayError(0, `${text.wrong}; write the file in UTF-8`);
}
