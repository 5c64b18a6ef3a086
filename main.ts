/**
 * qmpmux: one QEMU monitor for many clients.
 *
 * @module
 */

import type { AdminCommand } from "./lib/cli/admin.ts";
import { isSubcommand, type SubcommandName, unknownSubcommand } from "./lib/cli/command_table.ts";
import { asFailure, type ExitStatus, Failure } from "./lib/platform/failure.ts";
import { say } from "./lib/platform/log.ts";
import { Unread } from "./lib/platform/output.ts";
import { UsageError } from "./lib/policy/usage_error.ts";
import { ConfigError } from "./lib/config/config_error.ts";

/** The subcommands. Each loads only the modules it needs: one-shot commands start without the daemon. */
const RUN: Readonly<Record<SubcommandName, (args: string[]) => Promise<ExitStatus>>> = {
  serve: async (args) => (await import("./lib/cli/serve.ts")).runServe(args),
  check: async (args) => (await import("./lib/cli/check.ts")).runCheck(args),
  exec: async (args) => (await import("./lib/cli/exec.ts")).runExec(args),
  events: async (args) => (await import("./lib/cli/events.ts")).runEvents(args),
  wait: async (args) => (await import("./lib/cli/wait.ts")).runWait(args),
  status: (args) => administer("status", args),
  clients: (args) => administer("clients", args),
  kick: (args) => administer("kick", args),
  reload: (args) => administer("reload", args),
  help: async (args) => (await import("./lib/cli/help.ts")).runHelp(args),
  version: async (args) => (await import("./lib/cli/version.ts")).runVersion(args),
  completion: async (args) => (await import("./lib/cli/completion.ts")).runCompletion(args),
};

async function administer(name: AdminCommand, args: string[]): Promise<ExitStatus> {
  return (await import("./lib/cli/admin.ts")).runAdmin(name, args);
}

async function run([first, ...rest]: string[]): Promise<ExitStatus> {
  switch (first) {
    case "--version":
    case "-V":
      return await RUN.version([]);
    case "--help":
    case "-h":
      return await RUN.help([]);
    case "__complete":
      return (await import("./lib/cli/complete.ts")).runComplete(rest);
    case undefined:
      throw new UsageError("a subcommand is missing; see qmpmux --help");
  }
  if (!isSubcommand(first)) throw unknownSubcommand(first);
  return await RUN[first](rest);
}

/** Explains an error on stderr, and returns its exit status; throws bugs on, to show them whole. */
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
