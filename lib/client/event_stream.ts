/**
 * A stream of events for one reader.
 *
 * It is bounded. Events that the reader does not take in time are dropped, and a gap stands in their
 * place: reading the connection less would hold up replies too.
 *
 * @module
 */

import type { EventFilter, EventName } from "../policy/event_filter.ts";
import { Queue } from "./queue.ts";
import type { Gap, QmpEvent } from "./schema.ts";

/** The most events that wait for a reader by default. */
export const EVENTS_LIMIT = 4096;
/** The most characters of all events that wait for a reader; a longer event waits alone. */
export const TEXT_LIMIT = 16 << 20;

/** Returns whether an event may wait behind others, of which the number and the characters are given. */
export function hasRoom(event: QmpEvent, count: number, length: number, limit: number): boolean {
  return count === 0 || (count < limit && length + event.text.length <= TEXT_LIMIT);
}

/** A receiver of events. */
export interface EventSink {
  /** Takes an event; `name` is its prepared name. */
  push(event: QmpEvent, name: EventName): void;
  /** Takes the news that events may be missing. */
  gap(reason: string): void;
  /** Takes the end of the client: with an error, or `closed` after a call of `close`. */
  end(error: Error, closed: boolean): void;
}

/** The owner of a stream that gets again what it could not queue. */
export interface StreamOwner {
  /** Called with each event that the reader is given. */
  taken(event: QmpEvent): void;
  /** Called with each event that the full queue could not take. */
  full(): void;
}

/** A stream of events; it is read by one `for await`. */
export class EventStream<E extends QmpEvent> implements AsyncIterableIterator<E> {
  readonly #filter: EventFilter;
  readonly #limit: number;
  readonly #ended: () => void;
  readonly #owner: StreamOwner | undefined;
  readonly #queue = new Queue<QmpEvent>();
  #length = 0;
  /** The number of events that were dropped since the last one that was queued. */
  #dropped = 0;
  #isDone = false;
  #error: Error | undefined;
  #waiting: PromiseWithResolvers<void> | undefined;

  /**
   * Creates a stream.
   *
   * @param filter chooses the events
   * @param limit the most events that wait
   * @param ended called when the reader has ended it
   * @param owner makes sure that no event is missing; without one, a gap tells of events without room
   * @throws RangeError if the limit is not a positive number
   */
  constructor(filter: EventFilter, limit: number, ended: () => void, owner?: StreamOwner) {
    if (!(limit >= 1)) throw new RangeError(`Invalid limit ${limit}: expected a number from 1`);
    this.#filter = filter;
    this.#limit = limit;
    this.#ended = ended;
    this.#owner = owner;
  }

  /** Queues an event, if it is wanted and there is room. */
  push(event: QmpEvent, name: EventName): void {
    if (this.#isDone || !this.#filter.passes(name)) return;
    if (!hasRoom(event, this.#queue.size, this.#length, this.#limit)) {
      if (this.#owner === undefined) this.#dropped++;
      else this.#owner.full();
      return;
    }
    this.#tellDropped();
    this.#add(event);
  }

  /** Tells the reader that events are missing here. */
  gap(reason: string): void {
    if (this.#isDone) return;
    this.#tellDropped();
    this.#addGap(reason);
  }

  /** Ends the stream after the events that wait; with the error, unless the client was closed. */
  end(error: Error, closed: boolean): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#error = closed ? undefined : error;
    this.#waiting?.resolve();
  }

  /** Returns the next event; @throws the error of the connection after the last */
  async next(): Promise<IteratorResult<E, undefined>> {
    for (;;) {
      const event = this.#queue.shift();
      if (event !== undefined) {
        this.#length -= event.text.length;
        this.#owner?.taken(event);
        return { done: false, value: event as E };
      }
      if (this.#dropped > 0) {
        this.#tellDropped();
        continue;
      }
      if (this.#isDone) {
        const error = this.#error;
        this.#error = undefined;
        if (error !== undefined) throw error;
        return { done: true, value: undefined };
      }
      this.#waiting ??= Promise.withResolvers();
      await this.#waiting.promise;
    }
  }

  /** Ends the stream now. */
  // deno-lint-ignore require-await -- An iterator returns a promise.
  async return(): Promise<IteratorResult<E, undefined>> {
    this.#isDone = true;
    this.#queue.clear();
    this.#length = this.#dropped = 0;
    this.#error = undefined;
    this.#waiting?.resolve();
    this.#ended();
    return { done: true, value: undefined };
  }

  /** Returns itself. */
  [Symbol.asyncIterator](): this {
    return this;
  }

  #add(event: QmpEvent): void {
    this.#queue.push(event);
    this.#length += event.text.length;
    this.#waiting?.resolve();
    this.#waiting = undefined;
  }

  #tellDropped(): void {
    const dropped = this.#dropped;
    this.#dropped = 0;
    if (dropped > 0) this.#addGap(`${dropped} events were dropped: they were not read in time`);
  }

  /** Queues a gap. Gaps in a row say no more than the first, and would have no bound. */
  #addGap(reason: string): void {
    if (this.#queue.last?.name !== GAP) this.#add(gapOf(reason));
  }
}

/** The name of a gap. */
export const GAP = "__org.qmpmux_GAP";
/** The event of a qmpmux that has kept this connection while QEMU was away. */
const QEMU_BACK = "__org.qmpmux_QEMU_BACK";

/** Returns the reason of the gap that comes with an event; `undefined` if none does. */
export function gapReason({ name }: QmpEvent): string | undefined {
  return name === QEMU_BACK ? "QEMU was away, and qmpmux has connected to it again" : undefined;
}

/** Returns a gap in the form in which qmpmux sends one. */
export function gapOf(reason: string): Gap {
  const now = Date.now();
  const timestamp = { seconds: Math.floor(now / 1000), microseconds: (now % 1000) * 1000 };
  const data = { reason };
  return { name: GAP, data, timestamp, text: JSON.stringify({ timestamp, event: GAP, data }) };
}
