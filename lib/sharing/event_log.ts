/**
 * The event log of one VM: its last events, each with a number.
 *
 * A number is given when the event comes, whoever listens, and is never used again. The log is
 * bounded in bytes and in events: the oldest are dropped. A cursor is a place between two events,
 * as a text that names the run of qmpmux, the session with QEMU and the last event before it.
 *
 * @module
 */

import type { EventName } from "../policy/event_filter.ts";
import { BLOCK_BYTES, MessageBlock } from "../wire/message_block.ts";

/** The bounds of a log. */
export interface LogLimits {
  /** The most bytes of all kept events; with 0 none is kept. */
  readonly bytes: number;
  /** The most kept events. */
  readonly events: number;
}

/** A place in the log. */
export interface Place {
  /** The number of the last event before it. */
  readonly after: number;
  /** The reason why events behind the cursor are missing, if any are. */
  readonly gap?: string;
}

/** A text that is not a cursor, or none that this log has given. */
export class CursorError extends RangeError {
  /** The kind of error. */
  override name = "CursorError";
}

/** Successive events, of which the first has the number `first`. */
interface Block {
  first: number;
  readonly messages: MessageBlock;
  readonly names: (EventName | undefined)[];
}

const CURSOR = /^([\w-]{1,64})\.(\d{1,16})\.(\d{1,16})$/;

/** The last events of one VM. */
export class EventLog {
  readonly #run: string;
  #limits: LogLimits;
  /** The blocks with kept events, the oldest first; the first events of the first may be dropped. */
  readonly #blocks: Block[] = [];
  /** A block whose events are all dropped, to be used again. */
  #spare: Block | undefined;
  #last = 0;
  #oldest = 1;
  #bytes = 0;
  /** The sessions of the kept events, each with the number of the last event before it. */
  readonly #sessions = [{ session: 0, after: 0 }];

  /**
   * Creates an empty log.
   *
   * @param run the name of this log in cursors: no other log may ever have it. Letters, digits, `_` and `-`
   */
  constructor(run: string, limits: LogLimits) {
    this.#run = run;
    this.#limits = limits;
  }

  /** The number of the last event; 0 before the first. */
  get last(): number {
    return this.#last;
  }

  /** The number of the oldest kept event; that of the next event if none is kept. */
  get oldest(): number {
    return this.#oldest;
  }

  /** The bytes of all kept events. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The number of kept events. */
  get size(): number {
    return this.#last - this.#oldest + 1;
  }

  /** Changes the bounds; events beyond them are dropped. */
  adopt(limits: LogLimits): void {
    this.#limits = limits;
    this.#trim();
  }

  /** Begins a session with QEMU: cursors of later events name it. */
  beginSession(session: number): void {
    this.#sessions.push({ session, after: this.#last });
  }

  /**
   * Adds an event and drops the oldest ones beyond the bounds. The bytes are copied.
   *
   * @param name the name; `undefined` for a gap
   */
  append(name: EventName | undefined, bytes: Uint8Array): void {
    const number = ++this.#last;
    if (bytes.length > this.#limits.bytes) {
      // A log has no holes: with an event that cannot be kept, the earlier ones are dropped too.
      this.#blocks.length = 0;
      this.#bytes = 0;
      this.#oldest = number + 1;
      return this.#forgetSessions();
    }
    let block = this.#blocks.at(-1);
    if (block === undefined || !block.messages.add(bytes)) {
      block = this.#newBlock(number, bytes.length);
      block.messages.add(bytes);
    }
    block.names.push(name);
    this.#bytes += bytes.length;
    this.#trim();
  }

  /** Returns the name of a kept event by its number; `undefined` for a gap, which is for every reader. */
  nameAt(number: number): EventName | undefined {
    const { first, names } = this.#blockOf(number);
    return names[number - first];
  }

  /** Returns a copy of the whole line of a kept event. */
  bytesAt(number: number): Uint8Array {
    const { first, messages } = this.#blockOf(number);
    return messages.at(number - first);
  }

  /** Returns the cursor behind an event, or with {@linkcode oldest} - 1 before all of them. */
  cursor(number: number): string {
    return `${this.#run}.${this.#sessionOf(number)}.${number}`;
  }

  /**
   * Returns the place of a cursor. If events behind it are missing, that is before the oldest kept one.
   *
   * @param cursor a cursor, or `oldest`
   * @throws CursorError if it is none
   */
  placeOf(cursor: string): Place {
    const oldest = this.#oldest - 1;
    if (cursor === "oldest") return { after: oldest };
    const [, run, session, digits] = CURSOR.exec(cursor) ?? [];
    if (run === undefined) throw new CursorError(`"${shown(cursor)}" is not a cursor`);
    if (run !== this.#run) {
      return { after: oldest, gap: "the cursor is of another run of qmpmux, or of another VM" };
    }
    const number = Number(digits);
    if (number < oldest) {
      const missing = oldest - number;
      return { after: oldest, gap: `${missing} events after the cursor are no longer kept` };
    }
    if (number > this.#last || Number(session) !== this.#sessionOf(number)) {
      throw new CursorError(`"${cursor}" is not a cursor that qmpmux has given`);
    }
    return { after: number };
  }

  /** Adds a block for events from a number on, of which the first has that length. */
  #newBlock(first: number, length: number): Block {
    let block = this.#spare;
    if (block !== undefined && length <= BLOCK_BYTES) {
      this.#spare = undefined;
      block.first = first;
    } else block = { first, messages: new MessageBlock(length), names: [] };
    this.#blocks.push(block);
    return block;
  }

  /** Removes the oldest block, whose events are all dropped. */
  #dropBlock(): void {
    const block = this.#blocks.shift()!;
    if (!block.messages.isUsual) return;
    block.messages.clear();
    block.names.length = 0;
    this.#spare = block;
  }

  #blockOf(number: number): Block {
    let low = 0;
    let high = this.#blocks.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#blocks[middle]!.first <= number) low = middle;
      else high = middle - 1;
    }
    return this.#blocks[low]!;
  }

  #sessionOf(number: number): number {
    return this.#sessions.findLast(({ after }) => after < number)?.session ?? 0;
  }

  #trim(): void {
    const { bytes, events } = this.#limits;
    while (this.#bytes > bytes || this.size > events) {
      const { first, messages } = this.#blocks[0]!;
      this.#bytes -= messages.lengthAt(this.#oldest - first);
      this.#oldest++;
      if (this.#oldest === first + messages.count) this.#dropBlock();
    }
    this.#forgetSessions();
  }

  /** Forgets the sessions that no cursor of a kept event names. */
  #forgetSessions(): void {
    const sessions = this.#sessions;
    while (sessions.length > 1 && sessions[1]!.after < this.#oldest - 1) sessions.shift();
  }
}

/** The most characters of a wrong cursor that an error shows. */
const SHOWN_CHARS = 80;

function shown(text: string): string {
  return text.length > SHOWN_CHARS ? `${text.slice(0, SHOWN_CHARS)}…` : text;
}
