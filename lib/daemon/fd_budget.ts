/**
 * The number of descriptors that clients have passed and that wait here, over all clients.
 *
 * Each is one of the files that qmpmux may have open. Past the bound those that
 * come are closed.
 *
 * @module
 */

import type { Descriptors } from "../platform/libc.ts";

/** Descriptors of all clients that may wait at a time; sixteen come with one message. */
export const FDS_IN_ALL = 1024;

/** Counts the descriptors until they are closed or sent. */
export class FdBudget {
  #held = 0;

  /** The descriptors that are held. */
  get held(): number {
    return this.#held;
  }

  /** Counts descriptors that have come; returns `false` where there is no room for them. */
  admit(fds: Descriptors): boolean {
    const count = fds.numbers.length;
    if (this.#held + count > FDS_IN_ALL) return false;
    this.#held += count;
    fds.whenClosed((closed) => void (this.#held -= closed));
    return true;
  }
}
