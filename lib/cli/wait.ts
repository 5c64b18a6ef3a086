/**
 * `qmpmux wait`: waits until QEMU answers, an event arrives, or the VM has a status.
 *
 * @module
 */

import { type ExitStatus, Failure } from "../platform/failure.ts";
import { print } from "../platform/output.ts";
import type { Session } from "../client/session.ts";
import { UsageError } from "../policy/usage_error.ts";
import { instead } from "../policy/suggestion.ts";
import { attemptOf, inSession, statusOfError } from "./deadline.ts";
import { checkEvent, choose } from "./events.ts";
import type { Given } from "./flags.ts";
import { SUBCOMMANDS } from "./command_table.ts";

/** The statuses of QEMU 7.2 to 11.1, which are the same. */
const STATUSES: readonly string[] = SUBCOMMANDS.wait.flags.status.words;

/** The interval between two queries: a paused VM that migrates, for example, becomes `postmigrate` without an event. */
const ASK_AGAIN_MS = 1000;

/** The limit of a reply to `query-status`; QEMU's has some 80 characters. */
const ANSWER_LENGTH_LIMIT = 65536;

/**
 * Runs `qmpmux wait`.
 *
 * @throws UsageError, Failure
 */
export async function runWait(given: Given): Promise<ExitStatus> {
  const event = given.one("event");
  const status = given.one("status");
  if (event !== undefined && status !== undefined) {
    throw new UsageError("wait: --event and --status exclude each other; give one");
  }
  if (event !== undefined) checkEvent("wait", "event", event);
  if (status !== undefined && !STATUSES.includes(status)) {
    throw new UsageError(`wait: unknown status "${status}"${instead(status, STATUSES)}`);
  }
  const attempt = attemptOf("wait", given);
  let found: string | undefined;
  const late = (): string => {
    const within = `within ${attempt.seconds} s`;
    if (event !== undefined) return `no event ${event} arrived ${within}`;
    if (found === undefined) return `query-status was not answered ${within}`;
    return `the machine is ${found}; it was not ${status} ${within}`;
  };
  return await inSession(
    { command: "wait", ...attempt, isPatient: true, late },
    async (session): Promise<ExitStatus> => {
      if (event !== undefined) await untilEvent(session, event);
      else if (status !== undefined) await untilStatus(session, status, (now) => found = now);
      return 0;
    },
  );
}

async function untilEvent(session: Session, glob: string): Promise<void> {
  const filter = await choose(session, [glob]);
  for (;;) {
    const event = await session.event();
    if (event === undefined) {
      throw new Failure(1, `wait: QEMU disconnected before an event ${glob} arrived`);
    }
    if (filter.passes(event.name)) return print(event.text);
  }
}

/**
 * Queries the status after every event, and once a second, because some changes cause no event.
 *
 * @param found is called with each other status
 */
async function untilStatus(
  session: Session,
  status: string,
  found: (status: string) => void,
): Promise<void> {
  for (;;) {
    const answer = await session.execute("query-status");
    if ("desc" in answer) {
      throw new Failure(statusOfError(answer), `wait: query-status: ${answer.desc}`);
    }
    const now = statusIn(answer.value);
    if (now === status) return;
    found(now);
    if (!await session.quiet(ASK_AGAIN_MS)) {
      throw new Failure(1, `wait: QEMU disconnected before the machine was ${status}`);
    }
  }
}

/** Returns the status from the reply to `query-status`; @throws Failure if it has none */
function statusIn(value: string): string {
  const { status } = value.length > ANSWER_LENGTH_LIMIT ? {} : Object(JSON.parse(value));
  if (typeof status === "string") return status;
  throw new Failure(1, "wait: query-status returned no status; name a monitor of QEMU");
}
