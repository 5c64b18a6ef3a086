/**
 * Administration: the VMs of this process, and their clients, as its administrators see them.
 *
 * A hub administers its own VM. The hub of a control socket may administer many.
 *
 * @module
 */

import type { ClientEnding } from "../observe/observer.ts";
import { hasWildcard, matcherOf } from "../policy/glob.ts";
import { ArgumentError } from "../session/arguments.ts";
import type { Monitor } from "../session/monitor.ts";

/** The state of the hub; times in seconds. */
export interface HubStatus {
  /** The VM's name. */
  readonly vm: string;
  /** `absent`, `greeting`, `negotiating`, `ready`, `stalled`, or `not served`. */
  readonly qemu: string;
  /** The reason why the VM is not served. */
  readonly reason?: string;
  /** QEMU's version, while it is ready. */
  readonly version: string | null;
  /** QEMU's process id, if its socket reveals it. */
  readonly pid: number | null;
  /** The number of sessions with QEMU that became ready. */
  readonly sessions: number;
  /** The time of day at which the present session became ready, in seconds since 1970. */
  readonly upSince: number | null;
  /** The number of QEMU's events, in all sessions. */
  readonly events: number;
  /** The number of clients, without control connections. */
  readonly clients: number;
  /** The number of commands that wait here. */
  readonly waiting: number;
  /** The number of commands in flight. */
  readonly inFlight: number;
  /** Seconds since the start. */
  readonly age: number;
}

/** The leases of a VM as its administrators see them. */
export interface AdministeredLeases {
  /** Returns the leases, without keys. */
  views(): readonly object[];
  /** Ends the lease with this token; returns whether there was one. */
  revoke(token: number): boolean;
}

/** A VM as its administrators see it. */
export interface Administered {
  /** Its name. */
  readonly name: string;
  /** Its connected clients. */
  readonly monitors: ReadonlySet<Monitor>;
  /** Returns the state of the session with QEMU, and the number of commands. */
  status(): HubStatus;
  /** Its leases. */
  readonly leases: AdministeredLeases;
  /** Counts each client's commands in flight; its other pending commands wait here. */
  inFlight(): ReadonlyMap<Monitor, number>;
  /** Returns a client's subscription to the event log as it is shown; null without one. */
  subscription(monitor: Monitor): unknown;
  /** Disconnects a client after what is queued for it has been sent. */
  dismiss(monitor: Monitor, reason: string, ending: ClientEnding): void;
}

/** The VMs that a hub administers. */
export interface Administration {
  /** Whether there may be several: their state is a list then. */
  readonly many: boolean;
  /** Returns the present VMs. */
  vms(): Iterable<Administered>;
}

/**
 * Returns a VM that is not served: it has no clients.
 *
 * @param age the seconds since the start
 */
export function notServed(name: string, reason: string, age: number): Administered {
  return {
    name,
    monitors: new Set(),
    status: () => ({
      vm: name,
      qemu: "not served",
      reason,
      version: null,
      pid: null,
      sessions: 0,
      upSince: null,
      events: 0,
      clients: 0,
      waiting: 0,
      inFlight: 0,
      age,
    }),
    leases: { views: () => [], revoke: () => false },
    inFlight: () => new Map(),
    subscription: () => null,
    dismiss: () => {},
  };
}

/** Returns a VM's state as an administrator sees it. */
export function statusView({ inFlight, pid, upSince, ...status }: HubStatus): unknown {
  return { ...status, "in-flight": inFlight, "qemu-pid": pid, "up-since": upSince };
}

/**
 * Returns the VMs with names that match a glob; all without one.
 *
 * @throws ArgumentError if a glob is given and none matches
 */
export function chosenVms(
  administration: Administration,
  glob: string | undefined,
): readonly Administered[] {
  const all = [...administration.vms()];
  if (glob === undefined) return all;
  const matches = matcherOf(glob);
  const chosen = all.filter(({ name }) => matches(name));
  if (chosen.length === 0) throw new ArgumentError(`VM '${glob}' not found`);
  return chosen;
}

/**
 * Disconnects the clients with a name, or with names that match a glob; others may have a turn after
 * each of them.
 *
 * @param asker the administrator, which no glob matches
 * @param vm a glob of the VMs' names
 * @throws ArgumentError if there is no such client, or a name is one of clients of several VMs and
 *   `vm` does not choose among them
 */
export function* disconnect(
  administration: Administration,
  asker: Monitor,
  name: string,
  vm: string | undefined,
): Generator<undefined> {
  const matches = matcherOf(name);
  const found = chosenVms(administration, vm).map((each) => {
    const monitors = [...each.monitors].filter((monitor) =>
      !monitor.isControl &&
      (monitor.name === name || monitor !== asker && matches(monitor.name))
    );
    return { vm: each, monitors };
  }).filter(({ monitors }) => monitors.length > 0);
  if (found.length === 0) throw new ArgumentError(`Client '${name}' not found`);
  if (found.length > 1 && vm === undefined && !hasWildcard(name)) {
    throw new ArgumentError(`Client '${name}' is at ${found.length} VMs; choose with 'vm'`);
  }
  const { name: own, peer: { identity } } = asker;
  const process = identity ? `, process ${identity.pid} of uid ${identity.uid}` : "";
  for (const { vm, monitors } of found) {
    for (const monitor of monitors) {
      // It may have left since the last turn.
      if (!monitor.left) vm.dismiss(monitor, `disconnected by ${own}${process}`, "kicked");
      yield;
    }
  }
}

/**
 * Returns a client as an administrator sees it; times in seconds.
 *
 * @param vm the name of its VM, if it is shown
 * @param subscription its subscription as it is shown
 * @param inFlight the number of its commands in flight
 * @param now the seconds since the start of the hub's clock
 */
export function clientView(
  monitor: Monitor,
  vm: string | undefined,
  subscription: unknown,
  inFlight: number,
  now: number,
): unknown {
  const { grant, peer, filter, lastCommand } = monitor;
  const { identity } = peer;
  return {
    ...(vm !== undefined && { vm }),
    name: monitor.name,
    listener: grant.name,
    peer: identity ? { pid: identity.pid, uid: identity.uid, gid: identity.gid } : null,
    role: grant.role.name,
    dialect: monitor.dialect,
    mode: monitor.mode,
    capabilities: monitor.capabilities,
    filter: filter ? shownGlobs(filter) : null,
    subscription,
    "in-flight": inFlight,
    waiting: monitor.pending - inFlight,
    "unread-bytes": peer.unread ?? 0,
    commands: monitor.commands,
    "last-command": lastCommand ?? null,
    age: now - monitor.since,
  };
}

/** The characters of a filter in the list of clients, so that a few clients cannot make the list too long to receive. */
const FILTER_CHARS_LIMIT = 256;

/** Returns a client's globs, or the first of them followed by `…`. */
function shownGlobs(globs: readonly string[]): readonly string[] {
  let room = FILTER_CHARS_LIMIT;
  const past = globs.findIndex((glob) => (room -= glob.length + 1) < 0);
  return past < 0 ? globs : [...globs.slice(0, past), "…"];
}
