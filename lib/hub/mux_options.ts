/**
 * The interface to the program around the hub: settings, and notifications.
 *
 * @module
 */

import type { InternalErrorPlace } from "../observe/observer.ts";
import type { Monitor } from "../session/monitor.ts";
import type { Role } from "../policy/policy.ts";
import type { OnLoss } from "../config/settings.ts";
import type { Deadline } from "../config/value_kinds.ts";
import type { LogLimits } from "../sharing/event_log.ts";
import type { Greeting } from "../wire/message.ts";
import type { Administration } from "./administration.ts";
import type { OpenTap } from "./tap_request.ts";

/** Notifications of what has happened, for the program around the hub. */
export interface Notices {
  /** Reports that QEMU has sent its greeting and the negotiation is complete. */
  ready(greeting: Greeting): void;
  /** Reports that a QEMU that was ready has disconnected. Clients are notified afterwards. */
  lost(): void;
  /** Reports that QEMU has sent no reply for too long, or that it answers again. */
  stalled(stalled: boolean): void;
  /** Reads the settings again at a client's request, and calls `done` with the problems found. */
  reload(done: (problems: readonly string[]) => void): void;
  /** Reports, while draining, that the last command has been answered. */
  idle(): void;
  /**
   * Reports a client whose listener may lack `fds=on`: QEMU has replied that no descriptor came with
   * a command, and the listener neither accepts descriptors nor can see whether any came.
   */
  mayLackFdsOption?(client: Monitor): void;
  /**
   * Reports an internal error that was contained: at most it has disconnected a client, or QEMU.
   *
   * @param client the name of the client that was being served, if there was one
   */
  failed(where: InternalErrorPlace, error: unknown, client?: string): void;
}

/** Settings of the hub. */
export interface MuxOptions {
  /** The VM's name. */
  readonly vm: string;
  /** Whether the VM was given that name, so that its clients are listed with it. Defaults to `false`. */
  readonly isNamed?: boolean;
  /** The VMs that administrators see here. Defaults to this one. */
  readonly administration?: Administration;
  /**
   * The name of this hub in cursors: letters, digits, `_` and `-`. No other hub may have it, now or
   * later. Defaults to the time of day at its creation, in microseconds.
   */
  readonly run?: string;
  /** Returns a new key of a lease, which nobody can guess. Without it, leases cannot be acquired. */
  readonly makeKey?: () => string;
  /** The bounds of the event log. Defaults to 1 MiB and 10,000 events. */
  readonly eventLog?: LogLimits;
  /** Opens taps, for the clients of a control socket. */
  readonly openTap?: OpenTap;
  /** The roles by name, for `__org.qmpmux_can`. Defaults to the built-in ones. */
  readonly roles?: ReadonlyMap<string, Role>;
  /** The version of qmpmux, `MAJOR.MINOR.MICRO`, for the greeting of control connections. */
  readonly version: string;
  /** Seconds a client may wait for QEMU's greeting. */
  readonly handshakeTime: number;
  /** The treatment of clients when QEMU disconnects: they are closed, or wait for the next QEMU. */
  readonly onLoss: OnLoss;
  /** Seconds without a reply after which QEMU counts as stalled. */
  readonly stallTime: number;
  /** Whether a QEMU that owes no reply is probed too; false by default. */
  readonly probesWhenIdle?: boolean;
  /** Deadlines of commands. The first glob that matches a name counts. */
  readonly deadlines: readonly Deadline[];
  /** Returns the time of day in seconds, for events of our own. */
  readonly timeOfDay: () => number;
  /** A steady clock in seconds, for measurements. Defaults to the time of the last tick. */
  readonly clock?: () => number;
  /** Runs a task in a later turn of the event loop. Without it, long tasks run at once. */
  readonly later?: (task: () => void) => void;
  /** Returns the time that `tick` would be called with now. Defaults to the last tick's. */
  readonly running?: () => number;
}
