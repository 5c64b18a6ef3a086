/**
 * Everyone who reads the events of one client: streams, waits, and the stream that begins at a cursor.
 *
 * @module
 */

import { type EventFilter, EventNames } from "../policy/event_filter.ts";
import { EarlyEvents } from "./early_events.ts";
import { type EventSink, type EventStream, gapReason } from "./event_stream.ts";
import type { Link } from "./link.ts";
import type { QmpEvent } from "./schema.ts";
import { Subscription } from "./subscription.ts";

/** The end of a client: the error, and whether it was closed. */
type End = readonly [error: Error, closed: boolean];

/** The readers of a client's events. */
export class Readers {
  readonly #sinks = new Set<EventSink>();
  /** The events before the first command, stream or wait. */
  #early: EarlyEvents | undefined = new EarlyEvents();
  readonly #names = new EventNames();
  /** The stream that begins at a cursor. */
  #subscription: Subscription | undefined;
  /** The present connection; `undefined` while there is none. */
  #link: Link | undefined;
  #end: End | undefined;

  /** The place behind the last event that the stream which begins at a cursor has given. */
  get cursor(): string | undefined {
    return this.#subscription?.cursor;
  }

  /** Adds a reader; it gets the events that have come before the first. */
  add(sink: EventSink): void {
    this.#early?.give(sink, this.#names);
    // Others that are opened in this turn get the same.
    queueMicrotask(() => this.forgetEarly());
    if (this.#end === undefined) this.#sinks.add(sink);
    else sink.end(...this.#end);
  }

  /** Removes a reader that has left. */
  remove(sink: EventSink): void {
    this.#sinks.delete(sink);
  }

  /** Forgets the events that have come before the first reader. */
  forgetEarly(): void {
    this.#early = undefined;
  }

  /**
   * Returns a stream that begins at a cursor.
   *
   * @param filter chooses the events
   * @param limit the most events that wait for the reader
   * @param since a cursor, `oldest`, or `now`
   * @throws Error if such a stream is open; RangeError, TypeError
   */
  subscribe(filter: EventFilter, limit: number, since: string): EventStream<QmpEvent> {
    if (this.#subscription?.isOpen) {
      throw new Error("This client has a stream with since already; end it first");
    }
    const subscription = new Subscription(filter, limit, since, (reason) => this.gap(reason));
    this.#subscription = subscription;
    if (this.#end !== undefined) subscription.end(...this.#end);
    else if (this.#link !== undefined) subscription.begin(this.#link);
    return subscription.stream;
  }

  /** Takes an event. */
  tell(event: QmpEvent): void {
    const name = this.#names.named(event.name);
    if (this.#subscription?.take(event, name) === false) return;
    this.#early?.push(event);
    // A function that looks at the event may open a stream.
    for (const sink of [...this.#sinks]) sink.push(event, name);
    const reason = gapReason(event);
    if (reason !== undefined) this.gap(reason);
  }

  /** Tells everyone that events may be missing here. */
  gap(reason: string): void {
    this.#early?.gap(reason);
    for (const sink of this.#sinks) sink.gap(reason);
  }

  /** Notes that a connection was made and negotiated. */
  connected(link: Link): void {
    this.#link = link;
    this.#subscription?.begin(link);
  }

  /** Notes that the connection was lost and is made again. */
  lost(): void {
    this.#link = undefined;
    this.#subscription?.lost();
    this.gap("the connection was lost and is made again");
  }

  /** Ends everything. */
  end(error: Error, closed: boolean): void {
    this.#end = [error, closed];
    this.#subscription?.end(error, closed);
    for (const sink of this.#sinks) sink.end(error, closed);
    this.#sinks.clear();
  }
}
