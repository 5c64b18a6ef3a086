/**
 * The log of frequent occurrences: limits that were reached, and internal errors.
 *
 * Every occurrence is counted. For each subject the log gets the first line of a minute,
 * then the number of the others: a client that reaches a limit all day must not fill the disk.
 *
 * @module
 */

import type { InternalErrorPlace } from "../observe/observer.ts";
import type { LimitName } from "../policy/limits.ts";
import type { Log } from "../platform/log.ts";

/** A limit of a listener, or one for all listeners. */
export type Reached =
  | LimitName
  | "max-vms"
  | "max-clients-in-all"
  | "max-unread-in-all"
  | "fds"
  | "fds-in-all"
  | "handshake-timeout"
  | "not-admitted"
  | "web-request";

/** A function that counts a limit reached at a listener. */
export type Counter = (limit: Reached, listener: string) => void;

const QUIET_SECONDS = 60;

/** The limit of subjects per minute; the combinations of listeners and limits are far fewer. */
const SUBJECTS_LIMIT = 1024;

/** A subject whose lines are only counted for now. */
interface Quiet {
  /** The first tick after the line; `undefined` until then. */
  since: number | undefined;
  more: number;
}

/** A log of limits that were reached, at most one line a minute for each subject. */
export class LimitLog {
  readonly #log: Log;
  readonly #count: Counter;
  readonly #awake: () => void;
  readonly #quiet = new Map<string, Quiet>();

  /**
   * Creates an empty log.
   *
   * @param count is called every time a limit is reached
   * @param awake is called when `tick` must be called from now on
   */
  constructor(log: Log, count: Counter = () => {}, awake = (): void => {}) {
    this.#log = log;
    this.#awake = awake;
    this.#count = count;
  }

  /** Whether `tick` must be called: a line may have been repeated. */
  get needsTime(): boolean {
    return this.#quiet.size > 0;
  }

  /** Counts a limit; the caller logs it. */
  counted(limit: Reached, listener: string): void {
    this.#count(limit, listener);
  }

  /** Counts a limit, and logs it at most once a minute. */
  reached(limit: Reached, listener: string, line: string): void {
    this.#count(limit, listener);
    this.logged(`${listener}: ${limit} was reached`, line);
  }

  /**
   * Logs a line, at most once a minute for a subject.
   *
   * @param subject the beginning of the later line that says how often it was repeated
   */
  logged(subject: string, line: string): void {
    const quiet = this.#quiet.get(subject);
    if (quiet) {
      quiet.more++;
      return;
    }
    if (this.#quiet.size >= SUBJECTS_LIMIT) return;
    this.#quiet.set(subject, { since: undefined, more: 0 });
    this.#log.warn(line);
    this.#awake();
  }

  /** Advances the time to `now`, in seconds; logs how often each line was repeated in the last minute. */
  tick(now: number): void {
    for (const [subject, quiet] of this.#quiet) {
      const { more, since = quiet.since = now } = quiet;
      if (now - since < QUIET_SECONDS) continue;
      this.#quiet.delete(subject);
      if (more === 0) continue;
      const times = more === 1 ? "once" : `${more} times`;
      this.#log.warn(`${subject} ${times} more in the last minute`);
      this.#quiet.set(subject, { since: now, more: 0 });
    }
  }
}

/**
 * A reporter of internal errors, which do not end the process.
 *
 * Code that serves one client or one QEMU catches its errors, closes that client or that
 * connection, and reports the error here.
 */
export class InternalErrors {
  readonly #limitLog: LimitLog;
  readonly #count: (where: InternalErrorPlace) => void;

  /**
   * Creates a reporter that has reported nothing.
   *
   * @param limitLog logs each error, and repetitions at most once a minute
   * @param count counts every error
   */
  constructor(limitLog: LimitLog, count: (where: InternalErrorPlace) => void) {
    this.#limitLog = limitLog;
    this.#count = count;
  }

  /**
   * Reports an error.
   *
   * @param where what qmpmux was working on
   * @param subject the name of the client or listener that was affected
   */
  report(where: InternalErrorPlace, error: unknown, subject?: string): void {
    this.#count(where);
    const [message, ...frames] = stackOf(error);
    const of = subject === undefined ? where : `${where} ${subject}`;
    const line = `internal error (${of}): ${[message, ...frames].join(" | ")}`;
    // A client that repeats the same error must not fill the log.
    this.#limitLog.logged(`internal error (${where}) ${message} ${frames[0] ?? ""}`, line);
  }

  /** Calls a function, and reports the error that it throws. */
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

/** Returns the lines of an error's stack, its message first. */
function stackOf(error: unknown): [string, ...string[]] {
  const text = error instanceof Error ? error.stack ?? String(error) : String(error);
  const [first = "", ...frames] = text.split("\n").map((line) => line.trim());
  return [first, ...frames];
}
