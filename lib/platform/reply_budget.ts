/**
 * The limit on the replies that all clients together leave unread.
 *
 * A client receives a reply of any size as long as it reads. If all clients together
 * leave more than the limit unread, the slowest client is dropped.
 *
 * @module
 */

/** A connection with queued replies. */
export interface ReplyHolder {
  /** Bytes of queued replies. */
  readonly replyBytes: number;
  /** The time since which its client reads nothing; `Infinity` while it reads. */
  readonly stalledSince: number;
  /** Drops the client, because `total` bytes exceed `limit`. */
  dropSlowest(total: number, limit: number): void;
}

/** A count of the unread bytes of replies over all connections, with a limit. */
export class ReplyBudget {
  /** The limit in bytes. */
  limit: number;
  /** Bytes that are queued on all connections together. */
  total = 0;
  readonly #holders = new Set<ReplyHolder>();

  /** Creates an unused budget. */
  constructor(limit: number) {
    this.limit = limit;
  }

  /** Adds bytes of a connection; above the limit, drops the slowest client. */
  add(holder: ReplyHolder, bytes: number): void {
    this.total += bytes;
    this.#holders.add(holder);
    while (this.total > this.limit) {
      const before = this.total;
      this.#slowest().dropSlowest(before, this.limit);
      if (this.total === before) return;
    }
  }

  /** Subtracts bytes of a connection that were written or discarded. */
  release(holder: ReplyHolder, bytes: number): void {
    this.total -= bytes;
    if (holder.replyBytes === 0) this.#holders.delete(holder);
  }

  /** Returns the holder that has read nothing for longest; if several have, the one with most bytes. */
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
