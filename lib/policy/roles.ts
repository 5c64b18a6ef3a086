/**
 * The roles that are always there, by their names.
 *
 * `full` is QEMU's own monitor and the default; `admin` may administer qmpmux as
 * well; `operator` and `observer` have tables of their own.
 *
 * @module
 */

import { UsageError } from "./usage_error.ts";
import { OBSERVER } from "./observer_role.ts";
import { operator } from "./operator_role.ts";
import { Role } from "./policy.ts";
import { type ReadForm, readForm } from "./role_form.ts";

/** What QEMU's own monitor allows: everything. */
export const FULL: Role = builtIn({ name: "full", rules: [{ allow: "*" }] });

/** The roles that need no file. */
export const ROLES: ReadonlyMap<string, Role> = new Map(
  [
    FULL,
    // Their tables take ten milliseconds to read: only who uses them pays.
    large("observer", () => OBSERVER),
    large("operator", operator),
    builtIn({ name: "admin", rules: [{ allow: "*" }], administers: true }),
  ].map((role) => [role.name, role]),
);

function builtIn(form: unknown): Role {
  return readForm(form).role!;
}

function large(name: string, form: () => unknown): Role {
  const rules = (): Role["rules"] => builtIn(form()).rules;
  return new Role({ name, rules, events: undefined, administers: false });
}

/**
 * Reads a role of the user's own; the form is told in {@linkcode readForm}.
 *
 * @param value plain values, as a TOML file gives them
 * @param where the beginning of the messages, such as the file's name and line
 * @throws UsageError where something is wrong; the message has a line for each problem
 */
export function readRole(value: unknown, where: string): Role {
  const { role, problems } = readOwnForm(value);
  if (role === undefined) {
    throw new UsageError(problems.map(({ text }) => `${where}: ${text}`).join("\n"));
  }
  return role;
}

/** Like {@linkcode readForm}; the names of the built-in roles are taken. */
export function readOwnForm(...args: Parameters<typeof readForm>): ReadForm {
  const { name, role, problems } = readForm(...args);
  if (name === undefined || !ROLES.has(name)) return { name, role, problems };
  const text = `role ${name}: ${name} is a built-in role; choose another name`;
  return { name, role: undefined, problems: [...problems, { part: "name", text }] };
}
