/**
 * The output of subcommands, on stdout.
 *
 * @module
 */

import { Failure } from "./failure.ts";

/** The error if the reader of stdout has closed it. The program then exits without a message. */
export class Unread extends Error {
  /** Its kind. */
  override name = "Unread";
}

/**
 * Prints a text and an end of line.
 *
 * @throws Unread if the reader has closed stdout
 * @throws Failure if stdout cannot be written
 */
export function print(text: string): void {
  printPart(`${text}\n`);
}

/** Prints a text as it is; throws as {@linkcode print} does. */
export function printPart(text: string): void {
  const bytes = new TextEncoder().encode(text);
  try {
    for (let sent = 0; sent < bytes.length;) {
      sent += Deno.stdout.writeSync(bytes.subarray(sent));
    }
  } catch (error) {
    if (error instanceof Deno.errors.BrokenPipe) throw new Unread();
    if (!(error instanceof Error)) throw error;
    throw new Failure(1, `stdout cannot be written: ${error.message}`);
  }
}
