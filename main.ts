/**
 * qmpmux: one QEMU monitor for many clients.
 *
 * @module
 */

import type { AdminCommand } from "./lib/cli/admin.ts";
import { isSubcommand, type SubcommandName, unknownSubcommand } from "./lib/cli/command_table.ts";
import { type Given, readFlags } from "./lib/cli/flags.ts";
import { asFailure, type ExitStatus, Failure } from "./lib/platform/failure.ts";
import { say } from "./lib/platform/log.ts";
import { Unread } from "./lib/platform/output.ts";
import { ConfigError, UsageError } from "./lib/policy/usage_error.ts";

/** The subcommands. Each loads only the modules that it needs; one-shot commands do not load the daemon. */
const RUN: Readonly<Record<SubcommandName, (given: Given) => ExitStatus | Promise<ExitStatus>>> = {
  serve: async (given) => (await import("./lib/cli/serve.ts")).runServe(given),
  check: async (given) => (await import("./lib/cli/check.ts")).runCheck(given),
  can: async (given) => (await import("./lib/cli/can.ts")).runCan(given),
  exec: async (given) => (await import("./lib/cli/exec.ts")).runExec(given),
  events: async (given) => (await import("./lib/cli/events.ts")).runEvents(given),
  wait: async (given) => (await import("./lib/cli/wait.ts")).runWait(given),
  shell: async (given) => (await import("./lib/cli/shell/shell.ts")).runShell(given),
  types: async (given) => (await import("./lib/cli/types.ts")).runTypes(given),
  tap: async (given) => (await import("./lib/cli/tap.ts")).runTap(given),
  record: async (given) => (await import("./lib/cli/record.ts")).runRecord(given),
  show: async (given) => (await import("./lib/cli/show.ts")).runShow(given),
  replay: async (given) => (await import("./lib/cli/replay.ts")).runReplay(given),
  status: (given) => administer("status", given),
  clients: (given) => administer("clients", given),
  kick: (given) => administer("kick", given),
  reload: (given) => administer("reload", given),
  help: async (given) => (await import("./lib/cli/help.ts")).runHelp(given),
  version: async () => (await import("./lib/cli/version.ts")).runVersion(),
  completion: async (given) => (await import("./lib/cli/completion.ts")).runCompletion(given),
};

async function administer(name: AdminCommand, given: Given): Promise<ExitStatus> {
  return (await import("./lib/cli/admin.ts")).runAdmin(name, given);
}

async function run([first, ...rest]: string[]): Promise<ExitStatus> {
  switch (first) {
    case "--version":
    case "-V":
      return await run(["version"]);
    case "--help":
    case "-h":
      return await run(["help"]);
    case "__complete":
      return (await import("./lib/cli/completion.ts")).runComplete(rest);
    case undefined:
      throw new UsageError("a subcommand is missing; see qmpmux --help");
  }
  if (!isSubcommand(first)) throw unknownSubcommand(first);
  const given = readFlags(first, rest);
  return given.help ? (await import("./lib/cli/help.ts")).showHelp(first) : await RUN[first](given);
}

/** Reports an error on stderr, and returns its exit status; throws bugs again, to show their stacks. */
function statusOf(thrown: unknown): ExitStatus {
  const error = asFailure(thrown);
  if (error instanceof Unread) return 1;
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
