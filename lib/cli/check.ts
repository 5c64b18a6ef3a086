/**
 * `qmpmux check`: is a configuration file right, and does its QEMU answer?
 *
 * @module
 */

import { readConfigFile } from "../rim/config_file.ts";
import { type ExitStatus, Failure } from "../rim/failure.ts";
import { Session } from "../rim/session.ts";
import { type Address, addressText, UsageError } from "../terms/address.ts";
import { parseQemu } from "../terms/options.ts";
import { beforeDeadline } from "./deadline.ts";
import { readFlags, secondsOf } from "./flags.ts";

/** What `qmpmux check --help` prints. */
export const CHECK_HELP = `Usage: qmpmux check --config FILE
       qmpmux check --live [--qemu ADDR | --config FILE] [--timeout S]

Says what is wrong in a configuration file, a line each: FILE:LINE: what.
With --live asks whether a monitor answers: QEMU's own, or one of qmpmux's.

  --config FILE   the file
  --live          connect, negotiate, and hang up
  --qemu ADDR     the monitor to ask
  --timeout S     how long it may take (5)
  -h, --help      this text

Exit status 0: nothing is wrong; 78: something is in the file; 69: no monitor answers.
`;

/**
 * Runs `qmpmux check`.
 *
 * @throws UsageError, ConfigError, Failure
 */
export async function runCheck(args: string[]): Promise<ExitStatus> {
  const given = readFlags("check", args, {
    values: ["config", "qemu", "timeout"],
    switches: ["live"],
  });
  if (given.help) {
    console.log(CHECK_HELP.trimEnd());
    return 0;
  }
  const file = given.one("config");
  const qemu = given.one("qemu");
  if (!file && !(given.has("live") && qemu)) {
    throw new UsageError("check: --config is missing; name the file to check");
  }
  const config = file ? readConfigFile(file) : undefined;
  if (!given.has("live")) return 0;
  const address = qemu ? parseQemu(qemu) : config?.qemu;
  if (address === undefined) {
    throw new UsageError("check: no monitor is named; give --qemu ADDR, or a file that has qemu");
  }
  return await live(address, secondsOf("check", "timeout", given.one("timeout") ?? "5"));
}

/** @throws Failure where no monitor answers in time; the commonest reason is that another client holds it */
async function live(address: Address, seconds: number): Promise<ExitStatus> {
  const status = await beforeDeadline(seconds, async () => {
    using session = await Session.open(address);
    const answer = await session.execute("query-version");
    if ("desc" in answer) throw new Failure(1, `check: query-version: ${answer.desc}`);
    console.log(answer.value);
    return 0;
  });
  if (status !== 124) return status;
  // Who it is cannot be told from here: Deno shows a program no other processes.
  throw new Failure(
    69,
    `${
      addressText(address)
    } accepts connections but gives no greeting: another client holds this ` +
      "monitor, which serves one at a time; as root, ss -xp shows who is connected",
  );
}
