/**
 * Reading of files of text, whose size is limited.
 *
 * @module
 */

import { type ExitStatus, Failure } from "./failure.ts";

/** A file of text to read. */
export interface TextFile {
  /** Its path. */
  readonly path: string;
  /** The flag that names it, for messages. */
  readonly flag: string;
  /** The most bytes; a multiple of a MiB. */
  readonly limit: number;
  /** The exit status if it cannot be read. */
  readonly status: ExitStatus;
}

/**
 * Reads a file of text.
 *
 * @throws Failure if it cannot be read, or is too long
 */
export function readTextFile({ path, flag, limit, status }: TextFile): string {
  try {
    using file = Deno.openSync(path);
    const parts: Uint8Array[] = [];
    let length = 0;
    // The path may be a device that never ends.
    while (length <= limit) {
      const part = new Uint8Array(Math.min(PART_BYTES, limit + 1 - length));
      const read = file.readSync(part);
      if (read === null) break;
      parts.push(part.subarray(0, read));
      length += read;
    }
    if (length > limit) {
      throw new Failure(
        status,
        `${path}: the file has more than ${limit} bytes (${limit >> 20} MiB); shorten it`,
      );
    }
    return joined(parts);
  } catch (error) {
    if (error instanceof Failure) throw error;
    if (error instanceof Deno.errors.NotFound) {
      throw new Failure(status, `${path}: file not found; correct ${flag}`);
    }
    if (error instanceof Deno.errors.PermissionDenied) {
      throw new Failure(77, `${path}: no permission to read it; run qmpmux as a user who has it`);
    }
    if (error instanceof Deno.errors.NotCapable) throw error;
    throw new Failure(status, `${path}: it cannot be read: ${(error as Error).message}`);
  }
}

/** The bytes that are read at a time. */
const PART_BYTES = 256 << 10;

function joined(parts: readonly Uint8Array[]): string {
  const decoder = new TextDecoder();
  return parts.map((part) => decoder.decode(part, { stream: true })).join("") + decoder.decode();
}
