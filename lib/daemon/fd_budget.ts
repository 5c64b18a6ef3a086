/**
 * The limit on descriptors of all clients that wait here for a command.
 *
 * Each counts against the limit of open files of qmpmux. Descriptors beyond the
 * limit are closed.
 *
 * @module
 */

import type { Descriptors } from "../platform/descriptors.ts";

/** The limit of waiting descriptors; one message has up to sixteen. */
export const FDS_IN_ALL = 1024;

/** Counts the descriptors until they are closed or sent. */
export class FdBudget {
  #held = 0;

  /** The descriptors that are held. */
  get held(): number {
    return this.#held;
  }

  /** Counts received descriptors; returns `false` if they exceed the limit. */
  admit(fds: Descriptors): boolean {
    const count = fds.numbers.length;
    if (this.#held + count > FDS_IN_ALL) return false;
    this.#held += count;
    fds.whenClosed((closed) => void (this.#held -= closed));
    return true;
  }
}
