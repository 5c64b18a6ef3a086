/**
 * `qmpmux exec [COMMAND …] --job ID` and `--migration`: runs a command, if there is one, and follows a job
 * or the migration to its end.
 *
 * @module
 */

import { type ExitStatus, Failure } from "../platform/failure.ts";
import { print } from "../platform/output.ts";
import { UsageError } from "../policy/usage_error.ts";
import { shortened } from "../wire/shortened.ts";
import { type Attempt, inSession, unanswered, unsent } from "./deadline.ts";
import { choose, LOST } from "./events.ts";
import type { Given } from "./flags.ts";
import { type Ending, follow, type Followed, News } from "./follow.ts";
import { FollowedJob } from "./followed_job.ts";
import { FollowedMigration } from "./followed_migration.ts";
import { displayOf } from "./progress_display.ts";
import { replyTo, valueOf } from "./replies.ts";

/** The most characters of the reason of a failure. */
const REASON_LENGTH = 4096;

/**
 * Runs a command and prints the value, then follows the work to its end.
 *
 * @param command the command; `undefined` to follow what runs already
 * @param argumentsText its arguments as JSON
 * @throws UsageError; Failure if the command or the work fails, or it is not there
 */
export async function execJob(
  given: Given,
  attempt: Pick<Attempt, "address" | "seconds">,
  command: string | undefined,
  argumentsText: string,
): Promise<ExitStatus> {
  const followed = followedIn(given);
  const display = displayOf(followed.label);
  let [isSent, isFollowing] = [false, command === undefined];
  const late = (): string => {
    display.end();
    if (isFollowing) return lateText(followed, attempt.seconds);
    return isSent ? unanswered(attempt.seconds) : unsent(attempt.seconds);
  };
  return await inSession(
    { command: "exec", ...attempt, late },
    async (qmp): Promise<ExitStatus> => {
      const chosen = choose(qmp, [...followed.events, LOST]);
      if (command !== undefined) {
        // Nothing is started that cannot be followed.
        const before = valueOf(followed.query, await replyTo(qmp, followed.query));
        followed.askedBefore(JSON.parse(before));
      }
      await chosen;
      // Nothing is awaited between the two: events that have come before do not count.
      const reply = command === undefined ? undefined : replyTo(qmp, command, argumentsText);
      isSent = true;
      const news = new News(qmp, followed);
      if (reply !== undefined) print(valueOf(command!, await reply));
      isFollowing = true;
      try {
        const show = (): void => {
          if (followed.view !== undefined) display.show(followed.view);
        };
        const ending = await follow(qmp, followed, news, show);
        if (ending.kind === "done") display.done();
        return statusOf(ending, followed);
      } finally {
        display.end();
      }
    },
  );
}

function followedIn(given: Given): Followed {
  const id = given.one("job");
  if (id === undefined) return new FollowedMigration();
  if (id === "") throw new UsageError('exec: invalid value "" for --job: expected the ID of a job');
  return new FollowedJob(id);
}

function lateText({ label, view }: Followed, seconds: number | undefined): string {
  const status = view === undefined ? "" : `; it is ${view.status}`;
  return `${label} did not end within ${seconds} s${status}`;
}

/** Returns 0 for work that is done; @throws Failure for any other end */
function statusOf(ending: Ending, { label, query }: Followed): 0 {
  switch (ending.kind) {
    case "done":
      return 0;
    case "failed":
      throw new Failure(1, `exec: ${label} failed: ${shortened(ending.reason, REASON_LENGTH)}`);
    case "cancelled":
      throw new Failure(1, `exec: ${label} was cancelled`);
    case "unknown":
      throw new Failure(1, `exec: ${label} has ended, and neither events nor ${query} tell how`);
  }
}
