/**
 * `qmpmux check`: checks a configuration file, and whether its QEMU answers.
 *
 * @module
 */

import { readConfigFile } from "../platform/config_file.ts";
import { type ExitStatus, Failure } from "../platform/failure.ts";
import { say } from "../platform/log.ts";
import { print } from "../platform/output.ts";
import { type Address, addressText } from "../policy/address.ts";
import { ConfigError, UsageError } from "../policy/usage_error.ts";
import { parseQemu } from "../config/options.ts";
import { isTemplate } from "../policy/vm_template.ts";
import { roleWarnings } from "../policy/roles.ts";
import { inSession } from "./deadline.ts";
import { type Given, secondsOf } from "./flags.ts";
import { SUBCOMMANDS } from "./command_table.ts";
import { replyTo, statusOfError } from "./replies.ts";

const DEFAULT_SECONDS = SUBCOMMANDS.check.flags.timeout.initial;

/**
 * Runs `qmpmux check`.
 *
 * @throws UsageError, ConfigError, Failure
 */
export async function runCheck(given: Given): Promise<ExitStatus> {
  const file = given.one("config");
  const qemu = given.one("qemu");
  const seconds = secondsOf("check", "timeout", given.one("timeout") ?? `${DEFAULT_SECONDS}`);
  if (!file && !(given.has("live") && qemu)) {
    throw new UsageError("check: --config is missing; name the file to check");
  }
  const config = file ? readConfigFile(file) : undefined;
  if (config) roleWarnings(config.roles.values()).forEach(say);
  if (config && config.problems.length > 0) throw new ConfigError(config.problems);
  const { record } = config?.values ?? {};
  const warning = record && (await import("../platform/rotated_file.ts")).creationProblem(record);
  if (warning) say(`check: ${warning}`);
  if (!given.has("live")) return 0;
  const address = qemu ? parseQemu(qemu) : config?.values.qemu;
  if (address === undefined && !config?.vms.length) {
    throw new UsageError("check: no monitor is named; give --qemu ADDR, or a file with qemu");
  }
  if (address === undefined || isTemplate(address)) {
    throw new UsageError("check: --live checks one monitor; give its address with --qemu ADDR");
  }
  return await live(address, seconds);
}

/** Connects to a monitor and prints QEMU's version; @throws Failure if no monitor answers in time */
async function live(address: Address, seconds: number): Promise<ExitStatus> {
  const late = (): string => `${addressText(address)}: no reply within ${seconds} s`;
  const attempt = { command: "check", address, seconds, late, lateStatus: 69 } as const;
  return await inSession(attempt, async (qmp): Promise<ExitStatus> => {
    const answer = await replyTo(qmp, "query-version");
    if ("desc" in answer) {
      throw new Failure(statusOfError(answer), `check: query-version: ${answer.desc}`);
    }
    print(answer.value);
    return 0;
  });
}
