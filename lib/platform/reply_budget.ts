/**
 * The memory that replies take which clients have not read, over all clients.
 *
 * A client is sent a reply however long it is, for as long as it reads on. What
 * all of them together leave unread has a bound; past it the slowest is dropped.
 *
 * @module
 */

/** A connection that holds replies. */
export interface ReplyHolder {
  /** Bytes of replies that its client has not taken. */
  readonly replyBytes: number;
  /** Since when its client takes nothing, in seconds of a steady clock; `Infinity` while it does. */
  readonly stalledSince: number;
  /** Drops it; `total` bytes are more than `limit`. */
  dropSlowest(total: number, limit: number): void;
}

/** Counts the bytes of replies over all connections. */
export class ReplyBudget {
  /** Bytes that all may hold together. */
  limit: number;
  #total = 0;
  readonly #holders = new Set<ReplyHolder>();

  /** Creates a budget of which nothing is used. */
  constructor(limit: number) {
    this.limit = limit;
  }

  /** Bytes that all hold together. */
  get total(): number {
    return this.#total;
  }

  /** A connection holds more; past the limit the slowest is dropped. */
  add(holder: ReplyHolder, bytes: number): void {
    this.#total += bytes;
    this.#holders.add(holder);
    while (this.#total > this.limit) {
      const before = this.#total;
      this.#slowest().dropSlowest(before, this.limit);
      if (this.#total === before) return;
    }
  }

  /** A connection holds less. */
  release(holder: ReplyHolder, bytes: number): void {
    this.#total -= bytes;
    if (holder.replyBytes === 0) this.#holders.delete(holder);
  }

  /** The holder that has taken nothing for longest; of several, the one that holds most. */
  #slowest(): ReplyHolder {
    let slowest: ReplyHolder | undefined;
    for (const each of this.#holders) {
      if (
        slowest === undefined || each.stalledSince < slowest.stalledSince ||
        (each.stalledSince === slowest.stalledSince && each.replyBytes > slowest.replyBytes)
      ) slowest = each;
    }
    return slowest!;
  }
}
