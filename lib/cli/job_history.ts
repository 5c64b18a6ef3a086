/**
 * The life of a job, from its events and from `query-jobs`.
 *
 * A block job vanishes when it ends, unless `auto-dismiss` is false: then only its events tell how it
 * ended. Other jobs stay until `job-dismiss`.
 *
 * @module
 */

import type { QmpEvent } from "../client/schema.ts";
import type { Ending } from "./follow.ts";
import type { Row } from "./table.ts";

/** The events that tell of jobs. */
export const JOB_EVENTS: readonly string[] = ["JOB_STATUS_CHANGE", "BLOCK_JOB_*"];

/** The end of a job, from the event of a block job, or from what was found earlier. */
type KnownEnd = { readonly error: string | undefined } | "cancelled";

/** The statuses after which a job cannot end well, or has ended. */
const LATE_STATUSES: readonly unknown[] = ["aborting", "concluded", "null"];

/** The life of one job. */
export class JobHistory {
  readonly #id: string;
  /** Whether the job was seen before it began to end. */
  #isSeenAlive = false;
  #isAborting = false;
  #isConcluded = false;
  #isGone = false;
  #knownEnd: KnownEnd | undefined;
  #found: Row | undefined;
  #failedOperation: unknown;
  #isAsked = false;
  /** Whether an event has told of the job since it was asked for. */
  #isHeardSince = false;

  /** Creates the history of the job with an ID, which need not exist. */
  constructor(id: string) {
    this.#id = id;
  }

  /** Whether the job was found, or an event has told of it. */
  get isKnown(): boolean {
    return this.#isSeenAlive || this.#isAborting || this.#isConcluded || this.#isGone;
  }

  /** The job as `query-jobs` has returned it last; `undefined` if it was not there. */
  get found(): Row | undefined {
    return this.#found;
  }

  /** The operation, such as `write`, that has failed and has paused the job. */
  get failedOperation(): unknown {
    return this.#found?.status === "paused" ? this.#failedOperation : undefined;
  }

  /** Takes an event; returns whether it tells of this job. */
  heard({ name, data }: QmpEvent): boolean {
    const { id, device = id, status, error, operation, action } = Object(data) as Row;
    // After its end a job with the same ID is another one.
    if (device !== this.#id || this.#isAsked && this.ending !== undefined) return false;
    switch (name) {
      case "JOB_STATUS_CHANGE":
        this.#reached(status);
        break;
      case "BLOCK_JOB_COMPLETED":
        this.#knownEnd = { error: typeof error === "string" ? error : undefined };
        break;
      case "BLOCK_JOB_ERROR":
        this.#failedOperation = action === "stop" ? operation : undefined;
        break;
      case "BLOCK_JOB_CANCELLED":
        this.#knownEnd = "cancelled";
        break;
      default:
        return false;
    }
    this.#isHeardSince = true;
    return true;
  }

  /** Takes the job as `query-jobs` has returned it before events were heard. */
  foundBefore(job: Row): void {
    this.#reached(job.status);
    const { error } = job;
    if (job.status === "concluded") {
      this.#knownEnd = { error: typeof error === "string" ? error : undefined };
    }
  }

  /** Notes that `query-jobs` is sent. */
  asking(): void {
    this.#isAsked = true;
    this.#isHeardSince = false;
  }

  /** Takes the job as `query-jobs` returns it; `undefined` if it is not there. */
  asked(job: Row | undefined): void {
    this.#found = job;
    // An event may have come before the reply or behind it. Then the job is asked for again.
    if (this.#isHeardSince) return;
    // A job that is there after its end is another one with the same ID.
    if (this.#isConcluded && job?.status !== "concluded") this.#found = undefined;
    if (this.#found !== undefined) this.#reached(this.#found.status);
    else if (this.isKnown) this.#isGone = true;
  }

  /** The end of the job; `undefined` while it runs, or while only `query-jobs` can tell its end. */
  get ending(): Ending | undefined {
    const { status, error } = this.#found ?? {};
    if (status === "concluded") return this.#endingBy(error);
    return this.#isGone ? this.#endingBy(undefined) : undefined;
  }

  #reached(status: unknown): void {
    if (status === "created") {
      // Events before are those of an earlier job with the same ID.
      this.#isAborting = this.#isConcluded = this.#isGone = false;
      this.#knownEnd = this.#found = undefined;
    }
    if (!LATE_STATUSES.includes(status)) this.#isSeenAlive = true;
    if (status === "aborting") this.#isAborting = true;
    if (status === "concluded") this.#isConcluded = true;
    if (status === "null") this.#isGone = true;
  }

  /** Returns the end by everything that is known, and by the error of the job that is still there. */
  #endingBy(error: unknown): Ending {
    if (this.#knownEnd === "cancelled") return { kind: "cancelled" };
    const reason = typeof error === "string" ? error : this.#knownEnd?.error;
    if (reason !== undefined) return { kind: "failed", reason };
    if (this.#found?.status === "concluded" || this.#knownEnd !== undefined) {
      return { kind: "done" };
    }
    if (this.#isAborting) {
      return { kind: "failed", reason: "it was aborted, and is not there any more to tell why" };
    }
    // A job that ends well concludes without having aborted.
    return this.#isSeenAlive && this.#isConcluded ? { kind: "done" } : { kind: "unknown" };
  }
}
