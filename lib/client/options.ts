/**
 * The options of the client's functions.
 *
 * @module
 */

import type { CommandName, QmpSchema } from "./schema.ts";

/** The options of a connection. */
export interface ConnectOptions {
  /** The capabilities to enable, such as `oob`. */
  readonly enable?: readonly string[];
  /** Ends the attempt to connect. */
  readonly signal?: AbortSignal;
  /** The time to connect and to negotiate in milliseconds; 10,000 by default, no limit with `Infinity`. */
  readonly timeout?: number;
  /**
   * Whether a connection that is lost is made again; by default it is not. Commands in flight are
   * rejected, later ones wait. Each stream of events gets a gap, because events may have been missed.
   * The first connection is tried once.
   */
  readonly reconnect?: boolean;
  /** The most bytes of a message; 64 MiB by default. */
  readonly messageLimit?: number;
}

/** The options of a subcommand's connection. */
export interface AttemptOptions extends ConnectOptions {
  /** Called with each greeting, before the negotiation. */
  readonly greeted?: () => void;
}

/** The options of a command. */
export interface ExecuteOptions {
  /** Stops waiting for the reply; the command may still run, if it was sent. */
  readonly signal?: AbortSignal;
  /** The time for the reply in milliseconds; without it there is no limit. */
  readonly timeout?: number;
  /** Whether QEMU runs the command out of band; this needs the capability `oob`. */
  readonly oob?: boolean;
}

/** The options of a command in a schema: `oob` is only for those that QEMU can run out of band. */
export type ExecuteOptionsOf<S extends QmpSchema, N extends CommandName<S>> =
  S["commands"][N] extends { readonly oob: true } ? ExecuteOptions
    : ExecuteOptions & { readonly oob?: false };

/** The parameters after a command's name: arguments may be left out if all are optional. */
export type ExecuteParameters<A, O = ExecuteOptions> = Record<never, never> extends A
  ? [args?: A | undefined, options?: O]
  : [args: A, options?: O];

/** The options of a stream of events. */
export interface EventsOptions {
  /** The most events that wait to be read; 4,096 by default. Further ones are dropped, and a gap tells so. */
  readonly limit?: number;
  /**
   * The place where the stream begins: a cursor ({@linkcode Qmp.cursor}), `oldest` for all events that
   * qmpmux keeps, or `now`. Such a stream misses no event: what is not read in time, or comes while the
   * connection is made again, comes later. A client has one at a time. Only a qmpmux offers it.
   */
  readonly since?: string;
}

/** The options of {@linkcode Qmp.waitFor}. */
export interface WaitOptions<E> {
  /** Ends the wait. */
  readonly signal?: AbortSignal;
  /** The time to wait in milliseconds; without it there is no limit. */
  readonly timeout?: number;
  /** Whether an event is the one that is awaited; by default the first is. */
  readonly match?: (event: E) => boolean;
}
