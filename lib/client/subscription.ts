/**
 * A stream of events that begins at a cursor, and misses none.
 *
 * It subscribes to qmpmux's log of events. Behind each event comes a bookmark with a cursor. An event is
 * given to the reader with its cursor, so that what has been read is always known. After a lost
 * connection, and after the reader was too slow, it subscribes again from the last cursor.
 *
 * @module
 */

import { EventFilter, EventName } from "../policy/event_filter.ts";
import { ProtocolError, QmpError } from "./errors.ts";
import { EventStream, GAP, gapOf } from "./event_stream.ts";
import type { Link, Reply } from "./link.ts";
import type { QmpEvent } from "./schema.ts";

const SUBSCRIBE = "__org.qmpmux_subscribe";
/** A command whose reply comes behind all events that were kept when it was sent. */
const MARKER = "__org.qmpmux_query-self";
const BOOKMARK = "__org.qmpmux_BOOKMARK";

/**
 * The time without a bookmark after which qmpmux is asked for the place: a client has no bookmarks of events
 * that its role or its listener hides.
 */
const QUIET_MS = 60_000;

/** The most events without a bookmark; qmpmux sends one behind each event. */
const HELD_LIMIT = 64;

/** The value of `since` that begins with new events only. */
const NOW = "now";

/** A stream that begins at a cursor, and its place in qmpmux's log. */
export class Subscription {
  /** The events for the reader. */
  readonly stream: EventStream<QmpEvent>;
  readonly #filter: EventFilter;
  readonly #gap: (reason: string) => void;
  /** The place behind the last event that the reader was given; `undefined` before it is known. */
  #cursor: string | undefined;
  /** The place to subscribe from: behind the last event that was queued. */
  #since: string;
  #link: Link | undefined;
  /**
   * `waiting` for the reply to the subscription; `reading`; `full`, until the reader has read everything;
   * `over` when the reader has left, or after an error.
   */
  #state: "waiting" | "reading" | "full" | "over" = "waiting";
  /** Whether the events are earlier ones, which are for this stream only. */
  #isCatchingUp = false;
  /** The events behind which no bookmark has come yet. */
  #held: (readonly [event: QmpEvent, name: EventName])[] = [];
  /** The events that wait for the reader, with the cursors behind them. */
  readonly #queued = new Map<QmpEvent, string>();
  #last: QmpEvent | undefined;
  /** The timer that asks for the place, while there is a connection. */
  #timer: ReturnType<typeof setInterval> | undefined;
  /** Whether a bookmark has come since the timer's last turn. */
  #hasMoved = false;

  /**
   * Creates a subscription that has no connection.
   *
   * @param filter chooses the events
   * @param limit the most events that wait for the reader
   * @param since a cursor, `oldest`, or `now`
   * @param gap called when other streams may miss events, because those that come are told again
   * @throws RangeError, TypeError
   */
  constructor(
    filter: EventFilter,
    limit: number,
    since: string,
    gap: (reason: string) => void,
  ) {
    if (typeof since !== "string" || since === "") {
      throw new TypeError('Invalid since: expected a cursor, "oldest" or "now"');
    }
    this.#filter = new EventFilter([...filter.globs, GAP]);
    this.#gap = gap;
    this.#since = since;
    this.stream = new EventStream(this.#filter, limit, () => this.#left(), {
      taken: (event) => this.#taken(event),
      full: () => void (this.#state = "full"),
    });
  }

  /** The place behind the last event that the reader was given; `undefined` before it is known. */
  get cursor(): string | undefined {
    return this.#cursor;
  }

  /** Whether the reader may still get events. */
  get isOpen(): boolean {
    return this.#state !== "over";
  }

  /** Subscribes on a connection. */
  begin(link: Link): void {
    if (this.#state === "over") return;
    this.#link = link;
    this.#state = "waiting";
    const since = this.#since === NOW ? {} : { since: this.#since };
    const args = JSON.stringify({ ...since, bookmarks: "each" });
    const subscribed = link.request(SUBSCRIBE, args, false, (reply) => this.#begun(reply));
    subscribed.reply.catch((error) => this.#refused(error));
    const marker = link.request(MARKER, undefined, false, () => this.#isCatchingUp = false);
    marker.reply.catch(() => {});
    this.#timer ??= setInterval(() => this.#askPlace(), QUIET_MS);
  }

  /** Notes that the connection was lost. Events without a bookmark come again. */
  lost(): void {
    this.#rest();
    this.#link = undefined;
    this.#held.length = 0;
    this.#isCatchingUp = false;
    if (this.#state !== "over") this.#state = "waiting";
  }

  /** Ends the stream after the events that wait; with the error, unless the client was closed. */
  end(error: Error, closed: boolean): void {
    this.#rest();
    this.#state = "over";
    this.stream.end(error, closed);
  }

  /** Takes an event; returns whether it is for other streams, too. */
  take(event: QmpEvent, name: EventName): boolean {
    if (event.name === BOOKMARK) {
      const { cursor } = Object(event.data);
      if (this.#state === "reading" && typeof cursor === "string") this.#mark(cursor);
      return false;
    }
    if (this.#state === "reading") this.#hold(event, name);
    return !this.#isCatchingUp;
  }

  /** Asks qmpmux for the place, unless a bookmark has told it lately. */
  #askPlace(): void {
    const hasMoved = this.#hasMoved;
    this.#hasMoved = false;
    if (hasMoved || this.#state !== "reading") return;
    const asked = this.#link?.request(MARKER, undefined, false, ({ value }) => {
      const { cursor, behind } = Object(Object(value).subscription);
      // A reply to a client that is behind comes after events that its cursor does not count.
      if (behind === 0 && typeof cursor === "string" && this.#state === "reading") {
        this.#mark(cursor);
      }
    });
    asked?.reply.catch(() => {});
  }

  #rest(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Keeps an event until its bookmark comes. */
  #hold(event: QmpEvent, name: EventName): void {
    this.#held.push([event, name]);
    if (this.#held.length <= HELD_LIMIT) return;
    this.end(new ProtocolError(`${HELD_LIMIT} events came without a bookmark behind them`), false);
    this.#held.length = 0;
  }

  /** Takes the reply to the subscription; it comes before the events. */
  #begun({ value, text }: Reply): void {
    if (this.#state !== "waiting") return;
    const { cursor, gap } = Object(value);
    if (typeof cursor !== "string") {
      const error = new ProtocolError(`${SUBSCRIBE} was answered without a cursor: ${text}`);
      return this.end(error, false);
    }
    this.#state = "reading";
    this.#isCatchingUp = this.#since !== NOW;
    if (this.#isCatchingUp) {
      this.#gap("a stream that begins at a cursor catches up with the events");
    }
    if (gap !== undefined) {
      const event = gapOf(String(Object(gap).reason));
      this.#held.push([event, new EventName(GAP)]);
    }
    this.#mark(cursor);
  }

  #refused(error: unknown): void {
    // After a loss of the connection it subscribes again, or the client ends.
    if (error instanceof QmpError && this.#state === "waiting") this.end(error, false);
  }

  /** Queues the events in front of a bookmark. */
  #mark(cursor: string): void {
    this.#hasMoved = true;
    for (const [event, name] of this.#held) {
      if (!this.#filter.passes(name)) continue;
      this.stream.push(event, name);
      // Events that were not queued come again.
      if (this.#state === "full") break;
      this.#queued.set(event, cursor);
      this.#last = event;
    }
    this.#held.length = 0;
    if (this.#state === "full") return;
    this.#since = cursor;
    if (this.#queued.size > 0) this.#queued.set(this.#last!, cursor);
    else this.#cursor = cursor;
  }

  /** Notes that the reader was given an event. */
  #taken(event: QmpEvent): void {
    this.#cursor = this.#queued.get(event);
    this.#queued.delete(event);
    const isFree = this.#state === "full" && this.#queued.size === 0;
    if (isFree && this.#link !== undefined) this.begin(this.#link);
  }

  /** Notes that the reader has left; the connection needs no bookmarks any more. */
  #left(): void {
    if (this.#state === "over") return;
    this.#rest();
    this.#state = "over";
    this.#link?.request(SUBSCRIBE, "{}").reply.catch(() => {});
  }
}
