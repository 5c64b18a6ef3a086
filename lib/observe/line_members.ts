/**
 * The members of lines in a recording that are not texts of messages.
 *
 * @module
 */

import { type Output, outputOf } from "../wire/output.ts";
import { printable } from "../wire/printable.ts";
import type { TappedClient } from "./traffic.ts";
import { jsonOf } from "./traffic_texts.ts";

/** A line that others may name. */
export interface Line {
  /** Its number; 0 if it was not written. */
  readonly number: number;
  /** The number of its file. */
  readonly file: number;
}

/** The members that begin the lines of one side, by kind. */
export interface Heads {
  /** Those that begin all of them. */
  readonly all: string;
  /** Those of a command. */
  readonly command: Output;
  /** Those of a reply. */
  readonly reply: Output;
  /** Those of an event. */
  readonly event: Output;
}

/** Returns the heads of a side; `more` follows in the lines of commands. */
export function headsOf(all: string, more = ""): Heads {
  return {
    all,
    command: outputOf(`${all}"dir":">","kind":"command",${more}`),
    reply: outputOf(`${all}"dir":"<","kind":"reply",`),
    event: outputOf(`${all}"dir":"<","kind":"event",`),
  };
}

/** The names of members, and the signs between them. */
export const MEMBERS = {
  ago: outputOf('"ago":'),
  command: outputOf('"command":'),
  of: outputOf('"of":'),
  wait: outputOf('"wait":'),
  run: outputOf('"run":'),
  comma: outputOf(","),
  listEnd: outputOf("],"),
} as const;

/** Writes a member of seconds, and a comma. */
export function putSeconds(out: Output, name: Output, value: number): void {
  out.append(name);
  out.millionths(Math.max(0, Math.round(value * 1e6)));
  out.append(MEMBERS.comma);
}

/** A function that returns the name of a program by its process id, if it can. */
export type ProgramOf = ((pid: number) => string | undefined) | undefined;

/** Returns the members that describe a client, as JSON members. */
export function clientMembers(
  { grant, dialect, mode, capabilities, filter, peer }: TappedClient,
  programOf: ProgramOf,
): string {
  const { pid, uid, gid } = peer?.identity ?? {};
  const members = JSON.stringify({
    listener: grant.name,
    role: grant.role.name,
    dialect,
    mode,
    capabilities,
    filter: filter ?? null,
    peer: pid === undefined ? null : { pid, uid, gid, comm: programOf?.(pid) },
  });
  return printable(members.slice(1, -1));
}

/** The parts of an error that repeat input: between quotes, and before a phrase of QEMU's. */
const REPEATED = /'[^]*'|'[^']*$|(?<=JSON parse error, )[^]*(?= is not a valid)/;

/** Returns the members of malformed input: nothing of its text. */
export function damageMembers(reason: string, length: number | undefined): string {
  const size = length === undefined ? "" : `"length":${length},`;
  return `${size}"reason":${jsonOf(reason.replace(REPEATED, "'...'"))}`;
}
