/**
 * A log that keeps its lines.
 *
 * @module
 */

import type { Log } from "../../lib/platform/log.ts";
import { within } from "./deadline.ts";

/** A log whose lines a test reads and waits for. */
export class FakeLog implements Log {
  readonly lines: string[] = [];
  #next = Promise.withResolvers<void>();

  info(line: string): void {
    this.lines.push(line);
    this.#next.resolve();
    this.#next = Promise.withResolvers();
  }

  warn(line: string): void {
    this.info(line);
  }

  /** Resolves when the next line is logged. */
  get next(): Promise<void> {
    return within("a line of the log", this.#next.promise);
  }

  /** Returns the lines since the last call. */
  take(): string[] {
    return this.lines.splice(0);
  }
}
