/**
 * `qmpmux check`: is a configuration file right?
 *
 * @module
 */

import { readConfigFile } from "../rim/config_file.ts";
import type { ExitStatus } from "../rim/failure.ts";
import { UsageError } from "../terms/address.ts";
import { readFlags } from "./flags.ts";

/** What `qmpmux check --help` prints. */
export const CHECK_HELP = `Usage: qmpmux check --config FILE

Says what is wrong in a configuration file, a line each: FILE:LINE: what.

  --config FILE   the file
  -h, --help      this text

Exit status 0: nothing is wrong; 78: something is.
`;

/**
 * Runs `qmpmux check`.
 *
 * @throws UsageError, ConfigError, Failure
 */
export function runCheck(args: string[]): Promise<ExitStatus> {
  const given = readFlags("check", args, { values: ["config"] });
  if (given.help) {
    console.log(CHECK_HELP.trimEnd());
    return Promise.resolve(0);
  }
  const file = given.one("config");
  if (!file) throw new UsageError("check: --config is missing; name the file to check");
  readConfigFile(file);
  return Promise.resolve(0);
}
