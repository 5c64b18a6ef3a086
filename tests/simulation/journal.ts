/**
 * The events of one VM, as expected: all that came, with their numbers, and which of them qmpmux keeps.
 *
 * @module
 */

/** An event that came, or a gap between two sessions with QEMU. */
export interface Entry {
  /** The name; `undefined` for a gap. */
  readonly name: string | undefined;
  /** The line, as a QEMU that is not pretty writes it. */
  readonly text: string;
  /** The number of bytes of the line as it was written. */
  readonly bytes: number;
  /** The number of the session with QEMU. */
  readonly session: number;
}

/** The bounds of what is kept. */
export interface Bounds {
  readonly bytes: number;
  readonly events: number;
}

/** The name of this log in cursors. */
export const RUN = "world";

/** The expected place of a cursor, or the error for it. */
export type Found =
  | { readonly after: number; readonly gap?: string }
  | { readonly error: string };

/** All events of one world. */
export class Journal {
  readonly #all: Entry[] = [];
  #bounds: Bounds;
  #session = 0;
  #oldest = 1;
  #kept = 0;
  /** The number of the first event that qmpmux has not handled yet. */
  fresh = 1;

  constructor(bounds: Bounds) {
    this.#bounds = bounds;
  }

  /** The number of the last event. */
  get last(): number {
    return this.#all.length;
  }

  /** The number of the oldest event that is kept. */
  get oldest(): number {
    return this.#oldest;
  }

  /** Returns an event by its number. */
  entry(number: number): Entry {
    return this.#all[number - 1]!;
  }

  /** Takes note that qmpmux has handled all events. */
  handled(): void {
    this.fresh = this.last + 1;
  }

  /** Begins a session with QEMU. */
  begin(session: number): void {
    this.#session = session;
  }

  /** Adds an event. */
  add(name: string | undefined, text: string, bytes = text.length): void {
    this.#all.push({ name, text, bytes, session: this.#session });
    this.#kept += bytes;
    this.#drop();
  }

  /** Changes the bounds. */
  retune(bounds: Bounds): void {
    this.#bounds = bounds;
    this.#drop();
  }

  #drop(): void {
    const { bytes, events } = this.#bounds;
    while (this.#kept > bytes || this.last - this.#oldest + 1 > events) {
      this.#kept -= this.entry(this.#oldest++).bytes;
    }
  }

  /** Returns the cursor behind an event. */
  cursor(number: number): string {
    const session = number === 0 ? 0 : this.entry(number).session;
    return `${RUN}.${session}.${number}`;
  }

  /** Finds the place of a cursor, or `oldest`. */
  find(since: string): Found {
    const after = this.#oldest - 1;
    if (since === "oldest") return { after };
    const [run, session, number, ...more] = since.split(".");
    const isCursor = [session, number].every((part) => /^\d+$/.test(part ?? ""));
    if (!isCursor || more.length > 0) return { error: `"${since}" is not a cursor` };
    const gap = "the cursor is of another run of qmpmux, or of another VM";
    if (run !== RUN) return { after, gap };
    const place = Number(number);
    if (place < after) {
      return { after, gap: `${after - place} events after the cursor are no longer kept` };
    }
    if (place > this.last || this.cursor(place) !== since) {
      return { error: `"${since}" is not a cursor that qmpmux has given` };
    }
    return { after: place };
  }
}
