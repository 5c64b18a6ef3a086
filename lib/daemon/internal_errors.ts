/**
 * Internal errors: each is logged with its stack and counted; none ends the process.
 *
 * Code that serves one client or one QEMU catches its errors, closes that client
 * or that connection, and reports the error here.
 *
 * @module
 */

import type { InternalErrorPlace } from "../observe/observer.ts";
import type { LimitLog } from "./limit_log.ts";

/** Reports errors. */
export class InternalErrors {
  readonly #limitLog: LimitLog;
  readonly #count: (where: InternalErrorPlace) => void;

  /**
   * Creates a reporter that has reported nothing.
   *
   * @param limitLog logs each error, but the same one at most once a minute
   * @param count counts every error
   */
  constructor(limitLog: LimitLog, count: (where: InternalErrorPlace) => void) {
    this.#limitLog = limitLog;
    this.#count = count;
  }

  /**
   * Reports an error.
   *
   * @param where what qmpmux was doing
   * @param subject what the error has ended, such as a client's name
   */
  report(where: InternalErrorPlace, error: unknown, subject?: string): void {
    this.#count(where);
    const [message, ...frames] = stackOf(error);
    const of = subject === undefined ? where : `${where} ${subject}`;
    const line = `internal error (${of}): ${[message, ...frames].join(" | ")}`;
    // A client that causes the same error again and again must not fill the log.
    this.#limitLog.logged(`internal error (${where}) ${message} ${frames[0] ?? ""}`, line);
  }

  /** Runs something, and reports the error it throws. */
  attempt(where: InternalErrorPlace, run: () => void): void {
    try {
      run();
    } catch (error) {
      this.report(where, error);
    }
  }

  /** Reports uncaught errors until it is disposed of. */
  catchAll(): Disposable {
    const report = (event: ErrorEvent | PromiseRejectionEvent): void => {
      event.preventDefault();
      this.report("other", event instanceof ErrorEvent ? event.error : event.reason);
    };
    globalThis.addEventListener("error", report);
    globalThis.addEventListener("unhandledrejection", report);
    return {
      [Symbol.dispose](): void {
        globalThis.removeEventListener("error", report);
        globalThis.removeEventListener("unhandledrejection", report);
      },
    };
  }
}

/** The lines of an error's stack, its message first. */
function stackOf(error: unknown): [string, ...string[]] {
  const text = error instanceof Error ? error.stack ?? String(error) : String(error);
  const [first = "", ...frames] = text.split("\n").map((line) => line.trim());
  return [first, ...frames];
}
