/**
 * `qmpmux wait`: waits until QEMU answers, an event arrives, the VM has a status, or QEMU has ended.
 *
 * @module
 */

import { withTimeout } from "../platform/clock.ts";
import { type ExitStatus, Failure } from "../platform/failure.ts";
import { print } from "../platform/output.ts";
import { GAP } from "../client/event_stream.ts";
import type { Qmp } from "../client/qmp.ts";
import { UsageError } from "../policy/usage_error.ts";
import { instead } from "../policy/suggestion.ts";
import { attemptOf, inSession } from "./deadline.ts";
import { checked, checkEvent, choose, endingWell } from "./events.ts";
import type { Given } from "./flags.ts";
import { SUBCOMMANDS } from "./command_table.ts";
import { onOneLine, replyTo, statusOfError } from "./replies.ts";

/** The statuses of QEMU 7.2 to 11.1, which are the same. */
const STATUSES: readonly string[] = SUBCOMMANDS.wait.flags.status.words;

/** The interval between two queries: a paused VM that migrates, for example, becomes `postmigrate` without an event. */
const ASK_AGAIN_MS = 1000;

/** The result if no event arrives in the interval. */
const LATE = Symbol("late");

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
  const aims = ["event", "status", "gone"].filter((flag) =>
    given.has(flag) || given.all(flag).length > 0
  );
  if (aims.length > 1) {
    throw new UsageError(`wait: --${aims[0]} and --${aims[1]} exclude each other; give one`);
  }
  if (event !== undefined) checkEvent("wait", "event", event);
  if (status !== undefined && !STATUSES.includes(status)) {
    throw new UsageError(`wait: unknown status "${status}"${instead(status, STATUSES)}`);
  }
  const attempt = attemptOf("wait", given);
  if (given.has("gone")) {
    const { waitUntilGone } = await import("./wait_gone.ts");
    return await waitUntilGone(attempt);
  }
  let found: string | undefined;
  const late = (): string => {
    const within = `within ${attempt.seconds} s`;
    if (event !== undefined) return `no event ${event} arrived ${within}`;
    if (found === undefined) return `query-status was not answered ${within}`;
    return `the machine is ${found}; it was not ${status} ${within}`;
  };
  return await inSession(
    { command: "wait", ...attempt, isPatient: true, late },
    async (qmp): Promise<ExitStatus> => {
      if (event !== undefined) await untilEvent(qmp, event);
      else if (status !== undefined) await untilStatus(qmp, status, (now) => found = now);
      return 0;
    },
  );
}

async function untilEvent(qmp: Qmp, glob: string): Promise<void> {
  const events = qmp.events([glob]);
  await choose(qmp, [glob]);
  const choice = { command: "wait", flag: "event", globs: [glob] };
  for await (const { name, text } of checked(qmp, events, choice)) {
    if (name !== GAP) return print(onOneLine(text));
  }
  throw new Failure(1, `wait: QEMU disconnected before an event ${glob} arrived`);
}

/**
 * Queries the status after every event, and once a second, because some changes cause no event.
 *
 * @param found is called with each other status
 */
async function untilStatus(
  qmp: Qmp,
  status: string,
  found: (status: string) => void,
): Promise<void> {
  const events = endingWell(qmp.events());
  const gone = Symbol("gone");
  let next: Promise<unknown> | undefined;
  for (;;) {
    const answer = await replyTo(qmp, "query-status");
    if ("desc" in answer) {
      throw new Failure(statusOfError(answer), `wait: query-status: ${answer.desc}`);
    }
    const now = statusIn(answer.value);
    if (now === status) return;
    found(now);
    next ??= events.next().then(({ done }) => done ? gone : undefined);
    const heard = await withTimeout(ASK_AGAIN_MS, next, LATE);
    if (heard === gone) {
      throw new Failure(1, `wait: QEMU disconnected before the machine was ${status}`);
    }
    if (heard !== LATE) next = undefined;
  }
}

/** Returns the status from the reply to `query-status`; @throws Failure if it has none */
function statusIn(value: string): string {
  const { status } = value.length > ANSWER_LENGTH_LIMIT ? {} : Object(JSON.parse(value));
  if (typeof status === "string") return status;
  throw new Failure(1, "wait: query-status returned no status; name a monitor of QEMU");
}
