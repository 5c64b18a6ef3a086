/**
 * `qmpmux events`: events as they come, a line each.
 *
 * @module
 */

import { type ExitStatus, Failure } from "../rim/failure.ts";
import { print } from "../rim/output.ts";
import { Session } from "../rim/session.ts";
import { UsageError } from "../terms/address.ts";
import { EventFilter } from "../terms/event_filter.ts";
import { readFlags, secondsOf, socketOf } from "./flags.ts";
import { showHelp } from "./help.ts";
import { beforeDeadline } from "./deadline.ts";

/**
 * Runs `qmpmux events`.
 *
 * @throws UsageError, Failure
 */
export async function runEvents(args: string[]): Promise<ExitStatus> {
  const given = readFlags("events", args);
  if (given.help) return showHelp("events");
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
      if (event === undefined) return ended(count, left);
      if (!filter.passes(event.name)) continue;
      print(event.text);
      left--;
    }
    return 0;
  });
}

/** Ends with QEMU: as it should, unless a number of events was wanted. */
function ended(count: number, left: number): 0 {
  if (count === Infinity) return 0;
  throw new Failure(1, `events: the connection ended after ${count - left} of ${count} events`);
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
