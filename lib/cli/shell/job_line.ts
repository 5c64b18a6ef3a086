/**
 * A job or the migration that the shell follows to its end, with a bar in the place of the prompt.
 *
 * @module
 */

import { Failure } from "../../platform/failure.ts";
import { shortened } from "../../wire/shortened.ts";
import { type Ending, follow, type Followed, News } from "../follow.ts";
import { FollowedJob } from "../followed_job.ts";
import { FollowedMigration } from "../followed_migration.ts";
import { type Display, displayOf } from "../progress_display.ts";
import { Progress } from "../progress.ts";
import type { Outcome, Session } from "./session.ts";
import type { View } from "./view.ts";

/** The most characters of the reason of a failure. */
const REASON_LENGTH = 4096;

/** The end of following work that waits for the user. */
class Waits {
  readonly hint: string;

  constructor(hint: string) {
    this.hint = hint;
  }
}

/**
 * Follows work of QEMU's to its end, or until it waits for the user: to be completed, for example.
 *
 * @param id the ID of a job; `undefined` for the migration
 * @throws Failure if it fails, or is not there; the reason of the signal
 */
export async function followWork(
  session: Session,
  id: string | undefined,
  signal: AbortSignal,
): Promise<Outcome> {
  const { view } = session;
  const followed: Followed = id === undefined ? new FollowedMigration() : new FollowedJob(id);
  const { label } = followed;
  const display = view.isTerminal ? new Bar(view, label) : displayOf(label);
  try {
    const ending = await ended(session, followed, display, signal);
    if (ending.kind !== "done") {
      const reason = ending.kind === "failed" ? shortened(ending.reason, REASON_LENGTH) : undefined;
      throw new Failure(1, `${label}: ${reason ?? ending.kind}`);
    }
    display.done();
    return 0;
  } catch (error) {
    if (error instanceof Waits) {
      display.end();
      view.print(`${label}: ${followed.view?.status}; ${error.hint}`);
      return 0;
    }
    if (!(error instanceof Failure)) throw error;
    throw new Failure(error.status, error.message.replace(/^exec: /, ""));
  } finally {
    display.end();
  }
}

/** Shows the states of work until it ends; @throws Waits, the reason of the signal, or as `follow` does */
async function ended(
  { qmp }: Session,
  followed: Followed,
  display: Display,
  signal: AbortSignal,
): Promise<Ending> {
  // An error ends the following, which has no other way to end.
  const show = (): void => {
    signal.throwIfAborted();
    const { view } = followed;
    if (view === undefined) return;
    if (view.hint !== undefined) throw new Waits(view.hint);
    display.show(view);
  };
  const following = follow(qmp, followed, new News(qmp, followed), show);
  const given = Promise.withResolvers<never>();
  const giveUp = (): void => given.reject(signal.reason);
  signal.addEventListener("abort", giveUp);
  try {
    return await Promise.race([following, given.promise]);
  } finally {
    signal.removeEventListener("abort", giveUp);
    following.catch(() => {});
  }
}

/** A bar in the place of the prompt. */
class Bar implements Display {
  readonly #view: View;
  readonly #label: string;
  readonly #progress = new Progress();

  constructor(view: View, label: string) {
    this.#view = view;
    this.#label = label;
  }

  show(...[state]: Parameters<Display["show"]>): void {
    this.#progress.add(performance.now() / 1000, state);
    this.#view.progress(this.#progress.line(this.#label, this.#view.columns));
  }

  done(): void {
    this.#view.print(`${this.#label}: done`);
  }

  end(): void {
    this.#view.progress("");
  }
}
