/**
 * The subscriptions of all clients, and the event log that they read.
 *
 * @module
 */

import type { Gauges } from "../observe/metrics_recorder.ts";
import type { Happening } from "../observe/observer.ts";
import { EventFilter, type EventName, GLOBS_LIMIT } from "../policy/event_filter.ts";
import { EVENT_LOG_BYTES, EVENT_LOG_EVENTS } from "../policy/limits.ts";
import { ArgumentError, type Arguments } from "../session/arguments.ts";
import type { Monitor } from "../session/monitor.ts";
import { type Bookmarks, type Marks, Subscription } from "../session/subscription.ts";
import { EventLog, type LogLimits } from "../sharing/event_log.ts";
import { joined } from "../wire/text.ts";
import type { MuxOptions } from "./mux_options.ts";
import { ownEvent } from "./own_events.ts";

/** The bounds of a log unless others are set. */
const DEFAULT_LOG: LogLimits = {
  bytes: EVENT_LOG_BYTES.initial,
  events: EVENT_LOG_EVENTS.initial,
};

/** The bounds of the seconds between two bookmarks. */
const BOOKMARK_SECONDS = { least: 1, most: 86400 } as const;

/** The parts of the hub that subscriptions use. */
export interface SubscriptionDeps {
  /** Returns the seconds of the hub's clock. */
  time(): number;
  /** Records something that has happened. */
  observe(happening: Happening): void;
  /** Disconnects a client after an error. */
  blame(monitor: Monitor, error: unknown): void;
}

/** The event log of one VM, and its readers. */
export class Subscriptions implements Marks {
  readonly #log: EventLog;
  readonly #deps: SubscriptionDeps;
  readonly #all = new Map<Monitor, Subscription>();
  /** The times at which clients get their next bookmark. */
  readonly #due = new Map<Monitor, number>();
  /** The last bookmark that was made: many clients get the same. */
  #made: { readonly number: number; readonly bytes: Uint8Array } | undefined;

  readonly #timeOfDay: () => number;

  /** Creates an empty log without readers. */
  constructor({ run, eventLog = DEFAULT_LOG, timeOfDay }: MuxOptions, deps: SubscriptionDeps) {
    this.#log = new EventLog(run ?? String(Math.floor(timeOfDay() * 1e6)), eventLog);
    this.#timeOfDay = timeOfDay;
    this.#deps = deps;
  }

  /** The values for the metrics. */
  get gauges(): Pick<Gauges, "subscribers" | "keptBytes" | "keptEvents"> {
    const { bytes, size } = this.#log;
    return { subscribers: this.#all.size, keptBytes: bytes, keptEvents: size };
  }

  /** Changes the bounds of the log. */
  adopt({ eventLog = DEFAULT_LOG }: MuxOptions): void {
    this.#log.adopt(eventLog);
  }

  /** Whether `tick` must be called: a bookmark may be due. */
  get needsTime(): boolean {
    return this.#due.size > 0;
  }

  /**
   * Adds an event to the log and passes it to the readers.
   *
   * @returns the number of clients that get it
   */
  tell(name: EventName | undefined, bytes: Uint8Array): number {
    this.#log.append(name, bytes);
    if (this.#all.size === 0) return 0;
    const number = this.#log.last;
    let both: Uint8Array | undefined;
    const marked = (): Uint8Array => both ??= joined([bytes, this.bookmark(number)]);
    const told = { number, name, bytes, marked };
    let clients = 0;
    for (const [monitor, subscription] of this.#all) {
      try {
        if (subscription.tell(told)) clients++;
      } catch (error) {
        this.#deps.blame(monitor, error);
      }
    }
    return clients;
  }

  /** Begins a session with QEMU; behind the first one, events between the sessions are unknown. */
  beginSession(session: number): void {
    this.#log.beginSession(session);
    if (session === 1) return;
    const reason = "the connection to QEMU was lost; events before the next connection are unknown";
    const clients = this.tell(undefined, this.#event("GAP", { reason }));
    if (clients > 0) this.#deps.observe({ kind: "gap", cause: "session", clients });
  }

  /** Sends the bookmarks that are due. */
  tick(now: number): void {
    // A bookmark has the time at which it is sent.
    this.#made = undefined;
    for (const [monitor, due] of this.#due) {
      if (now < due) continue;
      const subscription = this.#all.get(monitor)!;
      this.#due.set(monitor, now + Number(subscription.bookmarks));
      try {
        subscription.bookmark();
      } catch (error) {
        this.#deps.blame(monitor, error);
      }
    }
  }

  /**
   * Runs `__org.qmpmux_subscribe` for a client.
   *
   * @returns the value for its reply
   * @throws RangeError or ArgumentError for a wrong argument
   */
  subscribe(monitor: Monitor, args: Arguments): unknown {
    const since = args.takeOptionalString("since");
    const enable = args.takeOptionalStrings("enable", GLOBS_LIMIT);
    const bookmarks = bookmarksOf(args.takeOptionalScalar("bookmarks"));
    args.end();
    if (monitor.isControl) throw new ArgumentError("The control socket has no events");
    const filter = enable && new EventFilter(enable);
    const log = this.#log;
    const { after, gap } = since === undefined ? { after: log.last } : log.placeOf(since);
    const choice = { after, filter, bookmarks };
    const subscription = new Subscription(monitor, log, this, choice, this.#all.get(monitor));
    monitor.subscribe(subscription, filter);
    this.#all.set(monitor, subscription);
    if (typeof bookmarks === "number") this.#due.set(monitor, this.#deps.time() + bookmarks);
    else this.#due.delete(monitor);
    if (gap !== undefined) this.#deps.observe({ kind: "gap", cause: "cursor", clients: 1 });
    return { cursor: log.cursor(after), ...(gap !== undefined && { gap: { reason: gap } }) };
  }

  /** Returns a client's subscription for `__org.qmpmux_query-self`; null without one. */
  view(monitor: Monitor): unknown {
    const subscription = this.#all.get(monitor);
    if (subscription === undefined) return null;
    const { bookmarks, at } = subscription;
    return {
      cursor: this.#log.cursor(at),
      bookmarks: bookmarks ?? null,
      behind: this.#log.last - at,
    };
  }

  /** Forgets a client that has left. */
  left(monitor: Monitor): void {
    this.#all.delete(monitor);
    this.#due.delete(monitor);
  }

  /** Returns the bookmark behind an event. */
  bookmark(number: number): Uint8Array {
    if (this.#made?.number !== number) {
      const bytes = this.#event("BOOKMARK", { cursor: this.#log.cursor(number) });
      this.#made = { number, bytes };
    }
    return this.#made.bytes;
  }

  /** Returns the gap of a client that the log has overtaken. */
  gap(missing: number): Uint8Array {
    this.#deps.observe({ kind: "gap", cause: "slow", clients: 1 });
    const reason = `${missing} events were dropped: the client did not read them in time`;
    return this.#event("GAP", { reason });
  }

  #event(name: string, data: object): Uint8Array {
    return ownEvent(name, this.#timeOfDay(), data).bytes;
  }
}

/** Reads the argument `bookmarks`. */
function bookmarksOf(value: string | number | undefined): Bookmarks {
  if (value === undefined || value === "each") return value;
  const { least, most } = BOOKMARK_SECONDS;
  if (typeof value === "number" && value >= least && value <= most) return value;
  throw new ArgumentError(
    `Parameter 'bookmarks' expects 'each' or a number of seconds from ${least} to ${most}`,
  );
}
