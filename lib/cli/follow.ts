/**
 * Following work of QEMU's to its end: a job, or the migration.
 *
 * Events tell of changes at once. A query each second is only a net, and gives the progress.
 *
 * @module
 */

import { ConnectionLost } from "../client/errors.ts";
import type { Qmp } from "../client/qmp.ts";
import type { QmpEvent } from "../client/schema.ts";
import { withTimeout } from "../platform/clock.ts";
import { Failure } from "../platform/failure.ts";
import { LOST } from "./events.ts";
import type { JobView } from "./progress.ts";
import { replyTo, valueOf } from "./replies.ts";

/** The interval between two queries. */
const ASK_AGAIN_MS = 1000;

/** The end of work. */
export type Ending =
  | { readonly kind: "done" | "cancelled" | "unknown" }
  | { readonly kind: "failed"; readonly reason: string };

/** Work of QEMU's that ends. */
export interface Followed {
  /** Its name, for messages. */
  readonly label: string;
  /** The globs of the events that tell of it. */
  readonly events: readonly string[];
  /** The query that tells of it. */
  readonly query: string;
  /** Takes an event; returns whether it tells of this work. */
  heard(event: QmpEvent): boolean;
  /** Takes the value of the query before the command is sent. */
  askedBefore(value: unknown): void;
  /** Notes that the query is sent. */
  asking(): void;
  /** Takes the value of the query; @throws Failure if the work is not there */
  asked(value: unknown): void;
  /** The present state; `undefined` if it is unknown. */
  readonly view: JobView | undefined;
  /** The end; `undefined` before. */
  readonly ending: Ending | undefined;
}

/** The news of work: its events, as they arrive. */
export class News {
  readonly #lost: Promise<never>;
  #news = Promise.withResolvers<void>();

  /**
   * Begins to listen; events that have come before do not count.
   *
   * Each event is taken as it arrives, so that a later reply finds it taken.
   */
  constructor(qmp: Qmp, followed: Followed) {
    const match = (event: QmpEvent): boolean => {
      if (followed.heard(event)) this.#news.resolve();
      return event.name === LOST;
    };
    this.#lost = qmp.waitFor("*", { match }).then(
      () => Promise.reject(disconnected(followed)),
      (error) => Promise.reject(failureOf(error, followed)),
    );
    // QEMU may leave while nobody waits for news.
    this.#lost.catch(() => {});
  }

  /** Forgets the events so far. */
  forget(): void {
    this.#news = Promise.withResolvers();
  }

  /** Waits for an event since then, for a second at most; @throws Failure if QEMU is gone */
  async next(): Promise<void> {
    await withTimeout(ASK_AGAIN_MS, Promise.race([this.#news.promise, this.#lost]), undefined);
  }
}

/**
 * Follows work to its end.
 *
 * @param show is called with each state
 * @throws Failure if the query fails, or QEMU disconnects
 */
export async function follow(
  qmp: Qmp,
  followed: Followed,
  news: News,
  show: () => void,
): Promise<Ending> {
  // Events may have told of the end before the reply to the command.
  while (followed.ending === undefined) {
    news.forget();
    followed.asking();
    try {
      const answer = await replyTo(qmp, followed.query);
      followed.asked(JSON.parse(valueOf(followed.query, answer)));
    } catch (error) {
      throw failureOf(error, followed);
    }
    if (followed.ending !== undefined) break;
    show();
    await news.next();
  }
  return followed.ending;
}

function disconnected({ label }: Followed): Failure {
  return new Failure(1, `exec: QEMU disconnected before ${label} ended`);
}

function failureOf(error: unknown, followed: Followed): unknown {
  return error instanceof ConnectionLost ? disconnected(followed) : error;
}
