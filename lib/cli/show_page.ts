/**
 * `qmpmux show --html`: writes a recording as a page for a browser.
 *
 * Rows are written as they come, so that the page takes no memory here.
 *
 * @module
 */

import { say } from "../platform/log.ts";
import { isSameFile, OutputFile } from "../platform/output_file.ts";
import { UsageError } from "../policy/usage_error.ts";
import { embedded, pageParts } from "./page_document.ts";
import { PAGE_TEXT_LIMIT, PageRows } from "./page_rows.ts";
import type { RecordingInput } from "./recording_input.ts";
import { type Entry, TrafficEntries } from "./traffic_entries.ts";
import { TrafficFilter, type TrafficGlobs } from "./traffic_filters.ts";
import { versionOf } from "./traffic_text.ts";

/** A page to write. */
export interface PageOrder {
  /** The recording. */
  readonly recording: RecordingInput;
  /** The path of the recording. */
  readonly input: string;
  /** The path of the page. */
  readonly output: string;
  /** The filters. */
  readonly globs: TrafficGlobs;
}

/**
 * Writes the page.
 *
 * @throws UsageError if it would replace the recording; Failure if it cannot be written
 */
export async function writePage({ recording, input, output, globs }: PageOrder): Promise<void> {
  if (output === "") throw new UsageError("show: --html: the path is empty; name a file");
  if (input !== "-" && isSameFile(input, output)) {
    throw new UsageError(`show: --html: ${output} is the recording; name another file`);
  }
  const { header } = recording;
  const { vm } = header;
  const { before, after } = await pageParts(vm === undefined ? "Recording" : `${vm}: recording`);
  const rows = new PageRows(vm);
  using file = OutputFile.create(output);
  file.write(`${before}{"rows":[\n`);
  await writeRows(file, rows, recording, new TrafficFilter(globs));
  file.write(`],\n${embedded(aboutText(recording, rows, globs))}}${after}`);
  file.finish();
  const { left } = rows;
  if (left === undefined) return;
  const total = rows.count + left.commands + left.events + left.others;
  say(
    `show: ${output}: the page has the first ${rows.count} of ${total} messages; ` +
      "choose others with the filters",
  );
}

async function writeRows(
  file: OutputFile,
  rows: PageRows,
  recording: RecordingInput,
  filter: TrafficFilter,
): Promise<void> {
  const { vm } = recording.header;
  const entries = new TrafficEntries({ filter, vm, textLimit: PAGE_TEXT_LIMIT });
  let separator = "";
  const add = (entry: Entry): void => {
    const row = rows.row(entry);
    if (row === undefined) return;
    file.write(`${separator}${embedded(row)}\n`);
    separator = ",";
  };
  for await (const { number, line } of recording.lines()) entries.take(number, line).forEach(add);
  entries.end().forEach(add);
}

/** Returns the members of the content besides its rows. */
function aboutText(recording: RecordingInput, rows: PageRows, globs: TrafficGlobs): string {
  const { time, vm, version, greeting } = recording.header;
  const about = {
    start: Date.parse(time),
    vm,
    qemu: greeting === undefined ? undefined : versionOf(greeting),
    version,
    filters: Object.entries(globs).flatMap(([flag, list = []]) =>
      list.map((glob) => `--${flag} ${glob}`)
    ),
    clients: rows.clients,
    left: rows.left,
    cut: rows.cut,
    damaged: recording.damaged,
  };
  return JSON.stringify(about).slice(1, -1);
}
