/**
 * The queue of a client that subscribes: lines, replies and sources, in their order.
 *
 * It does what a connection does: a source is asked when all before it has left. Each line is checked
 * when it leaves.
 *
 * @module
 */

import type { Source } from "../../lib/mod.ts";
import type { Journal } from "./journal.ts";
import type { Stream } from "./stream.ts";

/** The change that a reply makes for what follows it. */
export interface Change {
  readonly begins?: Stream;
  readonly enable?: readonly string[];
}

/** A line in the queue. */
type Line =
  | { readonly event: string }
  | { readonly reply: string; readonly after: number; readonly change: Change | undefined };

/** The queue of one subscriber. */
export class Wire {
  #stream: Stream;
  readonly #journal: Journal;
  readonly #left: (text: string, cursor: string | undefined) => void;
  #queue: (Line | Source)[] = [];
  /** The number of the last event that the client gets before the end of its connection. */
  #end = Infinity;

  /** @param left is called with each event that leaves, and the cursor of a bookmark */
  constructor(
    stream: Stream,
    journal: Journal,
    left: (text: string, cursor: string | undefined) => void,
  ) {
    this.#stream = stream;
    this.#journal = journal;
    this.#left = left;
  }

  /** Whether nothing waits. */
  get empty(): boolean {
    return this.#queue.length === 0;
  }

  /** Queues an event; it leaves at once if nothing waits. */
  event(text: string): void {
    this.#add({ event: text });
  }

  /** Queues a reply. */
  reply(reply: string, change: Change | undefined): void {
    this.#add({ reply, after: this.#journal.last, change });
  }

  /** Queues a source. */
  source(source: Source): void {
    this.#queue.push(source);
  }

  #add(line: Line): void {
    if (!this.empty) {
      this.#queue.push(line);
      return;
    }
    if ("reply" in line) this.told();
    this.#leave(line);
  }

  /** Lets that many lines of sources leave, and all lines up to the next source. */
  flow(most: number, plain: (text: string) => string): void {
    for (let count = 0; !this.empty;) {
      const first = this.#queue[0]!;
      if (!("next" in first)) {
        this.#queue.shift();
        this.#leave(first);
        continue;
      }
      if (count++ === most) return;
      const bytes = first.next();
      if (bytes === undefined) {
        this.#queue.shift();
        this.#stream.complete(this.#bound, "the end of a source");
      } else if (bytes.length > 0) {
        this.#leave({ event: plain(new TextDecoder().decode(bytes)) });
      }
    }
  }

  /** Takes note of events that qmpmux has just handled. */
  told(): void {
    if (this.empty && this.#end === Infinity) this.#stream.told();
  }

  /** Ends the connection behind what waits. */
  close(lastEvent: number): void {
    this.#end = lastEvent;
  }

  /** Drops what waits: the client has gone. */
  cut(): void {
    this.#queue = [];
  }

  /** Checks that the client has everything, if nothing waits. */
  stepDone(): void {
    if (!this.empty) return;
    this.#stream.complete(this.#bound, "the end of a step");
    // A bookmark before the end of a connection is of no use if the log has dropped what follows it.
    if (this.#end === Infinity) this.#stream.settled();
  }

  /** The number of the last event that comes before the next reply in the queue. */
  get #bound(): number {
    for (const each of this.#queue) if ("reply" in each) return each.after;
    return Math.min(this.#journal.last, this.#end);
  }

  #leave(line: Line): void {
    if ("event" in line) {
      this.#left(line.event, this.#stream.event(line.event, this.#bound));
      return;
    }
    this.#stream.complete(line.after, line.reply);
    const { begins, enable } = line.change ?? {};
    if (begins !== undefined) this.#stream = begins;
    else if (enable !== undefined) this.#stream.choose(enable);
  }
}
