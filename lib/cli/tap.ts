/**
 * `qmpmux tap`: prints the traffic of a running qmpmux as it happens.
 *
 * @module
 */

import { type ExitStatus, Failure } from "../platform/failure.ts";
import { print } from "../platform/output.ts";
import type { RecordedMessage } from "../observe/recording_line.ts";
import { readHeader, readRecordingLine } from "../observe/recording_reader.ts";
import type { Given } from "./flags.ts";
import { type TapArguments, tapLines } from "./tap_session.ts";
import { type Entry, TrafficEntries } from "./traffic_entries.ts";
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
    const entered: Entry[] = [];
    if (line.kind === "reply" && line.command !== undefined) {
      entered.push(...entries.take(number, commandIn(line, line.command)));
      entered.push(...entries.take(number + 1, { ...line, of: number }));
      number++;
    } else entered.push(...entries.take(number, line));
    for (const entry of entered) text.lines(entry).forEach(print);
  };
}

/** Returns the line of a command whose text is in the line of its reply. */
function commandIn(reply: RecordedMessage, text: string): RecordedMessage {
  const { t, ago = 0, side, vm, client } = reply;
  return { kind: "command", t: Math.max(0, t - ago), side, vm, client, dir: ">", text };
}

function checked<T extends object>(read: T | { readonly wrong: string }): T {
  if ("wrong" in read) throw new Failure(69, `tap: qmpmux has sent a line, but ${read.wrong}`);
  return read;
}
