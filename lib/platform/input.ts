/**
 * The input of subcommands: lines of stdin, and files that a command line names.
 *
 * @module
 */

import { TextLineStream } from "@std/streams/text-line-stream";
import { UsageError } from "../policy/usage_error.ts";
import { Failure } from "./failure.ts";

/** Returns the lines of stdin without their ends; reading throws a UsageError if they are not UTF-8. */
export async function* stdinLines(): AsyncGenerator<string> {
  const decoder = new TextDecoderStream("utf-8", { fatal: true });
  const lines = Deno.stdin.readable
    .pipeThrough(decoder as TransformStream<Uint8Array, string>)
    .pipeThrough(new TextLineStream());
  try {
    yield* lines;
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new UsageError("stdin is not UTF-8");
  }
}

/**
 * Returns the text of a file that a command line names.
 *
 * @throws UsageError if there is none; Failure if it cannot be read
 */
export function textOfFile(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) throw new UsageError(`${path}: file not found`);
    if (error instanceof Deno.errors.NotCapable || !(error instanceof Error)) throw error;
    if (error instanceof Deno.errors.PermissionDenied) {
      throw new Failure(77, `${path}: no permission to read it`);
    }
    throw new Failure(1, `${path}: it cannot be read: ${error.message}`);
  }
}
