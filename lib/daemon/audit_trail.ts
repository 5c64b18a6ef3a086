/**
 * The queue of audit records: bounded, and written in order.
 *
 * A record that cannot be written stays queued; the write is retried at the next
 * record and once a second. Records beyond the limit of the queue are dropped.
 * Every failure is counted; only the first is logged.
 *
 * @module
 */

import type { AuditRecord, AuditSink } from "../observe/audit.ts";
import type { AuditWriter } from "../platform/audit_file.ts";
import { withTimeout } from "../platform/clock.ts";
import type { Log } from "../platform/log.ts";

/** The limit of the queue, in characters. */
const QUEUE_LIMIT = 4 << 20;

/** The time to write the last records at exit. */
const FAREWELL_MS = 2000;

/** A sink that queues records and writes them one after the other. */
export class AuditTrail implements AuditSink {
  /** The name of the target: a path, or `journal`. */
  readonly name: string;
  readonly #writer: AuditWriter;
  readonly #log: Log;
  readonly #failed: () => void;
  readonly #limit: number;
  readonly #queue: string[] = [];
  #queued = 0;
  #writing: Promise<void> | undefined;
  #reopens = false;
  #closed = false;
  /** Whether the last write failed. */
  failing = false;
  #dropped = 0;

  /**
   * Creates a trail with an empty queue.
   *
   * @param writer is closed with the trail
   * @param failed is called at each failure
   */
  constructor(writer: AuditWriter, log: Log, failed: () => void, limit = QUEUE_LIMIT) {
    this.name = writer.name;
    this.#writer = writer;
    this.#log = log;
    this.#failed = failed;
    this.#limit = limit;
  }

  /** Queues a record. */
  keep(record: AuditRecord): void {
    const text = this.#writer.format(record);
    if (this.#queued + text.length > this.#limit) {
      this.#dropped++;
      this.#fail(`more than ${this.#limit} characters are queued`);
    } else {
      this.#queue.push(text);
      this.#queued += text.length;
    }
    this.#go();
  }

  /** Reopens the target: at once, or after the record that is being written. */
  reopen(): void {
    this.#reopens = true;
    this.#go();
  }

  /** Retries a failed write. */
  tick(): void {
    if (this.failing) this.#go();
  }

  /** Writes the queued records, within a short time, then closes; logs how many are lost. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#go();
    if (this.#writing) await withTimeout(FAREWELL_MS, this.#writing, undefined);
    this.#closed = true;
    this.#writer.close();
    const lost = this.#queue.length + this.#dropped;
    if (lost > 0) {
      this.#log.warn(`audit ${this.name}: ${lost} records could not be written`);
    }
  }

  #go(): void {
    if (!this.#closed) this.#writing ??= this.#writeAll();
  }

  async #writeAll(): Promise<void> {
    try {
      // Let the hub finish its current work first.
      await undefined;
      for (;;) {
        if (this.#reopens) this.#writer.reopen();
        this.#reopens = false;
        if (this.#queue.length === 0) break;
        await this.#writer.write(this.#queue[0]!);
        if (this.#closed) return;
        this.#queued -= this.#queue.shift()!.length;
        this.#recover();
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
    if (!this.failing) this.#log.warn(`audit ${this.name} cannot be written: ${reason}`);
    this.failing = true;
  }

  #recover(): void {
    if (!this.failing) return;
    this.failing = false;
    const lost = this.#dropped === 0
      ? "no records were lost"
      : `${this.#dropped} records were lost`;
    this.#dropped = 0;
    this.#log.info(`audit ${this.name} can be written again; ${lost}`);
  }
}
