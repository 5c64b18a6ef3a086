/**
 * Leases: the sole right to run certain commands, for a time.
 *
 * The holder of a lease is one or more connections with its key. While it lasts, matching commands of
 * everybody else wait or are refused. It begins when no matching command of others is under way.
 *
 * A connection that has held a lease is fenced when the lease ends: its own matching commands are
 * refused until it acquires a lease again, or releases the ended one. A holder that slept through the end of
 * its lease therefore changes nothing. Without that check a lease with an expiry is not safe
 * (https://martin.kleppmann.com/2016/02/08/how-to-do-distributed-locking.html).
 *
 * All times are seconds of one steady clock, which the caller supplies.
 *
 * @module
 */

import type { Effects, LeaseScope } from "../policy/lease_scope.ts";
import type { Acquired, Lease, LeaseDeps, LeaseEnding, LeaseVerdict, LeaseWish } from "./lease.ts";

/** The most leases and waiting acquisitions of a VM together. */
export const LEASES_LIMIT = 256;

interface ActiveLease<Holder> extends Lease<Holder> {
  readonly holders: Set<Holder>;
  /** The end of its time, while it has connections. */
  end: number;
  until: number;
}

interface Acquisition<Holder> extends LeaseWish {
  readonly holder: Holder;
  readonly owner: string;
  readonly deadline: number;
  readonly settle: (end: Acquired<Holder>) => void;
  /** Whether only commands at QEMU are in its way. */
  isNext: boolean;
}

interface Fence {
  readonly scope: LeaseScope;
  readonly token: number;
  readonly key: string;
  readonly ending: LeaseEnding;
}

/** The leases of one VM. */
export class Leases<Holder> {
  readonly #deps: LeaseDeps<Holder>;
  readonly #active = new Set<ActiveLease<Holder>>();
  readonly #held = new Map<Holder, ActiveLease<Holder>>();
  readonly #line: Acquisition<Holder>[] = [];
  readonly #fences = new Map<Holder, Fence>();
  #tokens = 0;

  /** Creates an empty register. */
  constructor(deps: LeaseDeps<Holder>) {
    this.#deps = deps;
  }

  /** Whether no command can be concerned. */
  get isEmpty(): boolean {
    return this.#active.size + this.#line.length + this.#fences.size === 0;
  }

  /** Whether `tick` must be called: a lease or an acquisition may end. */
  get needsTime(): boolean {
    return this.#active.size + this.#line.length > 0;
  }

  /** The number of acquisitions that wait. */
  get waiting(): number {
    return this.#line.length;
  }

  /** The leases, the oldest first. */
  get all(): Iterable<Lease<Holder>> {
    return this.#active;
  }

  /** Returns the lease that a connection holds. */
  heldBy(holder: Holder): Lease<Holder> | undefined {
    return this.#held.get(holder);
  }

  /**
   * Acquires a lease.
   *
   * @param owner the client's name
   * @param settle called once with the result: at once, or when the acquisition has waited
   */
  acquire(
    holder: Holder,
    owner: string,
    wish: LeaseWish,
    now: number,
    settle: (end: Acquired<Holder>) => void,
  ): void {
    this.#expire(now);
    const held = this.#held.get(holder);
    if (held !== undefined) {
      return settle({ refusal: `This client holds lease ${held.token}; release it first` });
    }
    if (this.#line.some((each) => each.holder === holder)) {
      return settle({ refusal: "This client waits for a lease already" });
    }
    if (this.#active.size + this.#line.length >= LEASES_LIMIT) {
      return settle({ refusal: `Too many leases: the limit is ${LEASES_LIMIT}` });
    }
    const deadline = now + wish.wait;
    this.#line.push({ ...wish, holder, owner, deadline, settle, isNext: false });
    this.#advance(now);
  }

  /**
   * Adds a connection to the holders of a lease.
   *
   * @returns `undefined` if no lease has this key, or the connection holds another lease
   */
  join(holder: Holder, key: string, now: number): Lease<Holder> | undefined {
    const lease = this.#find(key, now);
    const held = this.#held.get(holder) ?? lease;
    if (lease === undefined || held !== lease) return undefined;
    this.#hold(lease, holder);
    return lease;
  }

  /**
   * Renews a lease, from now on.
   *
   * @returns `undefined` if no lease has this key
   */
  renew(key: string, ttl: number, now: number): Lease<Holder> | undefined {
    const lease = this.#find(key, now);
    if (lease === undefined) return undefined;
    lease.end = now + ttl;
    lease.until = lease.holders.size > 0 ? lease.end : Math.min(lease.end, now + lease.linger);
    return lease;
  }

  /**
   * Ends a lease, or lets go of one that has ended.
   *
   * @returns whether there was one with this key
   */
  release(holder: Holder, key: string, now: number): boolean {
    const lease = this.#find(key, now);
    if (lease !== undefined) {
      this.#end(lease, "released", now);
      this.#fences.delete(holder);
      return true;
    }
    const isOwn = this.#fences.get(holder)?.key === key;
    if (isOwn) this.#fences.delete(holder);
    return isOwn;
  }

  /** Ends the lease with this token; returns it, or `undefined` if there is none. */
  revoke(token: number, now: number): Lease<Holder> | undefined {
    this.#expire(now);
    const lease = [...this.#active].find((each) => each.token === token);
    if (lease !== undefined) this.#end(lease, "revoked", now);
    return lease;
  }

  /**
   * Decides on a command; `undefined` if no lease is in its way.
   *
   * It changes nothing: a lease whose time is over counts as ended, and `tick` ends it.
   */
  judge(holder: Holder, effects: Effects, now: number): LeaseVerdict<Holder> | undefined {
    const own = this.#held.get(holder);
    const isOver = own !== undefined && own.until <= now;
    const fence = isOver ? { ...own, ending: "expired" as const } : this.#fences.get(holder);
    if (fence?.scope.covers(effects)) {
      return { kind: "fenced", token: fence.token, ending: fence.ending };
    }
    for (const lease of this.#active) {
      if (lease === own || lease.until <= now) continue;
      if (lease.scope.covers(effects)) return { kind: "leased", lease };
    }
    const yields = this.#line.some((each) =>
      each.isNext && each.holder !== holder && each.scope.covers(effects)
    );
    return yields ? { kind: "wait" } : undefined;
  }

  /** Begins leases that can begin now; call it when commands at QEMU have ended. */
  advance(now: number): void {
    if (this.#line.length > 0) this.#advance(now);
  }

  /** Ends the leases and acquisitions whose time is over. */
  tick(now: number): void {
    this.#expire(now);
    this.advance(now);
  }

  /** Ends the leases of holders that may not hold one any more. */
  review(may: (holder: Holder, scope: LeaseScope) => boolean, now: number): void {
    for (const lease of [...this.#active]) {
      const { holders, scope } = lease;
      if (![...holders].every((each) => may(each, scope))) this.#end(lease, "forbidden", now);
    }
    for (const each of this.#line.filter(({ holder, scope }) => !may(holder, scope))) {
      this.#giveUp(each, "Leases are not allowed any more");
    }
    this.advance(now);
  }

  /** Removes a connection; `isKicked` if an administrator has disconnected it. */
  left(holder: Holder, isKicked: boolean, now: number): void {
    this.#fences.delete(holder);
    const at = this.#line.findIndex((each) => each.holder === holder);
    if (at >= 0) this.#line.splice(at, 1);
    const lease = this.#held.get(holder);
    if (lease !== undefined) {
      this.#held.delete(holder);
      lease.holders.delete(holder);
      if (isKicked) this.#end(lease, "kicked", now);
      else if (lease.holders.size === 0) this.#abandoned(lease, now);
    }
    if (at >= 0) this.#goOn(now);
  }

  /** Ends everything, because QEMU has disconnected. */
  lost(now: number): void {
    for (const each of [...this.#line]) this.#giveUp(each, "QEMU disconnected");
    for (const lease of [...this.#active]) this.#end(lease, "QEMU disconnected", now);
  }

  #abandoned(lease: ActiveLease<Holder>, now: number): void {
    if (lease.linger === 0) return this.#end(lease, "disconnected", now);
    lease.until = Math.min(lease.end, now + lease.linger);
  }

  #find(key: string, now: number): ActiveLease<Holder> | undefined {
    this.#expire(now);
    return [...this.#active].find((each) => each.key === key);
  }

  #hold(lease: ActiveLease<Holder>, holder: Holder): void {
    this.#fences.delete(holder);
    this.#held.set(holder, lease);
    lease.holders.add(holder);
    lease.until = lease.end;
  }

  #expire(now: number): void {
    for (const lease of this.#active) {
      if (lease.until <= now) {
        this.#end(lease, lease.holders.size > 0 ? "expired" : "disconnected", now);
      }
    }
  }

  #end(lease: ActiveLease<Holder>, ending: LeaseEnding, now: number): void {
    if (!this.#active.delete(lease)) return;
    const { scope, token, key } = lease;
    for (const holder of lease.holders) {
      this.#held.delete(holder);
      this.#fences.set(holder, { scope, token, key, ending });
    }
    this.#goOn(now);
  }

  /** Lets acquisitions go on, and then commands. */
  #goOn(now: number): void {
    this.advance(now);
    this.#deps.freed();
  }

  #giveUp(each: Acquisition<Holder>, refusal: string): void {
    const at = this.#line.indexOf(each);
    // Its client may have left while another one was answered.
    if (at < 0) return;
    this.#line.splice(at, 1);
    each.settle({ refusal });
    this.#deps.freed();
  }

  /** Lets each acquisition begin that is neither behind a lease nor behind an earlier acquisition. */
  #advance(now: number): void {
    // Each end may change the line, so that it is walked again.
    while (this.#settlesOne(now));
  }

  /** Ends the first acquisition that can end now; returns whether there was one. */
  #settlesOne(now: number): boolean {
    const earlier: LeaseScope[] = [];
    for (const each of this.#line) {
      const obstacle = this.#obstacle(each, earlier);
      each.isNext = obstacle !== undefined && "command" in obstacle;
      if (obstacle === undefined) {
        this.#begin(each, now);
        return true;
      }
      if (each.deadline <= now) {
        this.#giveUp(each, obstacle.text);
        return true;
      }
      earlier.push(each.scope);
    }
    return false;
  }

  /** Returns what keeps an acquisition from beginning. */
  #obstacle(
    { scope, holder }: Acquisition<Holder>,
    earlier: readonly LeaseScope[],
  ): { readonly text: string; readonly command?: string } | undefined {
    for (const { scope: taken, token, owner, reason } of this.#active) {
      if (!scope.overlaps(taken)) continue;
      const because = reason === undefined ? "" : `: ${reason}`;
      return { text: `Lease ${token} of ${owner} is in the way${because}` };
    }
    if (earlier.some((each) => scope.overlaps(each))) {
      return { text: "Another client waits for such a lease already" };
    }
    const command = this.#deps.underWay(scope, holder);
    if (command === undefined) return undefined;
    return { text: `A command ${command} of another client is under way`, command };
  }

  #begin(acquisition: Acquisition<Holder>, now: number): void {
    const { scope, ttl, wait, linger, reason, holder, owner, settle } = acquisition;
    this.#line.splice(this.#line.indexOf(acquisition), 1);
    const lease: ActiveLease<Holder> = {
      ...{ scope, ttl, wait, linger, reason, owner },
      token: ++this.#tokens,
      key: this.#deps.makeKey(),
      holders: new Set(),
      since: now,
      end: now + ttl,
      until: now + ttl,
    };
    this.#active.add(lease);
    this.#hold(lease, holder);
    settle(lease);
  }
}
