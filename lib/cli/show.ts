/**
 * `qmpmux show`: prints a recording for people, or the lines that pass a filter, or makes a page of it.
 *
 * @module
 */

import type { ExitStatus } from "../platform/failure.ts";
import { print } from "../platform/output.ts";
import { UsageError } from "../policy/usage_error.ts";
import { printableJson } from "../wire/printable.ts";
import type { Given } from "./flags.ts";
import { recordedEntries } from "./recorded_entries.ts";
import { RecordingInput } from "./recording_input.ts";
import { type TimeRange, timeRange } from "./time_range.ts";
import { TRAFFIC_FLAGS } from "./traffic_commands.ts";
import { TrafficFilter, trafficGlobs } from "./traffic_filters.ts";
import { LINE_TEXT_LIMIT, TrafficText } from "./traffic_text.ts";

/**
 * Runs `qmpmux show`.
 *
 * @throws UsageError, Failure
 */
export async function runShow(given: Given): Promise<ExitStatus> {
  const [path] = given.operands;
  if (path === undefined) {
    throw new UsageError("show: the recording is missing; name its file, or - for stdin");
  }
  const output = given.one("html");
  if (output !== undefined && given.has("json")) {
    throw new UsageError("show: --html and --json exclude each other; give one");
  }
  const globs = trafficGlobs("show", given);
  const recording = await RecordingInput.open("show", path);
  const range = timeRange("show", given, recording.header.time);
  const order = { recording, filter: new TrafficFilter(globs), range };
  if (output !== undefined) {
    const { writePage } = await import("./show_page.ts");
    await writePage({ ...order, input: path, output, choice: choiceOf(given) });
  } else await (given.has("json") ? printLines(order) : printText(order));
  recording.checkWhole();
  return 0;
}

/** A recording to print. */
interface Order {
  readonly recording: RecordingInput;
  readonly filter: TrafficFilter;
  readonly range: TimeRange;
}

/** Returns the filters and the range as they were given. */
function choiceOf(given: Given): readonly string[] {
  const flags = [...Object.keys(TRAFFIC_FLAGS), "from", "to"];
  return flags.flatMap((flag) => given.all(flag).map((value) => `--${flag} ${value}`));
}

async function printText({ recording, filter, range }: Order): Promise<void> {
  const { header } = recording;
  const text = new TrafficText({
    start: Date.parse(header.time),
    isColoured: Deno.stdout.isTerminal() && !Deno.env.get("NO_COLOR"),
    vm: header.vm,
  });
  text.header(header).forEach(print);
  const choice = { filter, range, textLimit: LINE_TEXT_LIMIT };
  for await (const entry of recordedEntries(recording, choice)) text.lines(entry).forEach(print);
}

async function printLines({ recording, filter, range }: Order): Promise<void> {
  const { RecordingExcerpt } = await import("./recording_excerpt.ts");
  const excerpt = new RecordingExcerpt(filter, recording.header.vm);
  print(printableJson(recording.headerText));
  for await (const { number, line, text } of recording.lines()) {
    if (line.t < range.from) continue;
    if (line.t > range.to) break;
    const kept = excerpt.take(number, line, text);
    if (kept !== undefined) print(printableJson(kept));
  }
}
