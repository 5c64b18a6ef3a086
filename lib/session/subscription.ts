/**
 * A subscription: one client that reads the event log from a cursor on.
 *
 * A client that has read everything gets an event at once, like any other client. One that is behind
 * reads from the log as fast as its connection takes it, so that nothing is queued for it. It passes
 * the connection a stretch of the log, and each reply ends the present stretch: thus events keep their
 * place among the replies.
 *
 * @module
 */

import type { EventFilter, EventName } from "../policy/event_filter.ts";
import type { EventLog } from "../sharing/event_log.ts";
import type { ClientPeer, Source } from "../wire/peer.ts";

/** The unread bytes of a client above which it reads from the log. */
const ROOM_BYTES = 65536;

/** The cost of passing over events in one turn: an event costs 1, and one whose name is new to a filter more. */
const TURN_COST = 2048;
const NEW_NAME_COST = 64;

const NOTHING: Uint8Array = new Uint8Array(0);

/** When a client gets a bookmark: after each event, after a number of seconds, or never. */
export type Bookmarks = "each" | number | undefined;

/** The client of a subscription. */
export interface Subscriber {
  /** Its connection. */
  readonly peer: ClientPeer;
  /** Returns whether its role and its listener allow an event, whatever it has chosen. */
  maySee(name: EventName): boolean;
  /** Notes that the connection has taken an event. */
  eventSent(bytes: Uint8Array): void;
}

/** The messages that a subscription adds to the events. */
export interface Marks {
  /** Returns the bookmark behind an event. */
  bookmark(number: number): Uint8Array;
  /** Returns the gap of a client that the log has overtaken. */
  gap(missing: number): Uint8Array;
}

/** The choices of a subscriber. */
export interface Choice {
  /** The number of the event behind which it begins. */
  readonly after: number;
  /** The events it gets; `undefined` for all. */
  readonly filter: EventFilter | undefined;
  /** When it gets bookmarks. */
  readonly bookmarks: Bookmarks;
}

/** An event that has just been added to the log. */
export interface Told {
  /** Its number. */
  readonly number: number;
  /** Its name; `undefined` for a gap. */
  readonly name: EventName | undefined;
  /** The whole line. */
  readonly bytes: Uint8Array;
  /** Returns the line and its bookmark: one buffer for all clients costs less than two writes that are joined. */
  readonly marked: () => Uint8Array;
}

/** The queue of one client's connection. */
interface Queue {
  /** The number of stretches in it, also of earlier subscriptions. */
  stretches: number;
}

/** A part of the log that the connection takes, with the filter that was chosen for it. */
interface Stretch extends Source {
  /** The number of its last event; `Infinity` while it has no end. */
  to: number;
  readonly filter: EventFilter | undefined;
}

/** A client's reading of the event log, as its monitor sees it. */
export interface EventReader {
  /** Changes the filter, for events behind the reply that follows at once. */
  choose(filter: EventFilter): void;
  /** Makes what is sent from now on, such as a reply, come behind all present events. */
  hold(): void;
  /** Continues behind a reply that has been queued. */
  goOn(): void;
}

/** One client's reading of the event log. */
export class Subscription implements EventReader {
  /** When it gets bookmarks. */
  readonly bookmarks: Bookmarks;
  readonly #client: Subscriber;
  readonly #log: EventLog;
  readonly #marks: Marks;
  #filter: EventFilter | undefined;
  /** The number of the last event that it got or passed over. */
  #at: number;
  /** The stretch at the end of the connection's queue, while it has no end. */
  #open: Stretch | undefined;
  /** The number of the last event of the stretches that have an end. */
  #held = 0;
  readonly #queue: Queue;
  /** The bookmark that comes before anything else. */
  #mark: Uint8Array | undefined;
  /** Whether a bookmark is due because of the time. */
  #isMarkDue = false;

  /**
   * Creates a subscription that sends nothing before {@linkcode goOn}.
   *
   * @param previous the client's present subscription, if it has one
   */
  constructor(
    client: Subscriber,
    log: EventLog,
    marks: Marks,
    choice: Choice,
    previous?: Subscription,
  ) {
    this.#queue = previous === undefined ? { stretches: 0 } : previous.#queue;
    this.#client = client;
    this.#log = log;
    this.#marks = marks;
    this.bookmarks = choice.bookmarks;
    this.#filter = choice.filter;
    this.#at = choice.after;
  }

  /** The number of the last event that it got or passed over. */
  get at(): number {
    return this.#at;
  }

  /** Continues behind a reply that has been queued; at first, with the kept events. */
  goOn(): void {
    if (Math.max(this.#at, this.#held) < this.#log.last) this.#read();
  }

  /**
   * Takes the event that was added to the log last.
   *
   * @returns whether the client gets it, now or later
   */
  tell(told: Told): boolean {
    const wants = told.name === undefined || this.#sees(told.name, this.#filter);
    const { peer } = this.#client;
    // Without a stretch in the queue, the client has got everything before this event.
    if (this.#queue.stretches > 0 || wants && (peer.unread ?? 0) > ROOM_BYTES) this.#read();
    else {
      this.#at = told.number;
      if (!wants) return false;
      if (this.bookmarks !== "each") this.#send(told.bytes);
      else {
        peer.send(told.marked());
        this.#client.eventSent(told.bytes);
        this.#client.eventSent(this.#marks.bookmark(told.number));
      }
    }
    return wants;
  }

  /** Sends a bookmark of the place that the client has reached. */
  bookmark(): void {
    const { peer } = this.#client;
    if (this.#queue.stretches === 0 && (peer.unread ?? 0) <= ROOM_BYTES) {
      return this.#send(this.#marks.bookmark(this.#at));
    }
    this.#isMarkDue = true;
    this.#read();
  }

  /** Changes the filter, for events behind the reply that follows at once. */
  choose(filter: EventFilter): void {
    this.#filter = filter;
  }

  /** Ends the present stretch, so that what is sent from now on comes behind it. */
  hold(): void {
    if (this.#open === undefined) return;
    this.#open.to = this.#held = this.#log.last;
    this.#open = undefined;
  }

  /** Lets the connection take what is in the log now and what comes later. */
  #read(): void {
    if (this.#open !== undefined) return;
    const stretch: Stretch = {
      to: Infinity,
      filter: this.#filter,
      next: () => {
        const bytes = this.#next(stretch);
        if (bytes !== undefined && bytes.length > 0) this.#client.eventSent(bytes);
        return bytes;
      },
    };
    this.#open = stretch;
    this.#queue.stretches++;
    const { peer } = this.#client;
    if (peer.sendFrom) return peer.sendFrom(stretch);
    for (let bytes = stretch.next(); bytes; bytes = stretch.next()) {
      if (bytes.length > 0) peer.send(bytes);
    }
  }

  #next(stretch: Stretch): Uint8Array | undefined {
    const log = this.#log;
    const mark = this.#mark;
    if (mark !== undefined) {
      this.#mark = undefined;
      return mark;
    }
    const last = Math.min(stretch.to, log.last);
    const missing = log.oldest - 1 - this.#at;
    if (missing > 0 && this.#at < last) {
      this.#at += missing;
      this.#reached();
      return this.#marks.gap(missing);
    }
    // Behind a gap that a later stretch tells, a bookmark would be out of date.
    if (this.#isMarkDue && missing <= 0) {
      this.#isMarkDue = false;
      return this.#marks.bookmark(this.#at);
    }
    let cost = 0;
    while (this.#at < last) {
      if (cost > TURN_COST) return NOTHING;
      const name = log.nameAt(++this.#at);
      if (name !== undefined) {
        const { filter } = stretch;
        cost += filter === undefined || filter.isQuick(name) ? 1 : NEW_NAME_COST;
        if (!this.#sees(name, filter)) continue;
      }
      this.#reached();
      return log.bytesAt(this.#at);
    }
    if (this.#open === stretch) this.#open = undefined;
    this.#queue.stretches--;
    return undefined;
  }

  #send(bytes: Uint8Array): void {
    this.#client.peer.send(bytes);
    this.#client.eventSent(bytes);
  }

  /** Makes the bookmark that comes next, if there is one behind each event. */
  #reached(): void {
    if (this.bookmarks === "each") this.#mark = this.#marks.bookmark(this.#at);
  }

  #sees(name: EventName, filter: EventFilter | undefined): boolean {
    return (filter === undefined || filter.passes(name)) && this.#client.maySee(name);
  }
}
