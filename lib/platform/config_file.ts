/**
 * Reading of the configuration file.
 *
 * The size of the file is limited, because clients are not served while it is read.
 *
 * @module
 */

import { type Config, readConfig } from "../config/config.ts";
import { auditProblem } from "./audit_file.ts";
import { recordProblem } from "./rotated_file.ts";
import { readTextFile } from "./text_file.ts";
import { missingNames } from "./users.ts";

/** The limit of a file's size; a file of 2048 VMs with two listeners each has two thirds of it. */
const BYTES_LIMIT = 1 << 20;

/**
 * Reads and checks a configuration file.
 *
 * @throws Failure if it cannot be read; ConfigError if it is invalid
 */
export function readConfigFile(path: string): Config {
  return readConfig(textOf(path), path, { missingNames, auditProblem, recordProblem });
}

/**
 * Reads a configuration file without waiting: only a regular file, and nothing that it names is looked up.
 *
 * @throws Failure if it cannot be read; ConfigError if it is invalid; Error if it is not a regular file
 */
export function readConfigFileNow(path: string): Config {
  // Opening a pipe waits for its writer, and reading a terminal for its user.
  if (!Deno.statSync(path).isFile) throw new Error(`${path} is not a regular file`);
  return readConfig(textOf(path), path);
}

function textOf(path: string): string {
  return readTextFile({ path, flag: "--config", limit: BYTES_LIMIT, status: 78 });
}
