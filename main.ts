/**
 * qmpmux: one QEMU monitor for many clients.
 *
 * @module
 */

import { runAdmin } from "./lib/cli/admin.ts";
import { runCheck } from "./lib/cli/check.ts";
import { runEvents } from "./lib/cli/events.ts";
import { runExec } from "./lib/cli/exec.ts";
import { overviewText } from "./lib/cli/help.ts";
import type { SubcommandName } from "./lib/cli/manual.ts";
import { runServe } from "./lib/cli/serve.ts";
import { versionText } from "./lib/cli/version.ts";
import { runWait } from "./lib/cli/wait.ts";
import { type ExitStatus, Failure } from "./lib/rim/failure.ts";
import { say } from "./lib/rim/log.ts";
import { UsageError } from "./lib/terms/address.ts";
import { ConfigError } from "./lib/terms/config.ts";

const RUN: Readonly<Record<SubcommandName, (args: string[]) => Promise<ExitStatus>>> = {
  serve: runServe,
  check: runCheck,
  exec: runExec,
  events: runEvents,
  wait: runWait,
  status: (args) => runAdmin("status", args),
  clients: (args) => runAdmin("clients", args),
  kick: (args) => runAdmin("kick", args),
  reload: (args) => runAdmin("reload", args),
  completion: async (args) => (await import("./lib/cli/completion.ts")).runCompletion(args),
};

async function run([first, ...rest]: string[]): Promise<ExitStatus> {
  switch (first) {
    case "--version":
    case "-V":
      console.log(versionText());
      return 0;
    case "--help":
    case "-h":
      console.log(overviewText().trimEnd());
      return 0;
    case undefined:
      throw new UsageError("a subcommand is missing; see qmpmux --help");
  }
  if (!isSubcommand(first)) {
    throw new UsageError(`there is no subcommand ${first}; see qmpmux --help`);
  }
  // Foreign calls are for who serves, and for who looks for the holder of a monitor.
  if (first !== "serve" && first !== "check") await Deno.permissions.revoke({ name: "ffi" });
  return await RUN[first](rest);
}

function isSubcommand(name: string): name is SubcommandName {
  return Object.hasOwn(RUN, name);
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
