/**
 * `qmpmux exec COMMAND … --until EVENT`: runs a command and waits for an event that follows it.
 *
 * The wait begins before the command is sent, so that the event of a fast job is not missed.
 *
 * @module
 */

import { ConnectionLost } from "../client/errors.ts";
import type { Qmp } from "../client/qmp.ts";
import type { QmpEvent } from "../client/schema.ts";
import { type ExitStatus, Failure } from "../platform/failure.ts";
import { print } from "../platform/output.ts";
import { type Attempt, inSession, unanswered, unsent } from "./deadline.ts";
import { type EventMatch, hasAll, readMatch } from "./event_match.ts";
import { checkChoice } from "./event_schema.ts";
import { checkEvent, choose, LOST } from "./events.ts";
import type { Given } from "./flags.ts";
import { onOneLine, replyTo, valueOf } from "./replies.ts";

/** An event to wait for. */
interface Awaited {
  readonly glob: string;
  readonly matches: readonly EventMatch[];
}

/**
 * Runs a command, prints the value, and prints the first event that follows and is the one.
 *
 * @param argumentsText the arguments as JSON
 * @throws UsageError; Failure if the command or the connection fails
 */
export async function execUntil(
  given: Given,
  attempt: Pick<Attempt, "address" | "seconds">,
  command: string,
  argumentsText: string,
): Promise<ExitStatus> {
  const awaited = awaitedIn(given);
  let [isSent, isAnswered] = [false, false];
  const late = (): string => {
    if (!isSent) return unsent(attempt.seconds);
    return isAnswered
      ? `no event ${textOf(awaited)} arrived within ${attempt.seconds} s`
      : unanswered(attempt.seconds);
  };
  return await inSession(
    { command: "exec", ...attempt, late },
    async (qmp): Promise<ExitStatus> => {
      const choice = { command: "exec", flag: "until", globs: [awaited.glob], ...awaited };
      await Promise.all([checkChoice(qmp, choice), choose(qmp, [awaited.glob, LOST])]);
      // Nothing is awaited between the two: events that have come before do not count.
      const reply = replyTo(qmp, command, argumentsText);
      isSent = true;
      const event = eventAfter(qmp, awaited);
      // After an error reply nothing awaits it.
      event.catch(() => {});
      print(valueOf(command, await reply));
      isAnswered = true;
      print(onOneLine((await event).text));
      return 0;
    },
  );
}

function awaitedIn(given: Given): Awaited {
  const glob = given.one("until")!;
  checkEvent("exec", "until", glob);
  return { glob, matches: given.all("match").map((word) => readMatch("exec", word)) };
}

/** Waits for the event; @throws Failure if QEMU leaves first */
async function eventAfter(qmp: Qmp, awaited: Awaited): Promise<QmpEvent> {
  const { glob, matches } = awaited;
  const found = qmp.waitFor(glob, { match: (event) => hasAll(event, matches) });
  const lost = qmp.waitFor(LOST);
  try {
    const event = await Promise.race([found, lost.then(() => undefined)]);
    if (event !== undefined) return event;
  } catch (error) {
    if (!(error instanceof ConnectionLost)) throw error;
  }
  throw new Failure(1, `exec: QEMU disconnected before an event ${textOf(awaited)} arrived`);
}

function textOf({ glob, matches }: Awaited): string {
  const values = matches.map(({ path, text }) => `data.${path}=${text}`);
  return values.length === 0 ? glob : `${glob} with ${values.join(" and ")}`;
}
