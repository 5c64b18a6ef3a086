/**
 * Reading of the configuration file.
 *
 * The size of the file is limited, because clients are not served while it is read.
 *
 * @module
 */

import { type Config, readConfig } from "../config/config.ts";
import { auditProblem } from "./audit_file.ts";
import { Failure } from "./failure.ts";
import { missingNames } from "./users.ts";

/** The limit of a file's size; a file of 2048 VMs with two listeners each has two thirds of it. */
const BYTES_LIMIT = 1 << 20;

/**
 * Reads and checks a configuration file.
 *
 * @throws Failure if it cannot be read; ConfigError if it is invalid
 */
export function readConfigFile(path: string): Config {
  return readConfig(textOf(path), path, { missingNames, auditProblem });
}

function textOf(path: string): string {
  try {
    using file = Deno.openSync(path);
    const bytes = new Uint8Array(BYTES_LIMIT + 1);
    let length = 0;
    // The path may be a device that never ends.
    while (length < bytes.length) {
      const read = file.readSync(bytes.subarray(length));
      if (read === null) break;
      length += read;
    }
    if (length > BYTES_LIMIT) {
      throw new Failure(
        78,
        `${path}: the file has more than ${BYTES_LIMIT} bytes (1 MiB); shorten it`,
      );
    }
    return new TextDecoder().decode(bytes.subarray(0, length));
  } catch (error) {
    if (error instanceof Failure) throw error;
    if (error instanceof Deno.errors.NotFound) {
      throw new Failure(78, `${path}: file not found; correct --config`);
    }
    if (error instanceof Deno.errors.PermissionDenied) {
      throw new Failure(77, `${path}: no permission to read it; run qmpmux as a user who has it`);
    }
    if (error instanceof Deno.errors.NotCapable) throw error;
    throw new Failure(78, `${path}: it cannot be read: ${(error as Error).message}`);
  }
}
