/**
 * Reading of the configuration file.
 *
 * The size of the file is limited, because clients are not served while it is read.
 *
 * @module
 */

import { type Config, readConfig } from "../config/config.ts";
import { auditProblem } from "./audit_file.ts";
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
  const text = readTextFile({ path, flag: "--config", limit: BYTES_LIMIT, status: 78 });
  return readConfig(text, path, { missingNames, auditProblem });
}
