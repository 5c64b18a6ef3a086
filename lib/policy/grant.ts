/**
 * What a listener grants the clients that come through it.
 *
 * @module
 */

import type { EventFilter } from "./event_filter.ts";
import type { Limits } from "./limits.ts";
import type { Role } from "./policy.ts";

/** The dialects a listener can speak; `control` is that of the control socket. */
export type DialectName = "qmp" | "rfc2010" | "control";

/** The terms of one listener; the same for all its clients. */
export interface Grant {
  /** The listener's name, for logs and `__org.qmpmux_query-self`. */
  readonly name: string;
  /** The handshake its clients speak. */
  readonly dialect: DialectName;
  /** What its clients may run and see. */
  readonly role: Role;
  /** The events its clients can see at all; `undefined` is every one. */
  readonly events: EventFilter | undefined;
  /** Are its clients given answers that were kept? */
  readonly caches: boolean;
  /** May its clients share a question with others? */
  readonly joins: boolean;
  /** May its clients pass descriptors? Left out where they may not. */
  readonly passes?: boolean;
  /** How much each of its clients may do, and how many there may be. */
  readonly limits: Limits;
}
