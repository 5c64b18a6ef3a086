/**
 * The events between the negotiation and the first use of the client.
 *
 * A monitor may send them in one piece with its reply to the negotiation, before a program can open a
 * stream. They go to the streams and waits that are opened first, and to no later ones.
 *
 * @module
 */

import type { EventNames } from "../policy/event_filter.ts";
import { EVENTS_LIMIT, type EventSink, hasRoom } from "./event_stream.ts";
import type { QmpEvent } from "./schema.ts";

/** Events that wait for the first streams. */
export class EarlyEvents {
  /** The events, and the reasons of gaps among them. */
  readonly #news: (QmpEvent | string)[] = [];
  #length = 0;
  #dropped = 0;

  /** Keeps an event, if there is room. */
  push(event: QmpEvent): void {
    // The gap is told at the end: nothing is kept behind an event that was dropped.
    const isNext = this.#dropped === 0;
    if (isNext && hasRoom(event, this.#news.length, this.#length, EVENTS_LIMIT)) {
      this.#news.push(event);
      this.#length += event.text.length;
    } else this.#dropped++;
  }

  /** Keeps the news that events may be missing here. */
  gap(reason: string): void {
    // Gaps in a row say no more than the first.
    if (typeof this.#news.at(-1) !== "string") this.#news.push(reason);
  }

  /** Gives everything to a stream or a wait, and a gap at the end if events were dropped. */
  give(sink: EventSink, names: EventNames): void {
    for (const each of this.#news) {
      if (typeof each === "string") sink.gap(each);
      else sink.push(each, names.named(each.name));
    }
    if (this.#dropped > 0) {
      sink.gap(`${this.#dropped} events were dropped: they came before the stream was opened`);
    }
  }
}
