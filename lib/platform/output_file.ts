/**
 * Files that subcommands write part by part, and that appear under their names only when they are whole.
 *
 * @module
 */

import { Failure } from "./failure.ts";
import { printPart } from "./output.ts";

const ENCODER = new TextEncoder();

/** A file that is being written. */
export class OutputFile {
  readonly #path: string;
  /** The file that takes the name at the end; `undefined` for stdout and a pipe. */
  readonly #made: string | undefined;
  /** The open file; `undefined` for stdout. */
  readonly #file: Deno.FsFile | undefined;
  #isFinished = false;

  private constructor(path: string, made?: string, file?: Deno.FsFile) {
    this.#path = path;
    this.#made = made;
    this.#file = file;
  }

  /**
   * Creates a file that only its user can read. What is there stays until {@linkcode finish}; a pipe is
   * written at once.
   *
   * @param path a path; `-` stands for stdout
   * @throws Failure if it cannot be created
   */
  static create(path: string): OutputFile {
    if (path === "-") return new OutputFile("stdout");
    return asFailure(path, () => {
      const there = kindOf(path);
      if (there === "other") {
        return new OutputFile(path, undefined, Deno.openSync(path, { write: true }));
      }
      const made = `${there === "file" ? Deno.realPathSync(path) : path}.${crypto.randomUUID()}`;
      const file = Deno.openSync(made, { write: true, createNew: true, mode: 0o600 });
      return new OutputFile(path, made, file);
    });
  }

  /** Writes a part; @throws Failure if it cannot be written, or Unread if nobody reads stdout any more */
  write(text: string): void {
    const file = this.#file;
    if (file === undefined) return printPart(text);
    const bytes = ENCODER.encode(text);
    asFailure(this.#path, () => {
      for (let sent = 0; sent < bytes.length;) sent += file.writeSync(bytes.subarray(sent));
    });
  }

  /** Gives the file its name, in place of one that is there; @throws Failure if that is not possible */
  finish(): void {
    asFailure(this.#path, () => {
      if (this.#made === undefined) return;
      this.#file?.syncDataSync();
      Deno.renameSync(this.#made, this.#made.slice(0, -SUFFIX_LENGTH));
    });
    this.#isFinished = true;
  }

  /** Closes the file, and removes it if it is not finished. */
  [Symbol.dispose](): void {
    this.#file?.close();
    if (!this.#isFinished && this.#made !== undefined) Deno.removeSync(this.#made);
  }
}

/** The length of the part behind the name: a dot and a UUID. */
const SUFFIX_LENGTH = 37;

/** Returns what a path is: a regular file, something else, or nothing. */
function kindOf(path: string): "file" | "other" | "nothing" {
  try {
    return Deno.statSync(path).isFile ? "file" : "other";
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "nothing";
    throw error;
  }
}

/** Returns whether two paths name the same file; false if that cannot be told. */
export function isSameFile(one: string, other: string): boolean {
  try {
    const [a, b] = [Deno.statSync(one), Deno.statSync(other)];
    return a.dev === b.dev && a.ino === b.ino;
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable || !(error instanceof Error)) throw error;
    return false;
  }
}

/** Runs a function; makes the system's errors failures. */
function asFailure<T>(path: string, act: () => T): T {
  try {
    return act();
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable || !(error instanceof Error)) throw error;
    if (error instanceof Deno.errors.PermissionDenied) {
      throw new Failure(77, `${path}: no permission to write it`);
    }
    throw new Failure(1, `${path}: it cannot be written: ${error.message}`);
  }
}
