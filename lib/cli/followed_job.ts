/**
 * A job that is followed.
 *
 * @module
 */

import type { QmpEvent } from "../client/schema.ts";
import { Failure } from "../platform/failure.ts";
import { nearest } from "../policy/suggestion.ts";
import { shortened } from "../wire/shortened.ts";
import type { Ending, Followed } from "./follow.ts";
import { JOB_EVENTS, JobHistory } from "./job_history.ts";
import { isRow, type Row } from "./table.ts";
import type { JobView } from "./progress.ts";

/** The types of jobs whose progress is in bytes. */
const OF_BYTES: readonly unknown[] = ["backup", "commit", "mirror", "stream"];

/** The steps that a job waits for. */
const HINTS: ReadonlyMap<string, string> = new Map([
  ["ready", "complete it with job-complete"],
  ["pending", "finalize it with job-finalize"],
  ["paused", "continue it with job-resume"],
]);

/** The most jobs that an error names. */
const NAMED_LIMIT = 16;

/** The most characters of a word of QEMU's that is shown; its longest status has 18. */
const WORD_LENGTH = 60;

/** A job. */
export class FollowedJob implements Followed {
  /** Its name, for messages. */
  readonly label: string;
  /** The globs of the events that tell of it. */
  readonly events: readonly string[] = JOB_EVENTS;
  /** The query that tells of it. */
  readonly query = "query-jobs";
  readonly #id: string;
  readonly #history: JobHistory;

  /** Creates the job with an ID, which need not exist yet. */
  constructor(id: string) {
    this.label = `job ${id}`;
    this.#id = id;
    this.#history = new JobHistory(id);
  }

  /** Takes an event; returns whether it tells of this job. */
  heard(event: QmpEvent): boolean {
    return this.#history.heard(event);
  }

  /** Takes the list of jobs before the command, which may be for this job. */
  askedBefore(value: unknown): void {
    const found = this.#foundIn(value);
    if (found !== undefined) this.#history.foundBefore(found);
  }

  /** Notes that the list of jobs is asked for. */
  asking(): void {
    this.#history.asking();
  }

  /** Takes the list of jobs; @throws Failure if nothing is known of this one, or it has no status */
  asked(value: unknown): void {
    const found = this.#foundIn(value);
    if (found !== undefined) statusIn(found, this);
    this.#history.asked(found);
    if (!this.#history.isKnown) throw unknownJob(this.#id, jobsIn(value));
  }

  #hintFor(status: string): string | undefined {
    const { failedOperation } = this.#history;
    const hint = HINTS.get(status);
    return failedOperation === undefined ? hint : `a ${failedOperation} failed; ${hint}`;
  }

  #foundIn(value: unknown): Row | undefined {
    return jobsIn(value).find(({ id }) => id === this.#id);
  }

  /** The present state. */
  get view(): JobView | undefined {
    const found = this.#history.found;
    if (found === undefined) return undefined;
    const status = statusIn(found, this);
    const [done, total] = [numberOf(found["current-progress"]), numberOf(found["total-progress"])];
    return {
      status,
      isUsual: status === "running",
      done,
      total,
      bytes: OF_BYTES.includes(found.type) ? done : undefined,
      hint: this.#hintFor(status),
    };
  }

  /** The end; `undefined` before. */
  get ending(): Ending | undefined {
    return this.#history.ending;
  }
}

/** Returns a number of QEMU's; 0 if it is none. */
export function numberOf(value: unknown): number {
  return typeof value === "number" && value >= 0 ? value : 0;
}

/** Returns the status of work, at a length that can be shown; @throws Failure if it has none */
export function statusIn(
  { status }: Row,
  { label, query }: Pick<Followed, "label" | "query">,
): string {
  if (typeof status === "string") return shortened(status, WORD_LENGTH);
  throw new Failure(1, `exec: ${query} returned no status of ${label}; name a monitor of QEMU`);
}

function jobsIn(value: unknown): readonly Row[] {
  return Array.isArray(value) ? value.filter(isRow) : [];
}

function unknownJob(id: string, jobs: readonly Row[]): Failure {
  const ids = jobs.map(({ id }) => id).filter((each) => typeof each === "string");
  const meant = nearest(id, ids);
  const known = ids.length === 0
    ? "it has no jobs"
    : `it has ${ids.slice(0, NAMED_LIMIT).map((each) => shortened(each, WORD_LENGTH)).join(", ")}`;
  const instead = meant === undefined ? known : `did you mean ${meant}?`;
  return new Failure(1, `exec: QEMU has no job ${id}; ${instead}`);
}
