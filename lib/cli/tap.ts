/**
 * `qmpmux tap`: prints the traffic of a running qmpmux as it happens.
 *
 * @module
 */

import { type ExitStatus, Failure } from "../platform/failure.ts";
import { print } from "../platform/output.ts";
import { readHeader, readRecordingLine } from "../observe/recording_reader.ts";
import type { Given } from "./flags.ts";
import { type TapArguments, tapLines } from "./tap_session.ts";
import { TrafficEntries } from "./traffic_entries.ts";
import { TrafficFilter, type TrafficGlobs, trafficGlobs } from "./traffic_filters.ts";
import { LINE_TEXT_LIMIT, TrafficText } from "./traffic_text.ts";

/**
 * Runs `qmpmux tap`.
 *
 * @throws UsageError, Failure
 */
export async function runTap(given: Given): Promise<ExitStatus> {
  const globs = trafficGlobs("tap", given);
  const choice = given.has("events") ? { ...globs, event: ANY } : globs;
  const args = tapArguments(choice, given);
  const { command = [] } = globs;
  // With the events alone, this filter would hide all commands.
  const filter = new TrafficFilter(command.length > 0 ? choice : globs);
  await tapLines("tap", given, args, given.has("json") ? print : textPrinter(filter));
  return 0;
}

/** The globs of every event. */
const ANY: readonly string[] = ["*"];

/** Returns the arguments for qmpmux; if only events are chosen, the list of commands is empty. */
function tapArguments({ vm, client, command, event }: TrafficGlobs, given: Given): TapArguments {
  const isEventsOnly = given.all("event").length > 0 && !given.has("events");
  return {
    vm: some(vm),
    client: some(client),
    command: some(command) ?? (isEventsOnly ? [] : undefined),
    events: event,
    secrets: given.has("secrets"),
    brief: !given.has("json"),
  };
}

function some(globs: readonly string[] | undefined): readonly string[] | undefined {
  return globs?.length ? globs : undefined;
}

/** Returns a function that prints each line for people. */
function textPrinter(filter: TrafficFilter): (line: string) => void {
  let number = 0;
  let entries: TrafficEntries;
  let text: TrafficText;
  return (received) => {
    if (++number === 1) {
      const header = checked(readHeader(received));
      entries = new TrafficEntries({ filter, vm: header.vm, textLimit: LINE_TEXT_LIMIT });
      text = new TrafficText({
        start: Date.parse(header.time),
        isColoured: Deno.stdout.isTerminal() && !Deno.env.get("NO_COLOR"),
        vm: header.vm,
      });
      return text.header(header).forEach(print);
    }
    const line = checked(readRecordingLine(received));
    for (const entry of entries.take(number, line)) text.lines(entry).forEach(print);
  };
}

function checked<T extends object>(read: T | { readonly wrong: string }): T {
  if ("wrong" in read) throw new Failure(69, `tap: qmpmux has sent a line, but ${read.wrong}`);
  return read;
}
