/**
 * The commands with which clients acquire and release leases.
 *
 * @module
 */

import { LEASE_GLOBS_LIMIT, LeaseScope } from "../policy/lease_scope.ts";
import { chosenVms } from "./administration.ts";
import { ArgumentError, type Arguments } from "../session/arguments.ts";
import type { Monitor } from "../session/monitor.ts";
import type { Lease } from "../sharing/lease.ts";
import { mayLease, secondsUntil } from "./lease_gate.ts";
import type { Hub, OwnCommand } from "./own_command.ts";

/** The seconds of a lease unless others are asked for. */
const DEFAULT_TTL = 60;
/** The most seconds that an acquisition waits, and that a lease outlasts its last connection. */
const SECONDS_LIMIT = 86400;
/** The most characters of a reason. */
const REASON_LIMIT = 256;
/** The most characters of a key that is looked for. */
const KEY_LIMIT = 128;

/** The commands of clients that hold leases, or want to. */
const FOR_HOLDERS = { administers: false, leases: true, changes: true } as const;

/** The commands, by their names without the prefix. */
export const LEASE_COMMANDS: readonly (readonly [string, OwnCommand])[] = [
  ["lease-acquire", {
    ...FOR_HOLDERS,
    begin: (monitor, args, hub, done) => {
      const globs = args.takeOptionalStrings("commands", LEASE_GLOBS_LIMIT + 1) ?? ["*"];
      const ttl = ttlOf(args, monitor, DEFAULT_TTL);
      const wait = secondsOf(args, "wait");
      const linger = secondsOf(args, "linger");
      const reason = reasonOf(args);
      args.end();
      refuseOnControl(monitor);
      if (!hub.leases.mayBegin) throw new ArgumentError("Leases are not available here");
      checkRight(monitor, globs);
      const wish = { scope: new LeaseScope(globs), ttl, wait, linger, reason };
      const { leases, time } = hub.leases;
      leases.acquire(monitor, monitor.name, wish, time, (end) =>
        done(() => {
          if ("refusal" in end) throw new ArgumentError(end.refusal);
          return { ...granted(end, hub), key: end.key };
        }));
    },
  }],
  ["lease-renew", {
    ...FOR_HOLDERS,
    run: (monitor, args, hub) => {
      const key = keyOf(args);
      const ttl = ttlOf(args, monitor, DEFAULT_TTL);
      args.end();
      const lease = hub.leases.leases.renew(key, ttl, hub.leases.time);
      return granted(found(lease), hub);
    },
  }],
  ["lease-join", {
    ...FOR_HOLDERS,
    run: (monitor, args, hub) => {
      const key = keyOf(args);
      args.end();
      refuseOnControl(monitor);
      const { leases, time } = hub.leases;
      const held = leases.heldBy(monitor);
      if (held !== undefined && held.key !== key) {
        throw new ArgumentError(`This client holds lease ${held.token}; release it first`);
      }
      return granted(found(leases.join(monitor, key, time)), hub);
    },
  }],
  ["lease-release", {
    ...FOR_HOLDERS,
    run: (monitor, args, hub) => {
      const key = keyOf(args);
      args.end();
      if (!hub.leases.leases.release(monitor, key, hub.leases.time)) found(undefined);
      return {};
    },
  }],
  ["query-leases", {
    administers: false,
    changes: false,
    list: function* (args, { administration, isNamed }): Generator<unknown> {
      const glob = args.takeOptionalString("vm");
      args.end();
      for (const vm of chosenVms(administration, glob)) {
        const shown = administration.many || isNamed ? { vm: vm.name } : {};
        for (const view of vm.leases.views()) yield { ...shown, ...view };
      }
    },
  }],
  ["lease-revoke", {
    administers: true,
    changes: true,
    run: (_, args, { administration }) => {
      const token = args.takeOptionalNumber("token", 1, Number.MAX_SAFE_INTEGER);
      const glob = args.takeOptionalString("vm");
      args.end();
      if (token === undefined) throw new ArgumentError("Parameter 'token' is missing");
      const vms = chosenVms(administration, glob);
      if (vms.length > 1) {
        throw new ArgumentError("Tokens are numbers of one VM; choose it with 'vm'");
      }
      if (!vms[0]!.leases.revoke(token)) {
        throw new ArgumentError(`Lease ${token} not found: it has ended, or never began`);
      }
      return {};
    },
  }],
];

/** Returns the lease of a client's reply. */
function granted({ token, until }: Lease<Monitor>, hub: Hub): { token: number; expires: number } {
  return { token, expires: secondsUntil(until, hub.leases.time) };
}

function found(lease: Lease<Monitor> | undefined): Lease<Monitor> {
  if (lease !== undefined) return lease;
  throw new ArgumentError("Lease not found: it has ended, or the key is of another VM or process");
}

function keyOf(args: Arguments): string {
  const key = args.takeString("key");
  // A long text is not a key, and need not be compared.
  return key.length <= KEY_LIMIT ? key : "";
}

function ttlOf(args: Arguments, { grant }: Monitor, initial: number): number {
  const most = grant.limits["max-ttl"];
  return args.takeOptionalNumber("ttl", 1, most) ?? Math.min(initial, most);
}

function secondsOf(args: Arguments, name: string): number {
  return args.takeOptionalNumber(name, 0, SECONDS_LIMIT) ?? 0;
}

function reasonOf(args: Arguments): string | undefined {
  const reason = args.takeOptionalString("reason");
  if (reason === undefined || reason.length <= REASON_LIMIT) return reason;
  throw new ArgumentError(
    `Parameter 'reason' expects at most ${REASON_LIMIT} characters, not ${reason.length}`,
  );
}

function refuseOnControl({ isControl }: Monitor): void {
  if (isControl) throw new ArgumentError("The control socket has no commands to lease");
}

/** Checks that a role may lease these commands; @throws ArgumentError */
function checkRight({ grant: { role } }: Monitor, globs: readonly string[]): void {
  const beyond = globs.find((glob) => !mayLease(role, glob));
  if (beyond === undefined) return;
  throw new ArgumentError(
    `Role ${role.name} may not lease '${beyond}'; it may lease ${role.leases.join(", ")}`,
  );
}
