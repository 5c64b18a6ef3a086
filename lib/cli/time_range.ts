/**
 * Ranges of time in a recording: `--from` and `--to`.
 *
 * @module
 */

import { UsageError } from "../policy/usage_error.ts";
import type { Given } from "./flags.ts";
import type { Entry } from "./traffic_entries.ts";

/** A range, in seconds since the beginning of the recording; both ends belong to it. */
export interface TimeRange {
  /** The first second; 0 for the beginning. */
  readonly from: number;
  /** The last second; `Infinity` for the end. */
  readonly to: number;
}

/** The seconds of a day. */
const DAY = 86400;

/**
 * Reads the range from a command line.
 *
 * @param time the time of the beginning of the recording, RFC 3339
 * @throws UsageError if a time is invalid, or the range ends before it begins
 */
export function timeRange(command: string, given: Given, time: string): TimeRange {
  const start = Date.parse(time);
  const read = (flag: string): number | undefined => {
    const text = given.one(flag);
    if (text === undefined) return undefined;
    const seconds = secondsOf(text, start);
    if (seconds !== undefined) return seconds;
    throw new UsageError(
      `${command}: invalid value "${text}" for --${flag}: expected HH:MM:SS in UTC, a time of RFC 3339, ` +
        "or +S, seconds after the beginning",
    );
  };
  const [from = 0, to = Infinity] = [read("from"), read("to")];
  if (to < from) throw new UsageError(`${command}: --to is before --from; exchange them`);
  return { from, to };
}

/**
 * Returns the seconds since the beginning. A time of the day is that of the first day, or of the second
 * one if it would be more than half a day before the beginning.
 *
 * @param start the beginning in milliseconds since 1970
 */
function secondsOf(text: string, start: number): number | undefined {
  if (/^\+\d+(?:\.\d+)?$/.test(text)) return Number(text);
  const [, hours, minutes, seconds = "0"] =
    /^([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d(?:\.\d+)?))?$/.exec(text) ?? [];
  if (hours !== undefined) {
    const ofDay = Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds);
    const after = rounded(ofDay - start % (DAY * 1000) / 1000);
    return after < -DAY / 2 ? after + DAY : after;
  }
  if (!/^\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d)$/.test(text)) return undefined;
  const milliseconds = Date.parse(text);
  return Number.isNaN(milliseconds) ? undefined : (milliseconds - start) / 1000;
}

/** Rounds seconds to microseconds. */
function rounded(seconds: number): number {
  return Math.round(seconds * 1e6) / 1e6;
}

/** Tells whether an entry is in a range; a command is if it waited or ran then. */
export function isInRange(entry: Entry, { from, to }: TimeRange): boolean {
  const end = entry.kind === "command" ? entry.ended ?? entry.t : entry.t;
  return entry.t <= to && end >= from;
}
