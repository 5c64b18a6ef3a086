/**
 * A lease, and how it begins and ends.
 *
 * All times are seconds of one steady clock.
 *
 * @module
 */

import type { LeaseScope } from "../policy/lease_scope.ts";

/** A request for a lease. */
export interface LeaseWish {
  /** The commands. */
  readonly scope: LeaseScope;
  /** The seconds that it lasts. */
  readonly ttl: number;
  /** The seconds that the acquisition may wait. */
  readonly wait: number;
  /** The seconds that it outlasts its last connection. */
  readonly linger: number;
  /** The purpose, for people. */
  readonly reason: string | undefined;
}

/** A lease. */
export interface Lease<Holder> extends LeaseWish {
  /** The number that people see; it grows. */
  readonly token: number;
  /** The secret that lets a connection join, renew and release it. */
  readonly key: string;
  /** The name of the client that has acquired it. */
  readonly owner: string;
  /** The connected holders. */
  readonly holders: ReadonlySet<Holder>;
  /** The time at which it began. */
  readonly since: number;
  /** The time at which it ends by itself. */
  readonly until: number;
}

/** The end of an acquisition: a lease, or the reason why there is none. */
export type Acquired<Holder> = Lease<Holder> | { readonly refusal: string };

/** The reasons why leases end. */
export type LeaseEnding =
  | "released"
  | "expired"
  | "revoked"
  | "disconnected"
  | "kicked"
  | "forbidden"
  | "QEMU disconnected";

/** A decision on a command that a lease concerns. */
export type LeaseVerdict<Holder> =
  /** Another client holds a lease. */
  | { readonly kind: "leased"; readonly lease: Lease<Holder> }
  /** It waits, because a lease of another client is about to begin. */
  | { readonly kind: "wait" }
  /** Its client has held a lease that has ended. */
  | { readonly kind: "fenced"; readonly token: number; readonly ending: LeaseEnding };

/** The parts of the hub that leases use. */
export interface LeaseDeps<Holder> {
  /** Returns the name of a command at QEMU that a scope covers and that another client has sent. */
  underWay(scope: LeaseScope, holder: Holder): string | undefined;
  /** Returns a new key, which nobody can guess. */
  makeKey(): string;
  /** Called when commands that waited may go on. */
  freed(): void;
}
