/**
 * A play: what a QEMU did in one recorded session, step by step, and the commands that led to it.
 *
 * @module
 */

import type { DialectName } from "../policy/admission.ts";
import { readCommand } from "../wire/command_reader.ts";
import { FrameSplitter } from "../wire/frame.ts";
import type { Command, Event, Greeting, Reply } from "../wire/message.ts";

/** A recorded command. */
export interface RecordedCommand {
  /** The number of its line in the file, from 1. */
  readonly line: number;
  /** The command. */
  readonly command: Command;
  /** The time at which it came, in seconds. */
  readonly at: number;
  /** Returns its reply, without an id; `undefined` if the recording has none. */
  reply: (() => Reply) | undefined;
}

/** A step of a session; `at` is its time in seconds. */
export type PlayStep =
  | { readonly kind: "command"; readonly at: number; readonly of: RecordedCommand }
  | { readonly kind: "reply"; readonly at: number; readonly of: RecordedCommand }
  | { readonly kind: "event"; readonly at: number; readonly event: Event }
  /** QEMU closes the connection. */
  | { readonly kind: "close"; readonly at: number };

/** A recorded session. */
export interface PlaySession {
  /** The recorded client's name, or `QEMU`. */
  readonly name: string;
  /** The listener of the recorded client, if it is known. */
  readonly listener: string | undefined;
  /** The dialect of the recorded client. */
  readonly dialect: DialectName;
  /** QEMU's greeting. */
  readonly greeting: Greeting;
  /** The time at which the negotiation ended, in seconds. */
  readonly start: number;
  /** The steps after the negotiation, in their order. */
  readonly steps: readonly PlayStep[];
}

/** A file as it is played. */
export interface Play {
  /** The sessions, in the order of their connections; at least one. */
  readonly sessions: readonly PlaySession[];
  /** The text that stands for what was removed from the recording; it matches anything. */
  readonly mark: string | undefined;
  /** The schema, if the file has one. */
  readonly schema: PlaySchema | undefined;
}

/** The schema in a file. */
export interface PlaySchema {
  /** The value of `query-qmp-schema`. */
  readonly value: unknown;
  /** Returns the number of the line of an entry, or of the whole schema. */
  lineOf(entry: string | undefined): number;
}

/** An error in a file that is to be played; its message says the line, and what to do. */
export class PlayError extends Error {
  /** Its kind. */
  override name = "PlayError";

  /**
   * Creates the error.
   *
   * @param line the number of the line, from 1; 0 if it concerns the whole file
   * @param problem the problem, and what to do
   */
  constructor(line: number, problem: string) {
    super(line === 0 ? problem : `line ${line}: ${problem}`);
  }
}

/** Returns the command in the bytes of one value; `undefined` if QEMU would refuse it as malformed. */
export function commandIn(bytes: Uint8Array): Command | undefined {
  const splitter = new FrameSplitter();
  splitter.load(bytes);
  const frame = splitter.next();
  if (frame === undefined || "damage" in frame) return undefined;
  const command = readCommand(frame, true);
  return "because" in command ? undefined : command;
}

/** The names of commands that only ask, besides those that begin with `query-`. */
const QUERIES: ReadonlySet<string> = new Set([
  "device-list-properties",
  "qom-get",
  "qom-list",
  "qom-list-properties",
  "qom-list-types",
  "trace-event-get-state",
  "xen-event-list",
]);

/** Returns whether a command only asks: its place among others makes no difference. */
export function isQuery(name: string): boolean {
  return QUERIES.has(name) || /^(x-|__org\.qmpmux_)?query-/.test(name);
}
