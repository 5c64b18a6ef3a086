/**
 * Records of commands as lines of JSON in a file that only grows.
 *
 * @module
 */

import { type AuditRecord, lineOf } from "../observe/audit.ts";
import type { AuditWriter } from "./audit_writer.ts";
import { Failure } from "./failure.ts";

const ENCODER = new TextEncoder();

/** A new file is its owner's alone. */
const MODE = 0o600;

/** A file of records. */
export class AuditFile implements AuditWriter {
  /** Its path. */
  readonly name: string;
  #file: Deno.FsFile;
  /** Does it end in a part of a line? */
  #torn = false;

  /**
   * Opens it, and makes it where it is not there.
   *
   * @throws Failure where that is not possible
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

  /** One line. */
  format(record: AuditRecord): string {
    return `${lineOf(record)}\n`;
  }

  /** Writes a line; what is left of one that failed gets an end first. */
  async write(text: string): Promise<void> {
    const bytes = ENCODER.encode(this.#torn ? `\n${text}` : text);
    for (let sent = 0; sent < bytes.length;) {
      sent += await this.#file.write(bytes.subarray(sent));
      this.#torn = sent < bytes.length;
    }
  }

  /** Opens the path anew: what was there has been moved away. */
  reopen(): void {
    const file = open(this.name);
    this.#file.close();
    this.#file = file;
    this.#torn = false;
  }

  /** Closes it. */
  close(): void {
    this.#file.close();
  }
}

/**
 * Says why records cannot be written to a place that is there already.
 *
 * @returns `undefined` where they can, or a file could be made there, or that cannot be seen
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
  // Opening a pipe waits for its reader, and holds up everybody.
  const found = infoOf(path);
  if (found && !found.isFile && !found.isCharDevice) {
    throw noFile(path);
  }
  return Deno.openSync(path, { append: true, create: true, mode: MODE });
}

function noFile(path: string): Failure {
  return new Failure(78, `audit ${path} is no file; name one, or let it be made`);
}

function noDirectory(path: string): Failure {
  const text = `audit ${path}: the directory ${directoryOf(path)} does not exist; make it first`;
  return new Failure(78, text);
}

function directoryOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/")) || (path.startsWith("/") ? "/" : ".");
}

function infoOf(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.statSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
