/**
 * What is told of limits that were reached.
 *
 * Each time is counted. The log gets the first of a minute for each listener and
 * limit, and then how many there were besides: a client that runs against a
 * limit all day must not fill a disk.
 *
 * @module
 */

import type { LimitName } from "../policy/limits.ts";
import type { Log } from "../platform/log.ts";

/** A limit of a listener, or one over all of them. */
export type Reached =
  | LimitName
  | "max-clients-in-all"
  | "max-unread-in-all"
  | "fds"
  | "fds-in-all"
  | "handshake-timeout"
  | "not-admitted"
  | "web-request";

/** Whoever counts: which limit was reached, and at which listener. */
export type Counter = (limit: Reached, listener: string) => void;

const QUIET_SECONDS = 60;

/** Lines about so many subjects are logged within that time; listeners and limits are far fewer. */
const SUBJECTS_LIMIT = 1024;

/** What is being kept quiet about. */
interface Quiet {
  readonly since: number;
  more: number;
}

/** Counts and tells. */
export class LimitLog {
  readonly #log: Log;
  readonly #count: Counter;
  readonly #quiet = new Map<string, Quiet>();
  #now = 0;

  /**
   * Nothing has been reached.
   *
   * @param count is told of every time
   */
  constructor(log: Log, count: Counter = () => {}) {
    this.#log = log;
    this.#count = count;
  }

  /** A limit has been reached, and the owner has told so itself. */
  counted(limit: Reached, listener: string): void {
    this.#count(limit, listener);
  }

  /** A limit has been reached: counts it, and logs it, at most once a minute. */
  reached(limit: Reached, listener: string, line: string): void {
    this.#count(limit, listener);
    this.logged(`${listener}: ${limit} was reached`, line);
  }

  /**
   * Logs a line, at most once a minute for a subject.
   *
   * @param subject begins the line that tells how often it has been since
   */
  logged(subject: string, line: string): void {
    const quiet = this.#quiet.get(subject);
    if (quiet) {
      quiet.more++;
      return;
    }
    if (this.#quiet.size >= SUBJECTS_LIMIT) return;
    this.#quiet.set(subject, { since: this.#now, more: 0 });
    this.#log.warn(line);
  }

  /** Time has come so far, in seconds: tells what was kept quiet about for a minute. */
  tick(now: number): void {
    this.#now = now;
    for (const [subject, { since, more }] of this.#quiet) {
      if (now - since < QUIET_SECONDS) continue;
      this.#quiet.delete(subject);
      if (more === 0) continue;
      const times = more === 1 ? "once" : `${more} times`;
      this.#log.warn(`${subject} ${times} more in the last minute`);
      this.#quiet.set(subject, { since: now, more: 0 });
    }
  }
}
