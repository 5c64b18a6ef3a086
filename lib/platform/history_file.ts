/**
 * A file with the lines that a user has typed, which only that user can read.
 *
 * Lines are appended one by one, so that several programs can share the file. A file that has grown is
 * replaced by one with its last lines when it is opened.
 *
 * @module
 */

import { Failure } from "./failure.ts";
import { directoryOf } from "./socket_file.ts";
import { readTextFile } from "./text_file.ts";

/** The most bytes of a file. */
const BYTES_LIMIT = 4 << 20;

const ENCODER = new TextEncoder();

/** A history. */
export class HistoryFile {
  readonly #path: string;

  /**
   * Opens a history, and creates the file and its directory if they do not exist.
   *
   * @throws Failure if that is not possible
   */
  constructor(path: string) {
    this.#path = path;
    attempt(path, () => {
      Deno.mkdirSync(directoryOf(path), { recursive: true, mode: 0o700 });
      using file = this.#open();
      // An earlier file may have been created by hand.
      if (((file.statSync().mode ?? 0) & 0o077) !== 0) Deno.chmodSync(path, 0o600);
    });
  }

  /**
   * Returns the last lines, the newest first.
   *
   * @param limit the most lines; a file with twice as many is shortened
   * @throws Failure if it cannot be read
   */
  read(limit: number): string[] {
    const text = readTextFile({
      path: this.#path,
      flag: "QMPMUX_HISTORY",
      limit: BYTES_LIMIT,
      status: 1,
    });
    const lines = text.split("\n").filter((line) => line !== "");
    const last = lines.slice(-limit);
    if (lines.length >= 2 * limit) this.#replace(last);
    return last.reverse();
  }

  /** Adds a line; @throws Failure if it cannot be written */
  add(line: string): void {
    attempt(this.#path, () => {
      using file = this.#open();
      write(file, `${line}\n`);
    });
  }

  #replace(lines: readonly string[]): void {
    attempt(this.#path, () => {
      const made = `${this.#path}.${crypto.randomUUID()}`;
      {
        using file = Deno.openSync(made, { write: true, createNew: true, mode: 0o600 });
        write(file, `${lines.join("\n")}\n`);
      }
      Deno.renameSync(made, this.#path);
    });
  }

  #open(): Deno.FsFile {
    return Deno.openSync(this.#path, { append: true, create: true, mode: 0o600 });
  }
}

function write(file: Deno.FsFile, text: string): void {
  const bytes = ENCODER.encode(text);
  for (let sent = 0; sent < bytes.length;) sent += file.writeSync(bytes.subarray(sent));
}

function attempt(path: string, run: () => void): void {
  try {
    run();
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable || !(error instanceof Error)) throw error;
    throw new Failure(1, `${path}: the history cannot be kept: ${error.message}`);
  }
}
