/**
 * The events between the negotiation and the first use of the client.
 *
 * A monitor may send them in one piece with its reply to the negotiation, before a program can open a
 * stream. They go to the streams and waits that are opened first, and to no later ones.
 *
 * @module
 */

import type { EventNames } from "../policy/event_filter.ts";
import { EVENTS_LIMIT, type EventSink, TEXT_LIMIT } from "./event_stream.ts";
import type { QmpEvent } from "./schema.ts";

/** Events that wait for the first streams. */
export class EarlyEvents {
  readonly #events: QmpEvent[] = [];
  #length = 0;
  #dropped = 0;

  /** Keeps an event, if there is room. */
  push(event: QmpEvent): void {
    if (this.#events.length >= EVENTS_LIMIT || this.#length > TEXT_LIMIT) this.#dropped++;
    else {
      this.#events.push(event);
      this.#length += event.text.length;
    }
  }

  /** Gives all events to a stream or a wait, and a gap if some were dropped. */
  give(sink: EventSink, names: EventNames): void {
    for (const event of this.#events) sink.push(event, names.named(event.name));
    if (this.#dropped > 0) {
      sink.gap(`${this.#dropped} events were dropped: they came before the stream was opened`);
    }
  }
}
