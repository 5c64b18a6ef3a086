/**
 * Clients that subscribe, are cut off and come back, and a QEMU whose events have numbers.
 *
 * Each reader knows the number of its last event, so that it notices an event that is lost, doubled or
 * misplaced. It knows nothing of qmpmux's log, and takes a gap only where it is told.
 *
 * @module
 */

import { FakeQemu, type FakeQemuConnection } from "./fake_qemu.ts";
import { TestClient } from "./client.ts";
import type { Random } from "./random.ts";

/** Names of events; event number n has the name n modulo their number. */
const NAMES = ["STOP", "RESUME", "JOB_STATUS_CHANGE", "BLOCK_JOB_READY"] as const;

/** A QEMU that sends events with numbers, also before and behind the reply to `mark`. */
export class NumberingQemu implements AsyncDisposable {
  /** The number of the last event. */
  last = 0;
  readonly #fake: FakeQemu;
  #connection: FakeQemuConnection | undefined;

  constructor(path: string) {
    this.#fake = new FakeQemu(path, {
      answer: ({ name, id }, connection) => {
        if (name === "qmp_capabilities") this.#connection = connection;
        if (name !== "mark") return undefined;
        const before = this.#line();
        const after = this.last;
        const reply = `{"return": {"after": ${after}}${id === undefined ? "" : `, "id": ${id}`}}`;
        return `${before}${reply}\r\n${this.#line()}`;
      },
    });
  }

  /** Sends events; those that come while nobody is connected are lost, as a QEMU's are. */
  emit(count: number): void {
    let text = "";
    for (let i = 0; i < count; i++) text += this.#line();
    this.#connection?.say(text);
  }

  /** Closes the connection: the events of a moment are lost. */
  hangUp(): void {
    this.#connection?.hangUp();
    this.#connection = undefined;
    this.last += 3;
  }

  #line(): string {
    const number = ++this.last;
    const stamp = `{"seconds": 1700000000, "microseconds": ${number % 1e6}}`;
    const name = NAMES[number % NAMES.length];
    return `{"timestamp": ${stamp}, "event": "${name}", "data": {"n": ${number}}}\r\n`;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#fake[Symbol.asyncDispose]();
  }
}

/** The place of a reader at a cursor. */
interface Reached {
  readonly cursor: string;
  readonly last: number;
  /** Whether events behind it may be missing, because a gap was told. */
  readonly isOpen: boolean;
}

/** The counts of all readers. */
export interface Counts {
  cuts: number;
  events: number;
  /** Gaps in replies, between sessions, and because the log was full. */
  gaps: { reply: number; session: number; slow: number };
  replies: number;
}

/** One reader over many connections. */
export class EventReader {
  readonly #path: string;
  readonly #random: Random;
  readonly #counts: Counts;
  /** The names that it has chosen, by their numbers. */
  readonly #chosen: readonly number[];
  #reached: Reached | undefined;
  #last = 0;
  #isOpen = true;
  #replies = 0;
  #client: TestClient | undefined;
  /** The faults that it noticed, in words. */
  readonly faults: string[] = [];

  constructor(path: string, random: Random, counts: Counts) {
    this.#path = path;
    this.#random = random;
    this.#counts = counts;
    const all = NAMES.map((_, at) => at);
    const half = random.below(2);
    this.#chosen = random.oneIn(2) ? all : all.filter((at) => at % 2 === half);
  }

  /** The number of the last event that it has. */
  get last(): number {
    return this.#last;
  }

  /** Returns the number of the first event after one that it has chosen. */
  next(after: number): number {
    let number = after + 1;
    while (!this.#chosen.includes(number % NAMES.length)) number++;
    return number;
  }

  /** Connects and subscribes where it was at its last bookmark. */
  async connect(): Promise<void> {
    const client = this.#client = await TestClient.ready(this.#path);
    const enable = this.#chosen.length === NAMES.length
      ? undefined
      : this.#chosen.map((at) => NAMES[at]);
    const since = this.#reached?.cursor ?? "oldest";
    const subscribe = { since, enable, bookmarks: "each" };
    await client.send({ execute: "__org.qmpmux_subscribe", arguments: subscribe, id: "s" });
    for (;;) {
      const line = await client.line();
      // Events before the reply may come again behind it.
      if (!line.startsWith('{"return"')) continue;
      const { return: { gap } } = JSON.parse(line);
      this.#last = this.#reached?.last ?? 0;
      this.#isOpen = this.#reached?.isOpen ?? true;
      if (gap !== undefined) {
        this.#isOpen = true;
        this.#counts.gaps.reply++;
      }
      return;
    }
  }

  /** Reads that many lines, and sends commands meanwhile. */
  async read(lines: number): Promise<void> {
    for (let i = 0; i < lines; i++) {
      if (this.#random.oneIn(12)) await this.#client!.trySend({ execute: "mark" });
      this.#take(await this.#client!.line());
    }
  }

  /** Begins at the oldest event the next time. */
  forget(): void {
    this.#reached = undefined;
  }

  /** Sends a command right behind its subscription, and reads up to the reply: all kept events come before. */
  async readUpToReply(): Promise<void> {
    const replies = this.#replies;
    await this.#client!.trySend({ execute: "mark" });
    while (this.#replies === replies) this.#take(await this.#client!.line());
  }

  /** Reads until it has the last event that it has chosen, up to a number. */
  async readUpTo(last: number): Promise<void> {
    while (this.next(this.#last) <= last) this.#take(await this.#client!.line());
  }

  /** Closes its socket, wherever it is in the stream. */
  cut(): void {
    this.#client?.[Symbol.dispose]();
    this.#client = undefined;
    this.#counts.cuts++;
  }

  #take(line: string): void {
    const number = /"data": \{"n": (\d+)\}\}$/.exec(line)?.[1];
    if (number !== undefined) return this.#event(Number(number));
    const { event, data, return: value, error } = JSON.parse(line);
    if (event === "__org.qmpmux_BOOKMARK") {
      this.#reached = { cursor: data.cursor, last: this.#last, isOpen: this.#isOpen };
    } else if (event === "__org.qmpmux_GAP") {
      this.#isOpen = true;
      this.#counts.gaps[/^the connection to QEMU/.test(data.reason) ? "session" : "slow"]++;
    } else if (value?.after !== undefined) this.#reply(value.after);
    // QEMU has been lost.
    if (error !== undefined) this.#replies++;
  }

  #event(number: number): void {
    this.#counts.events++;
    const expected = this.next(this.#last);
    if (this.#isOpen ? number < expected : number !== expected) {
      this.faults.push(`got event ${number} instead of ${expected}`);
    }
    this.#last = number;
    this.#isOpen = false;
  }

  /** Checks that a reply came behind event `after`, and before the next. */
  #reply(after: number): void {
    this.#replies++;
    this.#counts.replies++;
    if (this.#last > after) this.faults.push(`got event ${this.#last} before reply ${after}`);
    if (!this.#isOpen && this.next(this.#last) <= after) {
      this.faults.push(`got reply ${after} before event ${this.next(this.#last)}`);
    }
  }
}
