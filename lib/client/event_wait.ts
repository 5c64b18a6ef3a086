/**
 * A wait for one event.
 *
 * It looks at each event when that arrives, and has no queue. So it misses none, however many come.
 *
 * @module
 */

import type { EventFilter, EventName } from "../policy/event_filter.ts";
import type { EventSink } from "./event_stream.ts";
import type { QmpEvent } from "./schema.ts";

/** A wait for an event. */
export class EventWait<E extends QmpEvent> implements EventSink {
  /** The event; it rejects with the error of `match`, or that of {@linkcode end}. */
  readonly found: Promise<E>;
  readonly #found = Promise.withResolvers<E>();
  readonly #filter: EventFilter;
  readonly #match: (event: E) => boolean;

  /**
   * Creates a wait.
   *
   * @param filter chooses the names
   * @param match chooses among the events of these names
   */
  constructor(filter: EventFilter, match: (event: E) => boolean) {
    this.found = this.#found.promise;
    this.#filter = filter;
    this.#match = match;
  }

  /** Takes an event, if it is the one. */
  push(event: QmpEvent, name: EventName): void {
    if (!this.#filter.passes(name)) return;
    try {
      if (this.#match(event as E)) this.#found.resolve(event as E);
    } catch (error) {
      this.#found.reject(error);
    }
  }

  /** Goes on waiting: the event may still come. */
  gap(): void {}

  /** Ends the wait. */
  end(error: Error): void {
    this.#found.reject(error);
  }
}
