/**
 * The starts of writes: those of one turn together, but never too many at once.
 *
 * Tokio lets a task read and write 128 times in a turn of the event loop. Deno puts further
 * writes into a queue, which costs more than writing. An event to 1,000 clients took a third more
 * processor time that way (measured).
 *
 * @module
 */

/** The most writes that start at once, unless few wait; the next ones start after the last of these. */
export const STARTS_LIMIT = 100;

/**
 * The number of waiting writes up to which all start at once.
 *
 * If 200 clients get a shared reply in parts, they ask again in parts, and share less.
 */
export const FEW_STARTS = 256;

/** A queue of messages that can be written. */
export interface Writer {
  /** Starts a write; returns a promise that resolves when it is done, unless nothing can be written. */
  writeOn(): Promise<void> | undefined;
}

/** The writers that start to write at the end of this turn, or soon after. */
export class WriteStarts {
  #waiting: Writer[] = [];
  #scheduled = false;

  /** Starts a writer at the end of this turn: what is queued until then is part of its first write. */
  add(writer: Writer): void {
    this.#waiting.push(writer);
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(this.#start);
  }

  readonly #start = (): void => {
    const waiting = this.#waiting.length;
    this.#startSome(waiting > FEW_STARTS ? STARTS_LIMIT : waiting);
  };

  #startSome(count: number): void {
    let last: Promise<void> | undefined;
    while (last === undefined && this.#waiting.length > 0) {
      for (const writer of this.#waiting.splice(0, count)) last = writer.writeOn() ?? last;
    }
    this.#scheduled = this.#waiting.length > 0;
    if (last !== undefined && this.#scheduled) this.#startAfter(last);
  }

  /** Starts the next writers after a write, or after a moment if its peer does not read. */
  #startAfter(last: Promise<void>): void {
    let waits = true;
    const go = (): void => {
      if (!waits) return;
      waits = false;
      clearTimeout(timer);
      this.#startSome(STARTS_LIMIT);
    };
    const timer = setTimeout(go, 0);
    void last.then(go);
  }
}

/** The starts of all writes of this process: they share the event loop. */
export const WRITE_STARTS: WriteStarts = new WriteStarts();
