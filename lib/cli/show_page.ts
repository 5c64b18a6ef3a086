/**
 * `qmpmux show --html`: writes a recording as a page for a browser.
 *
 * Rows are written as they come, so that the page takes no memory here.
 *
 * @module
 */

import { Failure } from "../platform/failure.ts";
import { say } from "../platform/log.ts";
import { isSameFile, OutputFile } from "../platform/output_file.ts";
import { onSignals } from "../platform/runtime.ts";
import { UsageError } from "../policy/usage_error.ts";
import { embedded, pageParts } from "./page_document.ts";
import { PAGE_TEXT_LIMIT, PageRows } from "./page_rows.ts";
import { recordedEntries } from "./recorded_entries.ts";
import type { RecordingInput } from "./recording_input.ts";
import type { TimeRange } from "./time_range.ts";
import type { TrafficFilter } from "./traffic_filters.ts";
import { versionOf } from "./traffic_text.ts";

/** A page to write. */
export interface PageOrder {
  /** The recording. */
  readonly recording: RecordingInput;
  /** The path of the recording. */
  readonly input: string;
  /** The path of the page. */
  readonly output: string;
  /** The filter. */
  readonly filter: TrafficFilter;
  /** The range of time. */
  readonly range: TimeRange;
  /** The filter and the range, as texts that the page shows. */
  readonly choice: readonly string[];
}

/**
 * Writes the page.
 *
 * @throws UsageError if it would replace the recording; Failure if it cannot be written, or a signal ends it
 */
export async function writePage(order: PageOrder): Promise<void> {
  const { recording, input, output } = order;
  if (output === "") throw new UsageError("show: --html: the path is empty; name a file");
  if (input !== "-" && isSameFile(input, output)) {
    throw new UsageError(`show: --html: ${output} is the recording; name another file`);
  }
  const { vm, time } = recording.header;
  const { before, after } = await pageParts(vm === undefined ? "Recording" : `${vm}: recording`);
  const rows = new PageRows(vm);
  using file = OutputFile.create(output);
  const stopped = Promise.withResolvers<never>();
  const stop = (): void =>
    stopped.reject(new Failure(1, "show: a signal has ended it before the page was whole"));
  using _signals = onSignals(stop, stop, () => {});
  file.write(`${before}{"rows":[\n`);
  await Promise.race([writeRows(file, rows, order), stopped.promise]);
  file.write(`],\n${aboutText(rows, order)}}${after}`);
  file.finish();
  const { left } = rows;
  if (left === undefined) return;
  const total = rows.count + left.commands + left.events + left.others;
  const last = new Date(Date.parse(time) + left.from * 1000).toISOString();
  say(
    `show: ${output}: the page has the first ${rows.count} of ${total} messages, until ${last}; ` +
      "choose others with --from or the filters",
  );
}

async function writeRows(file: OutputFile, rows: PageRows, order: PageOrder): Promise<void> {
  const { recording, filter, range } = order;
  const choice = { filter, range, textLimit: PAGE_TEXT_LIMIT };
  let separator = "";
  for await (const entry of recordedEntries(recording, choice)) {
    const row = rows.row(entry);
    if (row === undefined) continue;
    file.write(`${separator}${row}\n`);
    separator = ",";
  }
}

/** Returns the members of the content besides its rows. */
function aboutText(rows: PageRows, { recording, choice }: PageOrder): string {
  const { time, vm, version, greeting } = recording.header;
  const about = {
    start: Date.parse(time),
    vm,
    qemu: greeting === undefined ? rows.qemu : versionOf(greeting),
    version,
    filters: choice,
    clients: rows.clients,
    left: rows.left,
    cut: rows.cut,
    damaged: recording.damaged,
  };
  return embedded(JSON.stringify(about)).slice(1, -1);
}
