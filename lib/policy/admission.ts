/**
 * The access control of a listener: the clients that may connect, and their grants.
 *
 * A rule names a user or a group of the process that connects. A client that no rule names
 * gets the listener's grant if the listener admits all clients, and is refused otherwise.
 *
 * @module
 */

import { invalidValue } from "./usage_error.ts";
import type { EventFilter } from "./event_filter.ts";
import type { Limits } from "./limits.ts";
import type { Role } from "./policy.ts";

/** A user or a group, by name or by number. */
export interface Principal {
  /** The kind of name. */
  readonly kind: "user" | "group";
  /** A name, or a number in digits. */
  readonly name: string;
}

/** The user and groups of a process. */
export interface Credentials {
  /** The user ID. */
  readonly uid: number;
  /** The group ID. */
  readonly gid: number;
  /** The IDs of all other groups. */
  readonly groups: readonly number[];
}

/** The access rules of a listener. */
export interface AccessRules {
  /** The clients that get the listener's own grant; `undefined` when there is no such rule. */
  readonly allow: readonly Principal[] | undefined;
  /** The clients that get another grant. The first match decides, before `allow`. */
  readonly special: readonly { readonly who: Principal; readonly grant: Grant }[];
  /** Whether clients that no rule names, or that cannot be identified, are admitted. */
  readonly others: boolean;
}

/**
 * The kernel's ID for users and groups that have no ID in the user namespace of a process.
 *
 * It can stand for any user, so no rule matches it.
 */
export const UNSEEN_ID = 65534;

/** The rules that admit all clients. */
export const EVERYBODY: AccessRules = { allow: undefined, special: [], others: true };

/**
 * Returns the grant of a client.
 *
 * @param own the listener's grant
 * @param credentials the client's credentials; `undefined` when they are unknown
 * @param idOf returns the ID of a user or group, `undefined` when it does not exist
 * @returns `undefined` when the client is refused
 */
export function grantFor(
  { allow, special, others }: AccessRules,
  own: Grant,
  credentials: Credentials | undefined,
  idOf: (who: Principal) => number | undefined,
): Grant | undefined {
  if (credentials !== undefined) {
    const is = (who: Principal): boolean => {
      const id = idOf(who);
      if (id === undefined || id === UNSEEN_ID) return false;
      if (who.kind === "user") return id === credentials.uid;
      return id === credentials.gid || credentials.groups.includes(id);
    };
    const found = special.find(({ who }) => is(who));
    if (found) return found.grant;
    if (allow?.some(is)) return own;
  }
  return others ? own : undefined;
}

/** Returns a principal in the form of the options: a user, or `@` and a group. */
export function principalText({ kind, name }: Principal): string {
  return kind === "group" ? `@${name}` : name;
}

/**
 * Reads a user or a group.
 *
 * @param text a name or number, with `@` before a group
 * @throws UsageError when it is malformed
 */
export function readPrincipal(text: string, option: string): Principal {
  const [, at, name] = /^(@?)([A-Za-z0-9_][A-Za-z0-9_.-]{0,63}\$?)$/.exec(text) ?? [];
  if (name !== undefined) return { kind: at === "@" ? "group" : "user", name };
  throw invalidValue(text, option, "a user, or @ and a group, by name or number");
}

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
  /** Whether its clients receive cached replies. */
  readonly caches: boolean;
  /** Whether its clients share pending queries with other clients. */
  readonly joins: boolean;
  /** Whether its clients may pass descriptors; false by default. */
  readonly passes?: boolean;
  /** The limits of its clients. */
  readonly limits: Limits;
}
