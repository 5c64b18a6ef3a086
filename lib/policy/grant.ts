/**
 * The grant that a listener gives its clients.
 *
 * @module
 */

import type { EventFilter } from "./event_filter.ts";
import type { Limits } from "./limits.ts";
import type { Role } from "./policy.ts";

/** The dialect of a listener; `control` is that of the control socket. */
export type DialectName = "qmp" | "rfc2010" | "control";

/** The permissions, settings and limits of a listener's clients. */
export interface Grant {
  /** The listener's name, for logs and `__org.qmpmux_query-self`. */
  readonly name: string;
  /** The dialect of its clients. */
  readonly dialect: DialectName;
  /** The role of its clients. */
  readonly role: Role;
  /** The events that its clients can see; `undefined` means all. */
  readonly events: EventFilter | undefined;
  /** Whether its clients get cached replies. */
  readonly caches: boolean;
  /** Whether its clients share pending queries with others. */
  readonly joins: boolean;
  /** Whether its clients may pass descriptors; false by default. */
  readonly passes?: boolean;
  /** The limits of its clients. */
  readonly limits: Limits;
}
