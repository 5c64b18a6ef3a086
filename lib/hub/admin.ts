/**
 * qmpmux's own commands, as a table.
 *
 * Their names begin with `__org.qmpmux_`, the form the QMP specification
 * reserves for downstreams; they never reach QEMU.
 *
 * @module
 */

import { ArgumentError, Arguments } from "../session/arguments.ts";
import type { Monitor } from "../session/monitor.ts";
import { EventFilter } from "../terms/event_filter.ts";
import { qemuText } from "../wire/format.ts";
import { type Command, errorReply, type Reply, returnReply } from "../wire/message.ts";

/** What all names of ours begin with. */
export const OWN_PREFIX = "__org.qmpmux_";

/** Runs a command for a client; @throws ArgumentError, RangeError where an argument is wrong */
type Run = (monitor: Monitor, args: Arguments) => unknown;

const COMMANDS: ReadonlyMap<string, Run> = new Map<string, Run>([
  ["set-event-filter", (monitor, args) => {
    const globs = args.takeStrings("enable");
    args.end();
    monitor.chooseEvents(new EventFilter(globs));
    return {};
  }],
  ["query-self", (monitor, args) => {
    args.end();
    const { terms, number, mode, capabilities, filter } = monitor;
    return {
      name: `${terms.name}/${number}`,
      role: "full",
      mode,
      capabilities,
      filter: filter ?? null,
      commands: [...COMMANDS.keys()].map((name) => OWN_PREFIX + name),
    };
  }],
]);

/** The answer to one of our own commands, or `undefined` where it is none. */
export function ownCommand(monitor: Monitor, command: Command): (() => Reply) | undefined {
  if (!command.name.startsWith(OWN_PREFIX)) return undefined;
  const run = COMMANDS.get(command.name.slice(OWN_PREFIX.length));
  // An unknown name goes on: QEMU says that it has not been found, in its own words.
  return run && (() => answered(monitor, command, run));
}

function answered(monitor: Monitor, command: Command, run: Run): Reply {
  try {
    return returnReply(qemuText(run(monitor, new Arguments(command))));
  } catch (error) {
    if (error instanceof ArgumentError || error instanceof RangeError) {
      return errorReply("GenericError", error.message);
    }
    throw error;
  }
}
