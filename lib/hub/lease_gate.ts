/**
 * The gate for leases: whether a request may be sent to QEMU, waits for a lease to end, or is refused.
 *
 * It is asked when a request is about to be sent, so that a lease concerns the commands that wait too.
 *
 * @module
 */

import type { Monitor } from "../session/monitor.ts";
import { type Effects, effectsOf, type LeaseScope } from "../policy/lease_scope.ts";
import type { Lease, LeaseVerdict } from "../sharing/lease.ts";
import { Leases } from "../sharing/leases.ts";
import type { AdministeredLeases } from "./administration.ts";
import type { Request } from "./request.ts";

/** The clocks and the source of keys of a gate. */
export interface LeaseGateOptions {
  /** Returns the seconds of the hub's clock. */
  time(): number;
  /** Returns the time of day in seconds since 1970. */
  timeOfDay(): number;
  /** Returns a new key, which nobody can guess. Without it, leases cannot be acquired. */
  makeKey?(): string;
}

/** The parts of the dispatch that the gate uses. */
export interface LeaseGateDeps {
  /** Returns the requests at QEMU. */
  sent(): Iterable<Request>;
  /** Sends the requests that may go now. */
  feed(): void;
}

/** A request that a lease keeps waiting. */
interface Held {
  /** The time at which it began to wait. */
  readonly since: number;
  /** The name of the client that holds the lease. */
  readonly owner: string;
}

/** Decides whether requests may be sent, as far as leases are concerned. */
export class LeaseGate implements AdministeredLeases {
  /** The leases of the VM. */
  readonly leases: Leases<Monitor>;
  readonly #options: LeaseGateOptions;
  readonly #deps: LeaseGateDeps;
  /** The clients whose commands wait for an acquisition, with the number of acquisitions. */
  readonly #heldUp = new Map<Monitor, number>();
  readonly #effects = new WeakMap<Request, { readonly effects: Effects | undefined }>();
  readonly #held = new WeakMap<Request, Held>();

  /** Creates a gate without leases. */
  constructor(options: LeaseGateOptions, deps: LeaseGateDeps) {
    this.#options = options;
    this.#deps = deps;
    this.leases = new Leases<Monitor>({
      underWay: (scope, holder) => this.#underWay(scope, holder),
      makeKey: () => options.makeKey!(),
      began: () => {},
      ended: () => {},
      freed: deps.feed,
    });
  }

  /** Whether the gate must be told of the time: a lease or an acquisition may end. */
  get needsTime(): boolean {
    return this.leases.needsTime;
  }

  /** Whether leases can be acquired. */
  get mayBegin(): boolean {
    return this.#options.makeKey !== undefined;
  }

  /** The seconds of the hub's clock. */
  get time(): number {
    return this.#options.time();
  }

  /** Lets the commands of a client wait until {@linkcode letGo} is called as often. */
  holdUp(monitor: Monitor): void {
    this.#heldUp.set(monitor, (this.#heldUp.get(monitor) ?? 0) + 1);
  }

  /** Lets the commands of a client go on. */
  letGo(monitor: Monitor): void {
    const left = (this.#heldUp.get(monitor) ?? 0) - 1;
    if (left > 0) this.#heldUp.set(monitor, left);
    else this.#heldUp.delete(monitor);
    this.#deps.feed();
  }

  /** Returns whether a request may be sent, or refused, now. */
  leave(request: Request): boolean {
    const monitor = request.askers[0]?.monitor;
    if (monitor === undefined || this.leases.isEmpty && this.#heldUp.size === 0) return true;
    if (this.#heldUp.has(monitor)) return false;
    const verdict = this.#verdict(request, monitor);
    if (verdict?.kind !== "leased") return verdict?.kind !== "wait";
    const now = this.time;
    const held = this.#held.get(request) ?? { since: now, owner: verdict.lease.owner };
    this.#held.set(request, held);
    return now - held.since >= monitor.grant.limits["lease-wait"];
  }

  /** Returns the text of the error for a request that must not be sent; `undefined` if it may. */
  refusal(request: Request): string | undefined {
    const monitor = request.askers[0]?.monitor;
    if (monitor === undefined || this.leases.isEmpty) return undefined;
    const verdict = this.#verdict(request, monitor);
    const { name } = request.command;
    if (verdict?.kind === "fenced") {
      return `The command ${name} is refused: lease ${verdict.token} of this client has ended ` +
        `(${verdict.ending}); acquire a lease again, or release that one`;
    }
    return verdict?.kind === "leased" ? this.#leasedText(name, verdict.lease) : undefined;
  }

  /** Ends what is due. */
  tick(): void {
    if (this.leases.needsTime) this.leases.tick(this.time);
  }

  /** Begins leases that waited for a command at QEMU. */
  settled(): void {
    if (this.leases.waiting > 0) this.leases.advance(this.time);
  }

  /** Ends the leases of clients whose roles do not allow them any more. */
  review(): void {
    this.leases.review(({ grant }) => grant.role.leases.length > 0, this.time);
  }

  /** Ends all leases, because QEMU has disconnected. */
  lost(): void {
    if (this.leases.needsTime) this.leases.lost(this.time);
  }

  /** Returns the leases, without keys. */
  views(): readonly object[] {
    return [...this.leases.all].map((lease) => leaseView(lease, this.time));
  }

  /** Ends the lease with this token; returns whether there was one. */
  revoke(token: number): boolean {
    return this.leases.revoke(token, this.time) !== undefined;
  }

  /** Removes a client that has left. */
  left(monitor: Monitor): void {
    this.#heldUp.delete(monitor);
    if (!this.leases.isEmpty) {
      this.leases.left(monitor, monitor.ending === "kicked", this.time);
    }
  }

  #verdict(request: Request, monitor: Monitor): LeaseVerdict<Monitor> | undefined {
    const effects = this.#effectsOf(request);
    return effects && this.leases.judge(monitor, effects, this.time);
  }

  #effectsOf(request: Request): Effects | undefined {
    // Out-of-band commands are for emergencies.
    if (request.oob) return undefined;
    let known = this.#effects.get(request);
    if (known === undefined) {
      this.#effects.set(request, known = { effects: effectsOf(request.command) });
    }
    return known.effects;
  }

  #underWay(scope: LeaseScope, holder: Monitor): string | undefined {
    for (const request of this.#deps.sent()) {
      const { askers: [asker], owner = asker?.monitor, command: { name } } = request;
      if (owner === undefined || owner === holder) continue;
      const effects = this.#effectsOf(request);
      if (effects !== undefined && scope.covers(effects)) return name;
    }
    return undefined;
  }

  #leasedText(name: string, { owner, until, reason }: Lease<Monitor>): string {
    const end = this.#options.timeOfDay() + until - this.time;
    const because = reason === undefined ? "" : `: ${reason}`;
    return `The command ${name} is leased to ${owner} until ${timeText(end)}${because}`;
  }
}

/** Returns a lease as others see it; times in seconds. */
function leaseView(lease: Lease<Monitor>, now: number): object {
  const { token, owner, scope, holders, since, until, linger, reason } = lease;
  return {
    token,
    client: owner,
    holders: [...holders].map(({ name }) => name),
    commands: scope.globs,
    age: secondsUntil(now, since),
    expires: secondsUntil(until, now),
    linger,
    reason: reason ?? null,
  };
}

/** Returns the seconds until a time, to the millisecond; 0 if it is over. */
export function secondsUntil(time: number, now: number): number {
  return Math.max(0, Math.round((time - now) * 1000) / 1000);
}

/** Returns a time of day as text, in UTC. */
function timeText(seconds: number): string {
  return new Date(Math.ceil(seconds) * 1000).toISOString().replace(".000", "");
}
