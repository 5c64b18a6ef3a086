/**
 * The roles that are always there, by their names.
 *
 * `full` is QEMU's own monitor and the default; `admin` may administer qmpmux as
 * well; `operator` and `observer` have tables of their own.
 *
 * @module
 */

import { UsageError } from "./address.ts";
import { OBSERVER } from "./observer.ts";
import { OPERATOR } from "./operator.ts";
import type { Role } from "./policy.ts";
import { readForm } from "./role_form.ts";

/** What QEMU's own monitor allows: everything. */
export const FULL: Role = builtIn({ name: "full", rules: [{ allow: "*" }] });

/** The roles that need no file. */
export const ROLES: ReadonlyMap<string, Role> = new Map(
  [
    FULL,
    builtIn(OBSERVER),
    builtIn(OPERATOR),
    builtIn({ name: "admin", rules: [{ allow: "*" }], administers: true }),
  ].map((role) => [role.name, role]),
);

function builtIn(form: unknown): Role {
  return readForm(form, "built in");
}

/**
 * Reads a role of the user's own; the form is told in {@linkcode readForm}.
 *
 * @param value plain values, as a TOML file gives them
 * @param where what the messages begin with, such as the file's name and line
 * @throws UsageError where it is none; the message names what is wrong and the remedy
 */
export function readRole(value: unknown, where: string): Role {
  const role = readForm(value, where);
  if (ROLES.has(role.name)) {
    throw new UsageError(`${where}: there is a role ${role.name} already; choose another name`);
  }
  return role;
}
