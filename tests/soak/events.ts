/**
 * The check of events: none missing, none twice, none out of order, none unwanted.
 *
 * A record is everything that QEMU sends on a separate monitor, beside qmpmux. A follower is one
 * client: its events must be that record, line by line, without those that its filter holds back.
 *
 * @module
 */

/** An event in the record. */
interface Entry {
  readonly line: string;
  readonly name: string;
  /** QEMU's timestamp, in milliseconds of the time of day. */
  readonly at: number;
}

/** The events that a client wants: the globs it sent to qmpmux, with `*` only at an end. */
export type Filter = readonly string[];

/** A filter for all events. */
export const ALL: Filter = ["*"];
/** A filter for none. */
export const NONE: Filter = [];

/** Two clocks are compared, each in whole milliseconds. */
const CLOCK_MS = 2;

/** Returns whether a filter lets an event pass. */
export function passes(filter: Filter, name: string): boolean {
  return filter.some((glob) =>
    glob.endsWith("*") ? name.startsWith(glob.slice(0, -1)) : glob === name
  );
}

/** Returns the name of the event in a line from QEMU. */
export function nameOf(line: string): string {
  const from = line.indexOf('"event": "') + 10;
  return line.slice(from, line.indexOf('"', from));
}

/** All events of one QEMU, in order; those that all followers have passed can be removed. */
export class EventRecord {
  #entries: Entry[] = [];
  #forgotten = 0;
  readonly #places = new Map<string, number>();

  /** The number of events so far. */
  get length(): number {
    return this.#forgotten + this.#entries.length;
  }

  /** Adds an event of QEMU. */
  add(line: string): void {
    const [, seconds, microseconds] = /"seconds": (\d+), "microseconds": (\d+)/.exec(line)!;
    const at = Number(seconds) * 1000 + Number(microseconds) / 1000;
    this.#places.set(line, this.length);
    this.#entries.push({ line, name: nameOf(line), at });
  }

  /** The first event that has not been removed. */
  get first(): number {
    return this.#forgotten;
  }

  /**
   * Returns the index of a line, or `undefined` if it has not been recorded yet, or was removed.
   */
  placeOf(line: string): number | undefined {
    return this.#places.get(line);
  }

  /** Returns the event at an index. */
  at(place: number): Entry {
    return this.#entries[place - this.#forgotten]!;
  }

  /** Removes the events before an index. */
  forget(place: number): void {
    const gone = this.#entries.splice(0, Math.max(0, place - this.#forgotten));
    for (const { line } of gone) this.#places.delete(line);
    this.#forgotten += gone.length;
  }
}

/** One client's position in the record; problems are returned as text. */
export class Follower {
  readonly #record: EventRecord;
  #filter: Filter = NONE;
  /** Earlier filters, and their end times. */
  #former: { readonly filter: Filter; readonly until: number }[] = [];
  #place: number;
  /** Events it got that are not in the record yet. */
  #early: string[] = [];
  /** The number of events that it has got. */
  heard = 0;

  /** Creates the follower of a client that has just connected, and gets no events. */
  constructor(record: EventRecord) {
    this.#record = record;
    // Events in the record may still be in flight to it.
    this.#place = record.first;
  }

  /** The index of the first event that it may still get. */
  get place(): number {
    return this.#place;
  }

  /** Takes an event that it has got. */
  hear(line: string): string | undefined {
    this.heard++;
    const name = nameOf(line);
    if (!passes(this.#filter, name)) return `an event it does not want: ${line}`;
    this.#early.push(line);
    return this.catchUp();
  }

  /** Takes the reply that sets another filter; `now` in milliseconds. */
  choose(filter: Filter, now: number): void {
    this.#former.push({ filter: this.#filter, until: now + CLOCK_MS });
    this.#filter = filter;
  }

  /** Advances as far as the record reaches. */
  catchUp(): string | undefined {
    let taken = 0;
    for (const line of this.#early) {
      const place = this.#record.placeOf(line);
      if (place === undefined) break;
      if (place < this.#place) return `an event again, or too late: ${line}`;
      const missed = this.#passTo(place);
      if (missed !== undefined) return missed;
      this.#place = place + 1;
      taken++;
    }
    if (taken > 0) this.#early.splice(0, taken);
    return undefined;
  }

  /**
   * Checks that it has got all events before a time, once it has the reply to a command that it
   * sent then; the record reaches at least as far.
   *
   * @param heard the number of events it had got when the record was extended that far: later
   * events may not be in the record yet
   */
  finish(time: number, heard: number): string | undefined {
    const wrong = this.catchUp();
    if (wrong !== undefined) return wrong;
    const [early] = this.#early;
    if (early !== undefined && this.heard - this.#early.length < heard) {
      return `an event that QEMU never sent: ${early}`;
    }
    let end = this.#place;
    while (end < this.#record.length && this.#record.at(end).at < time - CLOCK_MS) end++;
    const missed = this.#passTo(end);
    this.#place = end;
    return missed;
  }

  /**
   * Skips events that it does not want and that are older than a time, which allows the record to
   * be shortened.
   */
  skip(time: number): void {
    while (this.#early.length === 0 && this.#place < this.#record.length) {
      const { name, at } = this.#record.at(this.#place);
      if (at >= time || passes(this.#filter, name)) return;
      this.#place++;
    }
  }

  #passTo(end: number): string | undefined {
    for (let place = this.#place; place < end; place++) {
      const entry = this.#record.at(place);
      if (this.#mustHear(entry)) return `not the event ${entry.line}`;
    }
    return undefined;
  }

  /** Returns whether all filters that may have been in force at the time let an event pass. */
  #mustHear({ name, at }: Entry): boolean {
    while (this.#former.length > 0 && this.#former[0]!.until < at) this.#former.shift();
    return passes(this.#filter, name) &&
      this.#former.every(({ filter }) => passes(filter, name));
  }
}
