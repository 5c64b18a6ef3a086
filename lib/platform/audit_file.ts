/**
 * The audit as lines of JSON in an append-only file.
 *
 * @module
 */

import { type AuditRecord, lineOf } from "../observe/audit.ts";
import { Failure } from "./failure.ts";
import { directoryOf } from "./socket_file.ts";

/** An audit target: a file or the journal. */
export interface AuditWriter {
  /** The name in settings and in the log. */
  readonly name: string;
  /** Returns a record in the format of the target. */
  format(record: AuditRecord): string;
  /** Writes a formatted record, or throws. */
  write(text: string): Promise<void>;
  /** Reopens the target, or throws. */
  reopen(): void;
  /** Closes the target; a pending write may fail. */
  close(): void;
}

const ENCODER = new TextEncoder();

/** The mode of a new file: only its owner may read it. */
const MODE = 0o600;

/** An audit file. */
export class AuditFile implements AuditWriter {
  /** Its path. */
  readonly name: string;
  #file: Deno.FsFile;
  /** Whether the file ends with an incomplete line. */
  #torn = false;

  /**
   * Opens the file; creates it if necessary.
   *
   * @throws Failure if it cannot
   */
  constructor(path: string) {
    this.name = path;
    try {
      this.#file = open(path);
    } catch (error) {
      if (error instanceof Failure) throw error;
      if (error instanceof Deno.errors.NotCapable) throw noFile(path);
      if (error instanceof Deno.errors.NotFound) throw noDirectory(path);
      const denied = error instanceof Deno.errors.PermissionDenied;
      const { message } = error as Error;
      throw new Failure(denied ? 77 : 78, `audit ${path} cannot be opened: ${message}`);
    }
  }

  /** Returns a record as a line. */
  format(record: AuditRecord): string {
    return `${lineOf(record)}\n`;
  }

  /** Writes a line; if the last write was incomplete, ends that line first. */
  async write(text: string): Promise<void> {
    const bytes = ENCODER.encode(this.#torn ? `\n${text}` : text);
    for (let sent = 0; sent < bytes.length;) {
      sent += await this.#file.write(bytes.subarray(sent));
      this.#torn = sent < bytes.length;
    }
  }

  /** Reopens the path, after the file was moved away. */
  reopen(): void {
    const file = open(this.name);
    this.#file.close();
    this.#file = file;
    this.#torn = false;
  }

  /** Closes the file. */
  close(): void {
    this.#file.close();
  }
}

/**
 * Returns why an audit cannot be written to a path.
 *
 * @returns `undefined` if it can, if a file could be created, or if that cannot be known
 */
export function auditProblem(path: string): string | undefined {
  if (path === "journal") return undefined;
  try {
    const found = infoOf(path);
    if (found) return found.isFile || found.isCharDevice ? undefined : noFile(path).message;
    return infoOf(directoryOf(path)) ? undefined : noDirectory(path).message;
  } catch (error) {
    if (error instanceof Deno.errors.NotADirectory) return noFile(path).message;
    if (error instanceof Deno.errors.PermissionDenied) return undefined;
    throw error;
  }
}

function open(path: string): Deno.FsFile {
  // Opening a pipe would block until it has a reader.
  const found = infoOf(path);
  if (found && !found.isFile && !found.isCharDevice) throw noFile(path);
  return Deno.openSync(path, { append: true, create: true, mode: MODE });
}

function noFile(path: string): Failure {
  return new Failure(78, `audit ${path} is not a regular file; name one, or a path for a new one`);
}

function noDirectory(path: string): Failure {
  const directory = directoryOf(path);
  return new Failure(
    78,
    `audit ${path}: the directory ${directory} does not exist; create it first`,
  );
}

function infoOf(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.statSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
