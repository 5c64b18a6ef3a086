/**
 * The form of a command of qmpmux's own, and the parts of the hub that it uses.
 *
 * @module
 */

import type { Arguments } from "../session/arguments.ts";
import type { Monitor } from "../session/monitor.ts";
import type { Role } from "../policy/policy.ts";
import type { Administration, HubStatus } from "./administration.ts";
import type { LeaseGate } from "./lease_gate.ts";
import type { RequestRecorder } from "./request_recorder.ts";
import type { Subscriptions } from "./subscriptions.ts";
import type { OpenTap } from "./tap_request.ts";

/** The part of the hub that the commands use. */
export interface Hub {
  /** The VMs that administrators see here. */
  readonly administration: Administration;
  /** Whether its VM was given a name, so that its clients are listed with it. */
  readonly isNamed: boolean;
  /** Records the commands. */
  readonly recorder: RequestRecorder;
  /** Returns the roles by name. */
  roles(): ReadonlyMap<string, Role>;
  /** The event log and its readers. */
  readonly subscriptions: Subscriptions;
  /** The leases of the VM. */
  readonly leases: LeaseGate;
  /** Returns the state of the session with QEMU, and the number of commands. */
  status(): HubStatus;
  /** Reloads the settings and calls `done` with the problems found; with none, the settings are in force. */
  reload(done: (problems: readonly string[]) => void): void;
  /** Opens a tap on the traffic of these VMs; `undefined` where taps cannot be opened. */
  readonly openTap: OpenTap | undefined;
  /** Runs a task for a client in a later turn; returns `false` if the caller has to run it at once. */
  later(monitor: Monitor, task: () => void): boolean;
}

/** A function that runs a command for a client; throws ArgumentError or RangeError for a wrong argument. */
export type Run = (monitor: Monitor, args: Arguments, hub: Hub) => unknown;

/** A function that starts a command. It calls `done` once, with a function that returns the value or throws. */
export type Start = (
  monitor: Monitor,
  args: Arguments,
  hub: Hub,
  done: (value: () => unknown) => void,
) => void;

/** A function that yields the elements of a list; other clients may have a turn between two elements. */
export type List = (args: Arguments, hub: Hub) => Iterator<unknown>;

/** A function that yields after each step; other clients may have a turn then. */
export type Steps = (monitor: Monitor, args: Arguments, hub: Hub) => Iterator<unknown>;

/**
 * A command: who may run it (`administers`: administrators only; `leases`: roles that may lease) and whether it
 * affects others (`changes`).
 */
export type OwnCommand =
  & { readonly administers: boolean; readonly changes: boolean; readonly leases?: boolean }
  & (
    /** `many` runs it where many VMs are administered. */
    | { readonly run: Run; readonly many?: List }
    | { readonly start: Start }
    /** `begin` starts it when the replies before it have been sent; the client's later commands wait for its end. */
    | { readonly begin: Start }
    | { readonly list: List }
    | { readonly steps: Steps }
  );
