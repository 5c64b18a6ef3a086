/**
 * A listener's settings: where it listens, for whom, and what it grants.
 *
 * @module
 */

import type { ListenAddress } from "../policy/address.ts";
import type { AccessRules } from "../policy/admission.ts";
import type { Grant } from "../policy/grant.ts";

/** A listener's settings, read and checked. */
export interface ListenerSettings {
  /** The address it listens on. */
  readonly address: ListenAddress;
  /** Whether other machines may reach it. */
  readonly remote: boolean;
  /** The terms it grants. */
  readonly grant: Grant;
  /** The clients it admits, and those it grants other terms. */
  readonly admission: AccessRules;
  /** Whether the process behind each client must be known. */
  readonly identity: boolean;
  /** Whether its clients may pass descriptors. */
  readonly descriptors: boolean;
  /** The behaviour while QEMU is away: its clients wait, or it is closed and refuses them. */
  readonly absent: "wait" | "refuse";
  /** The mode of the socket file. */
  readonly mode: number;
  /** The owner of the socket file, by name or number. */
  readonly user: string | undefined;
  /** The group of the socket file, by name or number. */
  readonly group: string | undefined;
}
