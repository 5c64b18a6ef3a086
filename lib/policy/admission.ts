/**
 * Who may come through a listener, and on what terms.
 *
 * A rule names a user or a group of the process that connects. Whoever no rule
 * names gets what the listener says of everybody; where it says nothing of
 * everybody, it gets nothing.
 *
 * @module
 */

import { invalidValue } from "./usage_error.ts";
import type { Grant } from "./grant.ts";

/** A user or a group, by name or by number. */
export interface Principal {
  /** Which of the two. */
  readonly kind: "user" | "group";
  /** A name, or a number in digits. */
  readonly name: string;
}

/** Somebody whose identity is known. */
export interface Credentials {
  /** The user. */
  readonly uid: number;
  /** The group. */
  readonly gid: number;
  /** All other groups. */
  readonly groups: readonly number[];
}

/** What a listener grants to whom. */
export interface Admission {
  /** Who is let in, on the listener's own terms; `undefined` where nobody is named. */
  readonly allow: readonly Principal[] | undefined;
  /** Who is let in on other terms; the first that fits counts, before all else. */
  readonly special: readonly { readonly who: Principal; readonly grant: Grant }[];
  /** Is who is not named let in too, or whose identity is not known? */
  readonly others: boolean;
}

/**
 * What the kernel says of users and groups that a process cannot see, as in a user namespace.
 *
 * Anybody can be behind it, so that no rule means it.
 */
export const UNSEEN_ID = 65534;

/** Everybody is let in. */
export const EVERYBODY: Admission = { allow: undefined, special: [], others: true };

/**
 * The terms somebody gets.
 *
 * @param own the listener's terms
 * @param credentials `undefined` where the identity is not known
 * @param idOf the number of a user or group; `undefined` where there is none of that name
 * @returns `undefined` where it gets none
 */
export function grantFor(
  { allow, special, others }: Admission,
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

/** Somebody as the options have it: a user, or `@` and a group. */
export function principalText({ kind, name }: Principal): string {
  return kind === "group" ? `@${name}` : name;
}

/**
 * Reads a user or a group of an option.
 *
 * @param text such as `alice`, `@kvm` or `1000`
 * @throws UsageError
 */
export function readPrincipal(text: string, option: string): Principal {
  const [, at, name] = /^(@?)([A-Za-z0-9_][A-Za-z0-9_.-]{0,63}\$?)$/.exec(text) ?? [];
  if (name !== undefined) return { kind: at === "@" ? "group" : "user", name };
  throw invalidValue(text, option, "a user, or a group behind @, by name or number");
}
