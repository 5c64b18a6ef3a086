/**
 * `qmpmux show`: prints a recording for people, or the lines that pass a filter, or makes a page of it.
 *
 * @module
 */

import type { ExitStatus } from "../platform/failure.ts";
import { print } from "../platform/output.ts";
import { UsageError } from "../policy/usage_error.ts";
import type { Given } from "./flags.ts";
import { RecordingInput } from "./recording_input.ts";
import { TrafficEntries } from "./traffic_entries.ts";
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
  if (output !== undefined) {
    const { writePage } = await import("./show_page.ts");
    await writePage({ recording, input: path, output, globs });
  } else {
    const filter = new TrafficFilter(globs);
    await (given.has("json") ? printLines(recording, filter) : printText(recording, filter));
  }
  recording.checkWhole();
  return 0;
}

async function printText(recording: RecordingInput, filter: TrafficFilter): Promise<void> {
  const { header } = recording;
  const entries = new TrafficEntries({ filter, vm: header.vm, textLimit: LINE_TEXT_LIMIT });
  const text = new TrafficText({
    start: Date.parse(header.time),
    isColoured: Deno.stdout.isTerminal() && !Deno.env.get("NO_COLOR"),
    vm: header.vm,
  });
  text.header(header).forEach(print);
  const printAll = (lines: readonly string[]): void => lines.forEach(print);
  try {
    for await (const { number, line } of recording.lines()) {
      for (const entry of entries.take(number, line)) printAll(text.lines(entry));
    }
  } finally {
    for (const entry of entries.end()) printAll(text.lines(entry));
  }
}

async function printLines(recording: RecordingInput, filter: TrafficFilter): Promise<void> {
  const { RecordingExcerpt } = await import("./recording_excerpt.ts");
  const excerpt = new RecordingExcerpt(filter, recording.header.vm);
  print(recording.headerText);
  for await (const { number, line, text } of recording.lines()) {
    const kept = excerpt.take(number, line, text);
    if (kept !== undefined) print(kept);
  }
}
