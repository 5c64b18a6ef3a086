/**
 * The expected reading of one subscriber: each event once, in its place among the replies, or a gap.
 *
 * It checks the lines in the order in which they leave for the client's socket. Which events the client
 * may see is decided then, by its role and its listener as they are then.
 *
 * @module
 */

import { Broken } from "./broken.ts";
import type { Entry, Journal } from "./journal.ts";
import { passes, roleEvents, type SimGrant } from "./rules.ts";

/** The parts of a client that a stream needs. */
export interface Reader {
  readonly label: string;
  readonly grant: SimGrant;
}

/** The choices of a subscriber. */
export interface Chosen {
  readonly after: number;
  readonly enable: readonly string[] | undefined;
  readonly bookmarks: "each" | number | undefined;
}

const OWN_TIME = '{"timestamp": {"seconds": 1, "microseconds": 500000}, "event": ';

/** Returns an event of a subscription's own. */
function own(name: string, member: string, text: string): string {
  return `${OWN_TIME}"__org.qmpmux_${name}", "data": {"${member}": "${text}"}}\r\n`;
}

/** Returns a gap. */
export function gapLine(reason: string): string {
  return own("GAP", "reason", reason);
}

/** One subscription. */
export class Stream {
  readonly bookmarks: Chosen["bookmarks"];
  readonly #reader: Reader;
  readonly #journal: Journal;
  #at: number;
  #enable: readonly string[] | undefined;
  /** Whether the next line must be a bookmark. */
  #marks = false;
  /** Whether a bookmark is due, anywhere. */
  #isDue = false;
  #dueAt: number;

  constructor(reader: Reader, journal: Journal, { after, enable, bookmarks }: Chosen, now: number) {
    this.#reader = reader;
    this.#journal = journal;
    this.#at = after;
    this.#enable = enable;
    this.bookmarks = bookmarks;
    this.#dueAt = typeof bookmarks === "number" ? now + bookmarks : Infinity;
  }

  /** The number of the last event that the client got or does not get. */
  get at(): number {
    return this.#at;
  }

  /** Changes the filter for what follows. */
  choose(enable: readonly string[]): void {
    this.#enable = enable;
  }

  /** Advances the clock. */
  tick(now: number): void {
    if (now < this.#dueAt) return;
    this.#dueAt = now + Number(this.bookmarks);
    this.#isDue = true;
  }

  /**
   * Checks an event that the client gets; returns the cursor in a bookmark.
   *
   * @param bound the number of the last event that may come before the next reply
   */
  event(text: string, bound: number): string | undefined {
    const cursor = this.#journal.cursor(this.#at);
    if (text === own("BOOKMARK", "cursor", cursor)) {
      if (!this.#marks && !this.#isDue) this.#broken(`got a bookmark that is not due: ${text}`);
      if (this.#marks) this.#marks = false;
      else this.#isDue = false;
      return cursor;
    }
    if (this.#marks) this.#broken(`got ${text} instead of the bookmark of ${cursor}`);
    this.#marks = this.bookmarks === "each";
    // An event that has just come reaches a client that has all others, even if it is not kept.
    const isNew = this.#at >= this.#journal.fresh - 1;
    const missing = isNew ? 0 : this.#missing(bound);
    if (missing > 0) {
      const gap = gapLine(`${missing} events were dropped: the client did not read them in time`);
      if (text !== gap) this.#broken(`got ${text} instead of ${gap}`);
      this.#at += missing;
      return undefined;
    }
    const next = this.#next(bound);
    if (next === undefined) this.#broken(`got ${text}, but has all up to ${cursor} and ${bound}`);
    const entry = this.#journal.entry(next);
    if (text !== entry.text) this.#broken(`got ${text} instead of event ${next}: ${entry.text}`);
    this.#at = next;
    return undefined;
  }

  /** Takes note of events that have come while nothing waited: those that are hidden now stay hidden. */
  told(): void {
    const { last, fresh } = this.#journal;
    if (this.#at < fresh - 1) return;
    while (this.#at < last && !this.#sees(this.#journal.entry(this.#at + 1))) this.#at++;
  }

  /** Checks that the client has everything up to an event, such as the last one before a reply. */
  complete(bound: number, before: string): void {
    if (this.#marks) this.#broken(`got no bookmark before ${before}`);
    if (this.#missing(bound) > 0) this.#broken(`was not told of a gap before ${before}`);
    const next = this.#next(bound);
    if (next !== undefined) {
      this.#broken(`did not get event ${next} before ${before}: ${this.#journal.entry(next).text}`);
    }
    this.#at = Math.max(this.#at, bound);
  }

  /** Checks that no bookmark is due any more. */
  settled(): void {
    if (this.#isDue) this.#broken("got no bookmark in time");
  }

  /** Returns the number of events that the log has dropped before the client got them. */
  #missing(bound: number): number {
    return this.#at < bound ? Math.max(0, this.#journal.oldest - 1 - this.#at) : 0;
  }

  /** Returns the number of the next event that the client may see, up to `bound`. */
  #next(bound: number): number | undefined {
    for (let number = this.#at + 1; number <= bound; number++) {
      if (this.#sees(this.#journal.entry(number))) return number;
    }
    return undefined;
  }

  #sees({ name }: Entry): boolean {
    const { role, events } = this.#reader.grant;
    return name === undefined ||
      passes(roleEvents(role), name) && passes(events, name) && passes(this.#enable, name);
  }

  #broken(what: string): never {
    throw new Broken("subscription", `${this.#reader.label} ${what}`);
  }
}
