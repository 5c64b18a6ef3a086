/**
 * So many commands a second, and no more: a bucket of tokens.
 *
 * It fills at the rate and holds what comes in one second, so that a client may
 * say that much at once. Time is told to it.
 *
 * @module
 */

/** The pace of one client. */
export class TokenBucket {
  #rate: number;
  #tokens: number;
  #filled: number;

  /**
   * A full bucket.
   *
   * @param rate commands a second; 0 is no limit
   * @param now seconds of a steady clock
   */
  constructor(rate: number, now: number) {
    this.#rate = rate;
    this.#tokens = this.#room;
    this.#filled = now;
  }

  /** Goes on at another rate; what is in the bucket stays, as far as there is room. */
  adopt(rate: number, now: number): void {
    this.#fill(now);
    const was = this.#rate;
    this.#rate = rate;
    this.#tokens = was === 0 ? this.#room : Math.min(this.#tokens, this.#room);
  }

  /** Seconds until the next command may be taken; 0 is now. */
  wait(now: number): number {
    if (this.#rate === 0) return 0;
    this.#fill(now);
    // A hair less than a whole one counts: sums of parts of a second are not exact.
    return this.#tokens > 1 - 1e-9 ? 0 : (1 - this.#tokens) / this.#rate;
  }

  /** A command has been taken. */
  took(): void {
    if (this.#rate > 0) this.#tokens -= 1;
  }

  get #room(): number {
    return Math.max(1, this.#rate);
  }

  #fill(now: number): void {
    const passed = Math.max(0, now - this.#filled);
    this.#filled = now;
    this.#tokens = Math.min(this.#room, this.#tokens + passed * this.#rate);
  }
}
