/**
 * The entries of a recording that pass a filter, within a range of time.
 *
 * @module
 */

import type { RecordingInput } from "./recording_input.ts";
import { isInRange, type TimeRange } from "./time_range.ts";
import { type Entry, TrafficEntries } from "./traffic_entries.ts";
import type { TrafficFilter } from "./traffic_filters.ts";

/** The choice of entries. */
export interface EntryChoice {
  /** The filter. */
  readonly filter: TrafficFilter;
  /** The range of time. */
  readonly range: TimeRange;
  /** The most characters of a text. */
  readonly textLimit: number;
}

/**
 * Returns the entries, each when it is complete. After the range, only the replies to its commands are
 * read. If the recording cannot be read to its end, the commands that wait come before the error.
 */
export async function* recordedEntries(
  recording: RecordingInput,
  { filter, range, textLimit }: EntryChoice,
): AsyncGenerator<Entry> {
  const entries = new TrafficEntries({ filter, vm: recording.header.vm, textLimit });
  let problem: unknown;
  try {
    for await (const { number, line } of recording.lines()) {
      if (line.t > range.to) {
        if (entries.waiting === 0) break;
        if (line.kind !== "reply") continue;
      }
      for (const entry of entries.take(number, line)) if (isInRange(entry, range)) yield entry;
    }
  } catch (error) {
    problem = error;
  }
  for (const entry of entries.end()) if (isInRange(entry, range)) yield entry;
  if (problem !== undefined) throw problem;
}
