/**
 * A token bucket, which limits the commands per second.
 *
 * It fills at the given rate and holds the tokens of one second. A client may use them all at
 * once. The caller passes the time.
 *
 * @module
 */

/** A token bucket for the commands of one client or user. */
export class TokenBucket {
  #rate: number;
  #tokens: number;
  #filled: number;

  /**
   * Creates a full bucket.
   *
   * @param rate commands per second; 0 means no limit
   * @param now the time in seconds, of a monotonic clock
   */
  constructor(rate: number, now: number) {
    this.#rate = rate;
    this.#tokens = this.#room;
    this.#filled = now;
  }

  /** Changes the rate; the bucket keeps its tokens up to the new limit. */
  adopt(rate: number, now: number): void {
    this.#fill(now);
    const was = this.#rate;
    this.#rate = rate;
    this.#tokens = was === 0 ? this.#room : Math.min(this.#tokens, this.#room);
  }

  /** Returns the seconds until the next command is allowed; 0 means now. */
  wait(now: number): number {
    if (this.#rate === 0) return 0;
    this.#fill(now);
    // Sums of fractions are not exact, so slightly less than one token is enough.
    return this.#tokens > 1 - 1e-9 ? 0 : (1 - this.#tokens) / this.#rate;
  }

  /** Removes the token for a command. */
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
