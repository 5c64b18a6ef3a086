/**
 * The pauses before attempts to connect again.
 *
 * @module
 */

import { sleep } from "./limits.ts";

/** The pauses in milliseconds: each is twice the one before, up to the last. */
const PAUSE_MS = { first: 100, last: 5000 } as const;

/** The pauses of one client. There is none after a connection that has lasted as long as the last pause. */
export class Pauses {
  /** The time at which the present connection was made. */
  #since = 0;
  /** The next pause. */
  #pause = 0;

  /** Notes that a connection was made. */
  connected(): void {
    this.#since = performance.now();
  }

  /** Notes that the connection was lost. */
  lost(): void {
    if (performance.now() - this.#since >= PAUSE_MS.last) this.#pause = 0;
  }

  /** Waits until the next attempt is due; returns `false` if the signal ends the wait. */
  async take(signal: AbortSignal): Promise<boolean> {
    const pause = this.#pause;
    this.#pause = Math.min(Math.max(2 * pause, PAUSE_MS.first), PAUSE_MS.last);
    return pause === 0 || await sleep(pause, signal);
  }
}
