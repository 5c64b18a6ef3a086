/**
 * The gate for leases: whether a request may be sent to QEMU, waits for a lease to end, or is refused.
 *
 * It is asked when a request is about to be sent, so that a lease concerns the commands that wait too.
 *
 * @module
 */

import type { Monitor } from "../session/monitor.ts";
import { globCovers } from "../policy/glob_overlap.ts";
import { type Effects, effectsOf, type LeaseScope } from "../policy/lease_scope.ts";
import type { Role } from "../policy/policy.ts";
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

/** The acquisitions of a client. */
interface Acquisitions {
  /** The number that it has sent. */
  sent: number;
  /** The number of those with a reply. */
  ended: number;
}

/** Decides whether requests may be sent, as far as leases are concerned. */
export class LeaseGate implements AdministeredLeases {
  /** The leases of the VM. */
  readonly leases: Leases<Monitor>;
  readonly #options: LeaseGateOptions;
  readonly #deps: LeaseGateDeps;
  readonly #acquisitions = new WeakMap<Monitor, Acquisitions>();
  /** The number of acquisitions that were sent before a request of the same client. */
  readonly #before = new WeakMap<Request, number>();
  readonly #effects = new WeakMap<Request, { readonly effects: Effects | undefined }>();
  /** The time since which a lease has kept a request waiting. */
  readonly #since = new WeakMap<Request, number>();

  /** Creates a gate without leases. */
  constructor(options: LeaseGateOptions, deps: LeaseGateDeps) {
    this.#options = options;
    this.#deps = deps;
    this.leases = new Leases<Monitor>({
      underWay: (scope, holder) => this.#underWay(scope, holder),
      makeKey: () => options.makeKey!(),
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

  /** Notes that a client has sent an acquisition: its later requests wait for the reply. */
  acquires(monitor: Monitor): void {
    const acquisitions = this.#acquisitions.get(monitor);
    if (acquisitions) acquisitions.sent++;
    else this.#acquisitions.set(monitor, { sent: 1, ended: 0 });
  }

  /** Notes that an acquisition of a client has its reply. */
  acquired(monitor: Monitor): void {
    this.#acquisitions.get(monitor)!.ended++;
    this.#deps.feed();
  }

  /** Notes a new request of a client. */
  note(monitor: Monitor, request: Request): void {
    const acquisitions = this.#acquisitions.get(monitor);
    if (acquisitions) this.#before.set(request, acquisitions.sent);
  }

  /** Returns whether a request may be sent, or refused, now. */
  leave(request: Request): boolean {
    const monitor = request.askers[0]?.monitor;
    if (monitor === undefined) return true;
    const before = this.#before.get(request) ?? 0;
    if (before > 0 && before > this.#acquisitions.get(monitor)!.ended) return false;
    if (this.leases.isEmpty) return true;
    const verdict = this.#verdict(request, monitor);
    if (verdict?.kind !== "leased") return verdict?.kind !== "wait";
    const since = this.#since.get(request) ?? this.time;
    this.#since.set(request, since);
    return this.time - since >= monitor.grant.limits["lease-wait"];
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
    const may = ({ grant: { role } }: Monitor, { globs }: LeaseScope): boolean =>
      globs.every((glob) => mayLease(role, glob));
    this.leases.review(may, this.time);
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
    if (this.leases.isEmpty) return;
    this.leases.left(monitor, monitor.ending === "kicked", this.time);
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

/** Returns whether clients with a role may lease all commands that a glob matches. */
export function mayLease({ leases }: Role, glob: string): boolean {
  return leases.some((each) => globCovers(each, glob));
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
