/**
 * A file with a cursor: one line, which is replaced as a whole.
 *
 * The new line is written to another file, which is then renamed. Whenever the process is killed, the
 * file has either the earlier cursor or the later one. It is not synchronized to the disk: after a power
 * failure it may have an earlier one.
 *
 * @module
 */

import { type ExitStatus, Failure } from "./failure.ts";
import { directoryOf } from "./socket_file.ts";
import { readTextFile } from "./text_file.ts";

/** The most bytes of a file. */
const BYTES_LIMIT = 1 << 20;

/** A cursor on a line. */
const CURSOR = /^[\x21-\x7e]{1,256}\n?$/;

const ENCODER = new TextEncoder();

/** A file with a cursor. */
export class CursorFile {
  readonly #path: string;
  /** The path behind symbolic links, which stay. */
  readonly #target: string;
  readonly #temporary: string;
  #written: string | undefined;

  /**
   * Opens a file, which need not exist.
   *
   * @throws Failure if it is not a regular file, or cannot be replaced
   */
  constructor(path: string) {
    this.#path = path;
    this.#target = targetOf(path);
    const directory = directoryOf(this.#target);
    this.#temporary = `${directory}/.${this.#target.slice(this.#target.lastIndexOf("/") + 1)}.new`;
    this.#attempt(() => {
      this.#create().close();
      Deno.removeSync(this.#temporary);
    });
  }

  /** Returns the cursor; `undefined` if the file does not exist; @throws Failure if it has none */
  read(): string | undefined {
    try {
      Deno.statSync(this.#target);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw failureOf(this.#path, "read", error);
    }
    const text = readTextFile({
      path: this.#path,
      flag: "--cursor-file",
      limit: BYTES_LIMIT,
      status: 1,
    });
    if (CURSOR.test(text)) return text.trimEnd();
    const found = text === "" ? "it is empty" : "it does not have one line with a cursor";
    throw new Failure(1, `${this.#path}: ${found}; remove it to begin anew`);
  }

  /** Replaces the cursor, if it is another one; @throws Failure if the file cannot be written */
  write(cursor: string): void {
    if (cursor === this.#written) return;
    this.#attempt(() => {
      const bytes = ENCODER.encode(`${cursor}\n`);
      using file = this.#create();
      for (let sent = 0; sent < bytes.length;) sent += file.writeSync(bytes.subarray(sent));
      Deno.renameSync(this.#temporary, this.#target);
    });
    this.#written = cursor;
  }

  /** Creates the other file; one that a killed process has left is removed first. */
  #create(): Deno.FsFile {
    const create = (): Deno.FsFile =>
      Deno.openSync(this.#temporary, { write: true, createNew: true });
    try {
      return create();
    } catch (error) {
      if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    }
    Deno.removeSync(this.#temporary);
    return create();
  }

  #attempt(run: () => void): void {
    try {
      run();
    } catch (error) {
      throw failureOf(this.#path, "written", error);
    }
  }
}

/** Returns the path behind symbolic links; @throws Failure if something else than a file is there */
function targetOf(path: string): string {
  try {
    const target = Deno.realPathSync(path);
    if (Deno.statSync(target).isFile) return target;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return path;
    throw failureOf(path, "read", error);
  }
  throw new Failure(64, `${path} is not a regular file; name one, or a path for a new one`);
}

function failureOf(path: string, what: "read" | "written", error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof Deno.errors.NotCapable) return error;
  const [status, reason] = reasonOf(path, error);
  return new Failure(status, `${path} cannot be ${what}: ${reason}`);
}

function reasonOf(path: string, error: Error): readonly [ExitStatus, string] {
  const directory = directoryOf(path);
  if (error instanceof Deno.errors.NotFound) {
    return [1, `the directory ${directory} does not exist; create it first`];
  }
  if (error instanceof Deno.errors.PermissionDenied) {
    return [77, `no permission for a new file in ${directory}; choose another directory`];
  }
  return [1, error.message];
}
