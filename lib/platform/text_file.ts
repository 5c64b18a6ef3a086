/**
 * Reading of files of text, whose size is limited.
 *
 * @module
 */

import { decodeUtf8 } from "../wire/utf8.ts";
import { type ExitStatus, Failure } from "./failure.ts";

/** A file of text to read. */
export interface TextFile {
  /** Its path. */
  readonly path: string;
  /** The subcommand, for messages; without it they begin with the path. */
  readonly command?: string;
  /** The flag or argument that names it, for messages. */
  readonly flag: string;
  /** The most bytes; a multiple of a MiB. */
  readonly limit: number;
  /** The exit status if it cannot be read. */
  readonly status: ExitStatus;
  /** Whether it is read only once, so that it can be `/dev/stdin`. */
  readonly isReadOnce?: boolean;
}

/**
 * Reads a file of text.
 *
 * @throws Failure if it cannot be read, is too long, or is not UTF-8
 */
export function readTextFile(file: TextFile): string {
  const { path, command, flag, status } = file;
  const name = command === undefined ? path : `${command}: ${path}`;
  try {
    const bytes = bytesOf(file, name);
    const text = decodeUtf8(bytes);
    if (typeof text === "string") return text;
    const { offset, wrong } = text;
    const line = bytes.subarray(0, offset).filter((byte) => byte === LINE_FEED).length + 1;
    throw new Failure(status, `${name}:${line}: ${wrong}; write the file in UTF-8`);
  } catch (error) {
    if (error instanceof Failure) throw error;
    if (error instanceof Deno.errors.NotFound) {
      throw new Failure(status, `${name}: file not found; correct ${flag}`);
    }
    if (error instanceof Deno.errors.PermissionDenied) {
      throw new Failure(77, `${name}: no permission to read it; run qmpmux as a user who has it`);
    }
    if (error instanceof Deno.errors.IsADirectory) {
      throw new Failure(status, `${name}: it is a directory; name a file`);
    }
    if (error instanceof Deno.errors.NotCapable) throw error;
    throw new Failure(status, `${name}: it cannot be read: ${(error as Error).message}`);
  }
}

const LINE_FEED = 0x0a;

/** The bytes that are read at a time. */
const PART_BYTES = 256 << 10;

/** Returns the bytes of a file; @throws Failure if there are too many */
function bytesOf({ path, limit, status, isReadOnce }: TextFile, name: string): Uint8Array {
  // Deno refuses to open this path.
  const isStdin = isReadOnce && path === "/dev/stdin";
  const file = isStdin ? Deno.stdin : Deno.openSync(path);
  using _open = { [Symbol.dispose]: (): void => file.close() };
  const parts: Uint8Array[] = [];
  let length = 0;
  // The path may be a device that never ends.
  while (length <= limit) {
    const part = new Uint8Array(Math.min(PART_BYTES, limit + 1 - length));
    const read = file.readSync(part);
    if (read === null) return joined(parts, length);
    parts.push(part.subarray(0, read));
    length += read;
  }
  throw new Failure(
    status,
    `${name}: the file has more than ${limit} bytes (${limit >> 20} MiB); shorten it`,
  );
}

function joined(parts: readonly Uint8Array[], length: number): Uint8Array {
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
