/**
 * Users and groups by name, from `/etc/passwd` and `/etc/group`.
 *
 * @module
 */

import type { Principal } from "../policy/admission.ts";
import type { ListenerSettings } from "../config/options.ts";
import { Failure } from "./failure.ts";

const FILES = { user: "/etc/passwd", group: "/etc/group" } as const;

/** The largest id: the kernel's ids have 32 bits, and the last number means "unchanged". */
const LARGEST_ID = 2 ** 32 - 2;

/**
 * Returns the id of a user or group.
 *
 * @param name a name, or an id in digits
 * @param option the option that names it, for messages
 * @throws Failure if no user or group has that name
 */
export function idOf(kind: "user" | "group", name: string, option: string = kind): number {
  if (/^\d+$/.test(name)) {
    if (Number(name) <= LARGEST_ID) return Number(name);
    throw new Failure(78, `${option}=${name} is out of range; numbers go up to ${LARGEST_ID}`);
  }
  for (const line of Deno.readTextFileSync(FILES[kind]).split("\n")) {
    const [found, , id] = line.split(":");
    if (found === name && id !== undefined) return Number(id);
  }
  // In lists of users and groups, `@` marks groups.
  const shown = kind === "group" && option !== "group" ? `@${name}` : name;
  throw new Failure(
    78,
    `${option}=${shown}: ${FILES[kind]} has no such ${kind}; use an existing one, or a number`,
  );
}

/**
 * Finds the options of a listener that name an unknown user or group.
 *
 * @returns each option with an error text
 */
export function* missingNames(
  { user, group, admission: { allow = [], special } }: ListenerSettings,
): Generator<[option: string, text: string]> {
  const named: [option: string, who: Principal][] = [
    ...(user === undefined ? [] : [["user", { kind: "user", name: user }] as [string, Principal]]),
    ...(group === undefined
      ? []
      : [["group", { kind: "group", name: group }] as [string, Principal]]),
    ...allow.map((who): [string, Principal] => ["allow", who]),
    ...special.map(({ who }): [string, Principal] => ["role-for", who]),
  ];
  for (const [option, { kind, name }] of named) {
    try {
      idOf(kind, name, option);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      yield [option, error.message];
    }
  }
}
