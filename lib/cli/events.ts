/**
 * `qmpmux events`: events as they come, a line each.
 *
 * @module
 */

import type { ExitStatus } from "../rim/failure.ts";
import { Session } from "../rim/session.ts";
import { UsageError } from "../terms/address.ts";
import { EventFilter } from "../terms/event_filter.ts";
import { readFlags, secondsOf, socketOf } from "./flags.ts";
import { beforeDeadline } from "./deadline.ts";

/** What `qmpmux events --help` prints. */
export const EVENTS_HELP =
  `Usage: qmpmux events [--socket ADDR] [--filter GLOB]... [--count N] [--timeout S]

Prints events as they come, one JSON object a line.

  --socket ADDR   the monitor to listen to (QMPMUX_SOCKET)
  --filter GLOB   only events of such a name; may be given many times
  --count N       end after so many
  --timeout S     end after so many seconds, with status 124
  -h, --help      this text

Ends with status 0 when QEMU goes.
`;

/**
 * Runs `qmpmux events`.
 *
 * @throws UsageError, Failure
 */
export async function runEvents(args: string[]): Promise<ExitStatus> {
  const given = readFlags("events", args, { values: ["socket", "filter", "count", "timeout"] });
  if (given.help) {
    console.log(EVENTS_HELP.trimEnd());
    return 0;
  }
  const count = countOf(given.one("count"));
  const timeout = given.one("timeout");
  const globs = given.all("filter");
  const address = socketOf("events", given);
  const seconds = timeout === undefined ? undefined : secondsOf("events", "timeout", timeout);
  return await beforeDeadline(seconds, async () => {
    using session = await Session.open(address);
    const filter = await choose(session, globs);
    for (let left = count; left > 0;) {
      const event = await session.event();
      if (event === undefined) return 0;
      if (!filter.passes(event.name)) continue;
      console.log(event.text);
      left--;
    }
    return 0;
  });
}

/** The events wanted. qmpmux is asked to send no others; QEMU itself cannot be asked. */
export async function choose(session: Session, globs: readonly string[]): Promise<EventFilter> {
  const filter = new EventFilter(globs.length > 0 ? globs : ["*"]);
  const enable = JSON.stringify({ enable: filter.globs });
  if (globs.length > 0) await session.execute("__org.qmpmux_set-event-filter", enable);
  return filter;
}

function countOf(text: string | undefined): number {
  if (text === undefined) return Infinity;
  if (/^[1-9]\d*$/.test(text)) return Number(text);
  throw new UsageError(`events: --count ${text} is no number of events; write 1 or more`);
}
