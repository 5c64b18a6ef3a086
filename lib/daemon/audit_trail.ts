/**
 * Where records of commands go: behind a bounded queue, in their order.
 *
 * What cannot be written waits and is tried again, at the next record and once a
 * second; past the bound of the queue records are given up. Each failure is
 * counted, the first of them told.
 *
 * @module
 */

import type { AuditRecord, AuditSink } from "../observe/audit.ts";
import type { AuditWriter } from "../platform/audit_writer.ts";
import { withTimeout } from "../platform/clock.ts";
import type { Log } from "../platform/log.ts";

/** So many characters of records may wait. */
const QUEUE_LIMIT = 4 << 20;

/** How long the last records may take at the end. */
const FAREWELL_MS = 2000;

/** Writes records one after the other. */
export class AuditTrail implements AuditSink {
  readonly #place: AuditWriter;
  readonly #log: Log;
  readonly #failed: () => void;
  readonly #limit: number;
  readonly #queue: string[] = [];
  #queued = 0;
  #writing: Promise<void> | undefined;
  #stale = false;
  #closed = false;
  #failing = false;
  #givenUp = 0;

  /**
   * Nothing has been written.
   *
   * @param place is closed with it
   * @param failed is told of each failure
   */
  constructor(place: AuditWriter, log: Log, failed: () => void, limit = QUEUE_LIMIT) {
    this.#place = place;
    this.#log = log;
    this.#failed = failed;
    this.#limit = limit;
  }

  /** The name of its place: a path, or `journal`. */
  get name(): string {
    return this.#place.name;
  }

  /** Can nothing be written at the moment? */
  get failing(): boolean {
    return this.#failing;
  }

  /** Writes a record in its turn. */
  keep(record: AuditRecord): void {
    const text = this.#place.format(record);
    if (this.#queued + text.length > this.#limit) {
      this.#givenUp++;
      this.#fail(`more than ${this.#limit} characters wait to be written`);
    } else {
      this.#queue.push(text);
      this.#queued += text.length;
    }
    this.#go();
  }

  /** Opens the place anew before the next record, at once where none is being written. */
  reopen(): void {
    this.#stale = true;
    this.#go();
  }

  /** Time has gone on: tries again what has failed. */
  tick(): void {
    if (this.#failing) this.#go();
  }

  /** Waits for what is queued, but not for long, and closes; tells what is lost. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#go();
    if (this.#writing) await withTimeout(FAREWELL_MS, this.#writing, undefined);
    this.#closed = true;
    this.#place.close();
    const lost = this.#queue.length + this.#givenUp;
    if (lost > 0) this.#log.warn(`audit ${this.#place.name}: ${lost} records could not be written`);
  }

  #go(): void {
    if (!this.#closed) this.#writing ??= this.#writeAll();
  }

  async #writeAll(): Promise<void> {
    try {
      // What the hub is doing comes first.
      await undefined;
      if (this.#stale) this.#place.reopen();
      this.#stale = false;
      while (this.#queue.length > 0) {
        await this.#place.write(this.#queue[0]!);
        if (this.#closed) return;
        this.#queued -= this.#queue.shift()!.length;
        this.#recover();
        if (this.#stale) this.#place.reopen();
        this.#stale = false;
      }
      this.#recover();
    } catch (error) {
      if (!this.#closed) this.#fail((error as Error).message);
    } finally {
      this.#writing = undefined;
    }
  }

  #fail(reason: string): void {
    this.#failed();
    if (!this.#failing) this.#log.warn(`audit ${this.#place.name} cannot be written: ${reason}`);
    this.#failing = true;
  }

  #recover(): void {
    if (!this.#failing) return;
    this.#failing = false;
    const lost = this.#givenUp === 0 ? "nothing is lost" : `${this.#givenUp} records are lost`;
    this.#givenUp = 0;
    this.#log.info(`audit ${this.#place.name} is written again; ${lost}`);
  }
}
