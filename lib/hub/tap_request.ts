/**
 * The request for a tap: the arguments of `__org.qmpmux_tap`.
 *
 * @module
 */

import type { Names, TrafficFilter } from "../observe/traffic.ts";
import { EventFilter, EventNames, GLOBS_LIMIT } from "../policy/event_filter.ts";
import { type Matcher, matcherOf } from "../policy/glob.ts";
import { ArgumentError, type Arguments } from "../session/arguments.ts";
import type { Monitor } from "../session/monitor.ts";

/** A request for a tap. */
export interface TapRequest {
  /** The VMs to look at. */
  readonly vm: Names;
  /** The choice of traffic. */
  readonly filter: TrafficFilter;
  /** Whether secrets are kept. */
  readonly keepsSecrets: boolean;
  /** Whether it is for people: without QEMU's side of clients' commands, and with long values cut. */
  readonly isBrief: boolean;
}

/** A function that opens a tap for a client; it calls `done` once, with a function that returns or throws. */
export type OpenTap = (
  monitor: Monitor,
  request: TapRequest,
  done: (value: () => unknown) => void,
) => void;

/**
 * Reads the arguments of a request.
 *
 * @throws ArgumentError if one is wrong
 */
export function readTapRequest(args: Arguments): TapRequest {
  const vms = args.takeOptionalStrings("vm", GLOBS_LIMIT);
  const clients = args.takeOptionalStrings("client", GLOBS_LIMIT);
  const commands = args.takeOptionalStrings("command", GLOBS_LIMIT);
  const events = args.takeOptionalStrings("events", GLOBS_LIMIT) ?? [];
  const keepsSecrets = args.takeOptionalBoolean("secrets") ?? false;
  const isBrief = args.takeOptionalBoolean("brief") ?? false;
  args.end();
  const eventFilter = new EventFilter(events);
  const names = new EventNames();
  return {
    vm: vms ? anyOf(vms) : (): boolean => true,
    filter: {
      client: clients && anyOf(clients),
      command: commands && anyOf(commands),
      event: events.includes("*") ? undefined : (name) => eventFilter.passes(names.named(name)),
    },
    keepsSecrets,
    isBrief,
  };
}

/**
 * Opens a tap.
 *
 * @param open opens it; `undefined` if this hub has no taps
 * @throws ArgumentError if there are none, or an argument is wrong
 */
export function startTap(
  open: OpenTap | undefined,
  monitor: Monitor,
  args: Arguments,
  done: (value: () => unknown) => void,
): void {
  if (open === undefined) {
    throw new ArgumentError("A tap needs a control socket; connect to that of --control");
  }
  open(monitor, readTapRequest(args), done);
}

/** Compiles globs; @throws ArgumentError if there are too many */
function anyOf(globs: readonly string[]): Matcher {
  if (globs.length > GLOBS_LIMIT) {
    throw new ArgumentError(`Too many globs: ${globs.length} exceed the limit of ${GLOBS_LIMIT}`);
  }
  const matchers = globs.map(matcherOf);
  return (name) => matchers.some((matches) => matches(name));
}
