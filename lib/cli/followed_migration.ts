/**
 * The migration that is followed; QEMU has one at a time.
 *
 * @module
 */

import type { QmpEvent } from "../client/schema.ts";
import { Failure } from "../platform/failure.ts";
import type { Ending, Followed } from "./follow.ts";
import { numberOf, statusIn } from "./followed_job.ts";
import type { JobView } from "./progress.ts";
import type { Row } from "./table.ts";

/** The steps that the migration waits for. */
const HINTS: ReadonlyMap<string, string> = new Map([
  ["pre-switchover", "continue it with migrate-continue"],
  ["postcopy-paused", "resume it with migrate resume=true"],
]);

/** The migration. */
export class FollowedMigration implements Followed {
  /** Its name, for messages. */
  readonly label = "the migration";
  /** The globs of the events that tell of it; `MIGRATION` needs the capability `events`. */
  readonly events: readonly string[] = ["MIGRATION", "MIGRATION_PASS", "STOP", "RESUME"];
  /** The query that tells of it. */
  readonly query = "query-migrate";
  #found: Row | undefined;

  /** Takes an event; returns whether the migration may have changed. */
  heard({ name }: QmpEvent): boolean {
    return this.events.includes(name);
  }

  /** Ignores the migration before. */
  askedBefore(): void {}

  /** Needs no note: the last reply counts. */
  asking(): void {}

  /** Takes the state of the migration; @throws Failure if there was none since QEMU's start */
  asked(value: unknown): void {
    const found: Row = Object(value);
    if (found.status === undefined || found.status === "none") {
      throw new Failure(1, "exec: QEMU has no migration; start it with migrate");
    }
    statusIn(found, this);
    this.#found = found;
  }

  /** The present state; `undefined` before it was asked for. */
  get view(): JobView | undefined {
    const found = this.#found;
    if (found === undefined) return undefined;
    const status = statusIn(found, this);
    // QEMU counts disks separately, where it migrates them.
    const parts = [found.ram, found.disk].map((part) => Object(part) as Row);
    const sum = (member: string): number =>
      parts.reduce((all, part) => all + numberOf(part[member]), 0);
    const total = sum("total");
    return {
      status,
      isUsual: status === "active",
      done: Math.max(0, total - sum("remaining")),
      total,
      bytes: sum("transferred"),
      hint: HINTS.get(status),
    };
  }

  /** The end; `undefined` before. */
  get ending(): Ending | undefined {
    const { status, "error-desc": reason } = this.#found ?? {};
    switch (status) {
      case "completed":
        return { kind: "done" };
      case "cancelled":
        return { kind: "cancelled" };
      case "failed":
        return {
          kind: "failed",
          reason: typeof reason === "string" ? reason : "QEMU gives no reason",
        };
      default:
        return undefined;
    }
  }
}
