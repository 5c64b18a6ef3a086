/**
 * qmpmux: one QEMU monitor for many clients.
 *
 * @module
 */

import { runAdmin } from "./lib/cli/admin.ts";
import { runCheck } from "./lib/cli/check.ts";
import { runEvents } from "./lib/cli/events.ts";
import { runExec } from "./lib/cli/exec.ts";
import { runServe } from "./lib/cli/serve.ts";
import { versionText } from "./lib/cli/version.ts";
import { runWait } from "./lib/cli/wait.ts";
import { type ExitStatus, Failure } from "./lib/rim/failure.ts";
import { say } from "./lib/rim/log.ts";
import { UsageError } from "./lib/terms/address.ts";
import { ConfigError } from "./lib/terms/config.ts";

const HELP = `qmpmux: one QEMU monitor (QMP) for many clients

Usage:
  qmpmux serve --qemu ADDR --listen ADDR[,option=value...] [--listen ...]
  qmpmux serve --config FILE
  qmpmux check  --config FILE | --live --qemu ADDR
  qmpmux exec   [--socket ADDR] COMMAND [key=value... | JSON]
  qmpmux events [--socket ADDR] [--filter GLOB]... [--count N] [--timeout S]
  qmpmux wait   [--socket ADDR] [--event GLOB | --status STATUS] [--timeout S]
  qmpmux status | clients | reload   [--socket ADDR] [--json]
  qmpmux kick   [--socket ADDR] NAME
  qmpmux --version
  qmpmux --help, and --help after every subcommand
`;

const SUBCOMMANDS: Readonly<Record<string, (args: string[]) => Promise<ExitStatus>>> = {
  serve: runServe,
  check: runCheck,
  exec: runExec,
  events: runEvents,
  wait: runWait,
  status: (args) => runAdmin("status", args),
  clients: (args) => runAdmin("clients", args),
  kick: (args) => runAdmin("kick", args),
  reload: (args) => runAdmin("reload", args),
};

async function run([first, ...rest]: string[]): Promise<ExitStatus> {
  switch (first) {
    case "--version":
    case "-V":
      console.log(versionText());
      return 0;
    case "--help":
    case "-h":
      console.log(HELP.trimEnd());
      return 0;
    case undefined:
      throw new UsageError("a subcommand is missing; see qmpmux --help");
  }
  const subcommand = Object.hasOwn(SUBCOMMANDS, first) ? SUBCOMMANDS[first] : undefined;
  if (subcommand === undefined) {
    throw new UsageError(`there is no subcommand ${first}; see qmpmux --help`);
  }
  return await subcommand(rest);
}

/** What ended the program, as an exit status; what is a bug of ours is thrown on and seen whole. */
function statusOf(error: unknown): ExitStatus {
  if (error instanceof UsageError) {
    say(error.message);
    return 64;
  }
  if (error instanceof ConfigError) {
    error.problems.forEach(say);
    return 78;
  }
  if (error instanceof Failure) {
    say(error.message);
    return error.status;
  }
  if (error instanceof Deno.errors.NotCapable) {
    say(`a permission is missing: ${error.message}`);
    return 77;
  }
  throw error;
}

if (import.meta.main) {
  let status: ExitStatus;
  try {
    status = await run(Deno.args);
  } catch (error) {
    status = statusOf(error);
  }
  Deno.exit(status);
}
