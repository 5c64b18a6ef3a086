/**
 * The shell without a terminal: runs the lines of stdin, and prints the values as JSON.
 *
 * @module
 */

import type { Qmp } from "../../client/qmp.ts";
import { type ExitStatus, Failure } from "../../platform/failure.ts";
import { stdinLines } from "../../platform/input.ts";
import { say } from "../../platform/log.ts";
import { print } from "../../platform/output.ts";
import { UsageError } from "../../policy/usage_error.ts";
import { decodeUtf8 } from "../../wire/utf8.ts";
import { plain } from "./paint.ts";
import { Session } from "./session.ts";
import type { View } from "./view.ts";

/** The most bytes of a line; QEMU itself reads no longer command. */
const LINE_BYTES_LIMIT = 64 << 20;

/**
 * Runs the lines of stdin.
 *
 * @param keepsGoing whether lines follow after an error
 * @returns the status of the first error; 0 if none occurred
 * @throws Failure if stdin cannot be read, or stdout cannot be written
 */
export async function runScript(qmp: Qmp, keepsGoing: boolean): Promise<ExitStatus> {
  let number = 0;
  const view: View = {
    print,
    complain: (text) => say(`shell: line ${number}: ${text}`),
    // Without a terminal, progress is written to stderr.
    progress: () => {},
    columns: 80,
    lineColumn: 0,
    isTerminal: false,
    paint: plain,
  };
  const session = new Session(qmp, view);
  const { signal } = new AbortController();
  let status: ExitStatus = 0;
  for await (const bytes of stdinLines(LINE_BYTES_LIMIT)) {
    number++;
    const outcome = await session.run(textOf(bytes, number), signal);
    if (outcome === "left") break;
    if (outcome === 0) continue;
    status ||= outcome === "lost" ? 1 : outcome;
    if (!keepsGoing || outcome === "lost") break;
  }
  if (status === 0 && session.actions !== undefined) {
    throw new UsageError("shell: stdin ends within a transaction; end it with a line }");
  }
  return status;
}

/** Returns the text of a line; @throws UsageError if it is too long, Failure if it is not UTF-8 */
function textOf(bytes: Uint8Array | "too long", number: number): string {
  if (bytes === "too long") {
    throw new UsageError(
      `shell: line ${number}: it has more than ${LINE_BYTES_LIMIT >> 20} MiB; shorten it`,
    );
  }
  const text = decodeUtf8(bytes);
  if (typeof text === "string") return text.replace(/\r$/, "");
  throw new Failure(64, `shell: line ${number}: ${text.wrong}; write it in UTF-8`);
}
