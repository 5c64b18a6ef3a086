/**
 * Files of recordings: new ones, which only their user can read, and which have whole lines only.
 *
 * @module
 */

import { Failure } from "./failure.ts";
import { directoryOf } from "./socket_file.ts";

const ENCODER = new TextEncoder();

/** The mode of a new file: only its owner may read it. */
const MODE = 0o600;

/** A new file of lines. */
export class RecordingFile implements Disposable {
  readonly #path: string;
  readonly #file: Deno.FsFile;
  /** The number of bytes of whole lines. */
  #length = 0;
  /** The number of lines. */
  lines = 0;

  /**
   * Creates the file.
   *
   * @throws Failure if it exists already, or cannot be created
   */
  constructor(path: string) {
    this.#path = path;
    this.#file = withFailures(
      path,
      () => Deno.openSync(path, { write: true, createNew: true, mode: MODE }),
    );
  }

  /**
   * Writes a line. If that fails, a part of it is not left behind.
   *
   * @throws Failure if it cannot be written
   */
  write(line: string): void {
    const bytes = ENCODER.encode(`${line}\n`);
    withFailures(this.#path, () => {
      try {
        for (let sent = 0; sent < bytes.length;) sent += this.#file.writeSync(bytes.subarray(sent));
      } catch (error) {
        this.#file.truncateSync(this.#length);
        throw error;
      }
    });
    this.#length += bytes.length;
    this.lines++;
  }

  /** Closes the file. */
  [Symbol.dispose](): void {
    this.#file.close();
  }
}

/**
 * Checks that no file of this name exists.
 *
 * @throws Failure if one does, or if that cannot be known
 */
export function checkNew(path: string): void {
  withFailures(path, () => {
    try {
      Deno.lstatSync(path);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return;
      throw error;
    }
    throw new Deno.errors.AlreadyExists();
  });
}

/** Runs a function; makes the system's errors failures. */
function withFailures<T>(path: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) {
      throw new Failure(1, `${path} exists already; name a new file, or remove it`);
    }
    if (error instanceof Deno.errors.NotFound) {
      throw new Failure(1, `${path}: the directory ${directoryOf(path)} does not exist`);
    }
    if (error instanceof Deno.errors.PermissionDenied) {
      throw new Failure(77, `${path}: no permission to write it`);
    }
    if (error instanceof Deno.errors.NotCapable || !(error instanceof Error)) throw error;
    throw new Failure(1, `${path}: it cannot be written: ${error.message}`);
  }
}
