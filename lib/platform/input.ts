/**
 * The input of subcommands: the lines of stdin, and the errors of files that a command line names.
 *
 * @module
 */

import { UsageError } from "../policy/usage_error.ts";
import { Failure } from "./failure.ts";

const LINE_FEED = 0x0a;

/** A line without its line feed, or one that is too long to be read. */
export type InputLine = Uint8Array | "too long";

/**
 * Returns the lines of stdin. The last line may have no line feed.
 *
 * @param limit the most bytes of a line; a longer one is the last, and is not read to its end
 * @throws UsageError if stdin is a directory; Failure if it cannot be read
 */
export async function* stdinLines(limit: number): AsyncGenerator<InputLine> {
  /** The beginning of a line whose end has not come. */
  let parts: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of chunksOfStdin()) {
    let from = 0;
    for (;;) {
      const end = chunk.indexOf(LINE_FEED, from);
      const part = chunk.subarray(from, end < 0 ? chunk.length : end);
      length += part.length;
      if (length > limit) return yield "too long";
      parts.push(part);
      if (end < 0) break;
      yield joined(parts, length);
      [parts, length] = [[], 0];
      from = end + 1;
    }
  }
  if (length > 0) yield joined(parts, length);
}

async function* chunksOfStdin(): AsyncGenerator<Uint8Array> {
  try {
    yield* Deno.stdin.readable;
  } catch (error) {
    if (error instanceof Deno.errors.IsADirectory) {
      throw new UsageError("exec: stdin is a directory; redirect a file with commands, or a pipe");
    }
    if (!(error instanceof Error)) throw error;
    throw new Failure(1, `exec: stdin cannot be read: ${error.message}`);
  }
}

function joined(parts: readonly Uint8Array[], length: number): Uint8Array {
  if (parts.length === 1) return parts[0]!;
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Returns the error to throw for one that occurred while a file was read. */
export function unreadable(path: string, error: unknown): unknown {
  if (error instanceof Deno.errors.NotFound) return new UsageError(`${path}: file not found`);
  if (error instanceof Deno.errors.NotCapable || !(error instanceof Error)) return error;
  if (error instanceof Deno.errors.PermissionDenied) {
    return new Failure(77, `${path}: no permission to read it`);
  }
  return new Failure(1, `${path}: it cannot be read: ${error.message}`);
}
