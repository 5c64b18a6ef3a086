/**
 * A log that keeps its lines.
 *
 * @module
 */

import type { Log } from "../../lib/platform/log.ts";
import { within } from "./deadline.ts";

/** A log whose lines a test reads and waits for. */
export class FakeLog implements Log {
  readonly lines: string[];
  #next = Promise.withResolvers<void>();

  constructor(lines: string[] = []) {
    this.lines = lines;
  }

  info(line: string): void {
    this.lines.push(line);
    this.#next.resolve();
    this.#next = Promise.withResolvers();
  }

  warn(line: string): void {
    this.info(line);
  }

  /** Returns a log whose lines begin with the VM's name, and stand among those of this one. */
  withVm(vm: string): Log {
    return {
      info: (line): void => this.info(`${vm}: ${line}`),
      warn: (line): void => this.warn(`${vm}: ${line}`),
      withVm: (other): Log => this.withVm(other),
    };
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
