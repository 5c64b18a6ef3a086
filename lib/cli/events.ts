/**
 * `qmpmux events`: prints events as they arrive, one per line.
 *
 * @module
 */

import { type ExitStatus, Failure } from "../platform/failure.ts";
import { print } from "../platform/output.ts";
import { ConnectionLost } from "../client/errors.ts";
import { type EventStream, GAP } from "../client/event_stream.ts";
import type { Qmp } from "../client/qmp.ts";
import type { QmpEvent } from "../client/schema.ts";
import { UsageError } from "../policy/usage_error.ts";
import { misspelt } from "../policy/event_filter.ts";
import { attemptOf, inSession } from "./deadline.ts";
import type { Choice } from "./event_schema.ts";
import type { Given } from "./flags.ts";
import { onOneLine, replyTo } from "./replies.ts";

/** The event of a qmpmux that keeps its clients while its QEMU is away. */
export const LOST = "__org.qmpmux_QEMU_LOST";

/**
 * Runs `qmpmux events`.
 *
 * @throws UsageError, Failure
 */
export async function runEvents(given: Given): Promise<ExitStatus> {
  const count = countOf(given.one("count"));
  const globs = given.all("filter");
  for (const glob of globs) checkEvent("events", "filter", glob);
  const attempt = attemptOf("events", given);
  let came = 0;
  const late = (): string => {
    const events = count === Infinity ? countText(came) : `${came} of ${countText(count)}`;
    return `${events} arrived within ${attempt.seconds} s`;
  };
  const needsLog = ["since", "cursor-file"].some((flag) => given.all(flag).length > 0);
  const bookmark = needsLog ? new (await import("./events_since.ts")).Bookmark(given) : undefined;
  return await inSession({ command: "events", ...attempt, late }, async (qmp) => {
    // The stream begins before the filter, so that an event between the two is not missed.
    const options = bookmark && { since: bookmark.since };
    const events = qmp.events(globs.length > 0 ? globs : ["*"], options);
    if (bookmark === undefined) await choose(qmp, globs);
    else await bookmark.begun(qmp);
    let problem: unknown;
    using _watch = bookmark?.watch(qmp, (error) => {
      problem = error;
      events.return();
    });
    const choice = { command: "events", flag: "filter", globs };
    try {
      for await (const event of checked(qmp, events, choice)) {
        print(onOneLine(event.text));
        bookmark?.reached(qmp.cursor);
        if (event.name !== GAP && ++came === count) return 0;
      }
      bookmark?.reached(qmp.cursor);
    } catch (error) {
      throw bookmark?.failureOf(error, attempt.address) ?? error;
    }
    if (problem !== undefined) throw problem;
    return ended(came, count);
  });
}

function countText(count: number): string {
  return count === 1 ? "1 event" : `${count} events`;
}

/** Handles a disconnect, which is a failure only if a number of events was requested. */
function ended(came: number, count: number): 0 {
  if (count === Infinity) return 0;
  throw new Failure(1, `events: the connection ended after ${came} of ${countText(count)}`);
}

/**
 * Checks a glob of event names.
 *
 * @throws UsageError if no event can have such a name, or if it seems to be misspelt
 */
export function checkEvent(command: string, flag: string, glob: string): void {
  if (!/^[A-Za-z0-9_.*?-]+$/.test(glob)) {
    throw new UsageError(
      `${command}: invalid value "${glob}" for --${flag}: expected the name of an event, with * and ?`,
    );
  }
  const problem = misspelt(glob);
  if (problem !== undefined) throw new UsageError(`${command}: --${flag}: ${problem}`);
}

/** Asks qmpmux for fewer events; QEMU itself has no event filter. */
export async function choose(qmp: Qmp, globs: readonly string[]): Promise<void> {
  if (globs.length === 0) return;
  await replyTo(qmp, "__org.qmpmux_set-event-filter", JSON.stringify({ enable: globs }));
}

/**
 * Yields events until the connection is closed, and meanwhile checks their names with the schema.
 *
 * @throws UsageError if none of these events exists
 */
export async function* checked<E extends QmpEvent>(
  qmp: Qmp,
  events: EventStream<E>,
  choice: Choice,
): AsyncGenerator<E> {
  let problem: unknown;
  if (choice.globs.length > 0) {
    const { checkChoice } = await import("./event_schema.ts");
    checkChoice(qmp, choice).catch((error) => {
      // The stream ends with the connection, too.
      if (error instanceof ConnectionLost) return;
      problem = error;
      events.return();
    });
  }
  yield* endingWell(events);
  if (problem !== undefined) throw problem;
}

/** Yields events until the connection is closed, which is the end and not an error here. */
export async function* endingWell<E>(events: AsyncIterable<E>): AsyncGenerator<E> {
  try {
    yield* events;
  } catch (error) {
    if (!(error instanceof ConnectionLost)) throw error;
  }
}

function countOf(text: string | undefined): number {
  if (text === undefined) return Infinity;
  if (/^[1-9]\d*$/.test(text)) return Number(text);
  throw new UsageError(
    `events: invalid value "${text}" for --count: expected a number of 1 or more`,
  );
}
