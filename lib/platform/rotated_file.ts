/**
 * Files that take turns: the present one, and a number of older ones, `PATH.1` the newest of them.
 *
 * Files have whole lines only, and only their user can read them.
 *
 * @module
 */

import { Failure } from "./failure.ts";
import { directoryOf } from "./socket_file.ts";

const DECODER = new TextDecoder();

const LINE_FEED = 0x0a;

/** The mode of a new file: only its owner may read it. */
const MODE = 0o600;

/** A file that is followed by another one. */
export interface RotatedFile {
  /** The path of the present file. */
  readonly path: string;
  /** Whether the present file has been moved away or removed. */
  readonly isMoved: boolean;
  /** Begins a file; renames the present one, and keeps `older` files; throws if it cannot. */
  turn(older: number): void;
  /** Appends lines to the present file, all or none; throws if it cannot. */
  write(lines: Uint8Array): Promise<void>;
  /** Closes the present file; a pending write may fail. */
  close(): void;
}

/** Files on disk. */
export class DiskFiles implements RotatedFile {
  /** The path of the present file. */
  readonly path: string;
  readonly #beginning: string;
  #file: Deno.FsFile | undefined;
  /** The number of bytes of whole lines in the present file. */
  #length = 0;

  /**
   * Creates the first file. One that is there becomes an older one.
   *
   * @param beginning the text with which such files begin; no other file is renamed
   * @param older the number of older files that are kept
   * @throws Failure if it cannot
   */
  constructor(path: string, beginning: string, older: number) {
    this.path = path;
    this.#beginning = beginning;
    try {
      this.turn(older);
    } catch (error) {
      if (error instanceof Failure) throw error;
      if (error instanceof Deno.errors.NotFound && infoOf(path) !== undefined) {
        throw new Failure(
          78,
          `record ${path}: it is a symbolic link to nothing; remove it, or name another file`,
        );
      }
      if (error instanceof Deno.errors.NotFound) throw new Failure(78, noDirectory(path));
      const isDenied = error instanceof Deno.errors.PermissionDenied;
      const { message } = error as Error;
      throw new Failure(isDenied ? 77 : 78, `record ${path} cannot be opened: ${message}`);
    }
  }

  /** Whether the present file has been moved away or removed. */
  get isMoved(): boolean {
    const [there, own] = [infoOf(this.path), this.#file?.statSync()];
    return there?.ino !== own?.ino || there?.dev !== own?.dev;
  }

  /** Begins a file; @throws Failure if another file has its name; Error if it cannot */
  turn(older: number): void {
    if (infoOf(this.path) !== undefined) {
      // An older file is worth more than one without lines, as an earlier process may leave on a full disk.
      if (this.#mend() === 0) Deno.removeSync(this.path);
      else this.#rename(older);
    }
    const file = Deno.openSync(this.path, { append: true, createNew: true, mode: MODE });
    this.#file?.close();
    this.#file = file;
    this.#length = 0;
  }

  /** Gives the present file the name of the newest older one, and each of those the next one. */
  #rename(older: number): void {
    for (let number = older - 1; number > 0; number--) {
      if (infoOf(`${this.path}.${number}`) === undefined) continue;
      Deno.renameSync(`${this.path}.${number}`, `${this.path}.${number + 1}`);
    }
    Deno.renameSync(this.path, `${this.path}.1`);
  }

  /** Appends lines. If that fails, nothing of them is left behind. */
  async write(lines: Uint8Array): Promise<void> {
    const file = this.#file!;
    try {
      for (let sent = 0; sent < lines.length;) sent += await file.write(lines.subarray(sent));
    } catch (error) {
      file.truncateSync(this.#length);
      throw error;
    }
    this.#length += lines.length;
  }

  /** Closes the present file. */
  close(): void {
    this.#file?.close();
  }

  /**
   * Checks that the file may be renamed, and removes the part of a line that a killed process may leave at
   * its end.
   *
   * @returns its length
   * @throws Failure if it is another kind of file
   */
  #mend(): number {
    // Opening a pipe would block until it has a writer.
    const { isFile, size } = Deno.statSync(this.path);
    if (isFile) {
      using file = Deno.openSync(this.path);
      const length = Math.min(size, this.#beginning.length);
      const beginning = DECODER.decode(bytesAt(file, 0, length));
      // The present file may have lost its beginning: a full disk is often mended by emptying it.
      if (size === 0 || !this.isMoved || beginning === this.#beginning) {
        const whole = wholeLines(file, size);
        if (whole < size) Deno.truncateSync(this.path, whole);
        return whole;
      }
    }
    throw new Failure(78, noRecording(this.path));
  }
}

/**
 * Returns why a recording cannot be written to a path.
 *
 * @returns `undefined` if it can, if its file could be created, or if that cannot be known
 */
export function recordProblem(path: string): string | undefined {
  try {
    const found = statOf(path);
    if (found) return found.isFile ? undefined : noRecording(path);
    return statOf(directoryOf(path))?.isDirectory ? undefined : noDirectory(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotADirectory) return noDirectory(path);
    if (error instanceof Deno.errors.PermissionDenied) return undefined;
    throw error;
  }
}

/**
 * Tries to create a file beside a recording, as each next file of it is created.
 *
 * @returns why this process cannot; `undefined` if it can
 */
export function creationProblem(path: string): string | undefined {
  const directory = directoryOf(path);
  const trial = `${directory}/.qmpmux-${crypto.randomUUID()}`;
  try {
    Deno.openSync(trial, { write: true, createNew: true, mode: MODE }).close();
    Deno.removeSync(trial);
    return undefined;
  } catch (error) {
    const isDenied = error instanceof Deno.errors.PermissionDenied;
    const because = isDenied ? "no permission" : (error as Error).message;
    return `record ${path}: you cannot create files in ${directory}: ${because}; ` +
      "the user of qmpmux must be able to";
  }
}

function noDirectory(path: string): string {
  return `record ${path}: the directory ${directoryOf(path)} does not exist; create it first`;
}

function noRecording(path: string): string {
  return `record ${path} exists and is not a recording; name another file, or remove it`;
}

/** Returns information about a path, or about the target if it is a link. */
function statOf(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.statSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** The bytes in which an end of line is looked for at a time. */
const PART_BYTES = 65536;

/** Returns the length of the whole lines in a file. */
function wholeLines(file: Deno.FsFile, size: number): number {
  for (let end = size; end > 0;) {
    const from = Math.max(0, end - PART_BYTES);
    const at = bytesAt(file, from, end - from).lastIndexOf(LINE_FEED);
    if (at >= 0) return from + at + 1;
    end = from;
  }
  return 0;
}

/** Reads bytes at a place; fewer if the file ends before. */
function bytesAt(file: Deno.FsFile, place: number, count: number): Uint8Array {
  file.seekSync(place, Deno.SeekMode.Start);
  const bytes = new Uint8Array(count);
  let length = 0;
  while (length < count) {
    const read = file.readSync(bytes.subarray(length));
    if (read === null) break;
    length += read;
  }
  return bytes.subarray(0, length);
}

/** Returns information about a path itself, not about the target of a link. */
function infoOf(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.lstatSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
