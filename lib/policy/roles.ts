/**
 * The built-in roles.
 *
 * `full`, the default, allows everything, like QEMU's own monitor; `admin` may also administer
 * qmpmux; `operator` and `observer` have their own tables.
 *
 * @module
 */

import { UsageError } from "./usage_error.ts";
import { OBSERVER } from "./observer_role.ts";
import { operator } from "./operator_role.ts";
import { Role } from "./policy.ts";
import { type ReadForm, readForm } from "./role_form.ts";

/** The default role, which allows everything. */
export const FULL: Role = builtIn({ name: "full", rules: [{ allow: "*" }] });

/** The built-in roles, by name. */
export const ROLES: ReadonlyMap<string, Role> = new Map(
  [
    FULL,
    // Their tables take ten milliseconds to read, so they are read when first used.
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
 * Reads a user's role in the form of {@linkcode readForm}.
 *
 * @param value plain values, as from a TOML file
 * @param where the beginning of the messages, such as the file's name and line
 * @throws UsageError when there are problems; the message has a line for each
 */
export function readRole(value: unknown, where: string): Role {
  const { role, problems } = readOwnForm(value);
  if (role === undefined) {
    throw new UsageError(problems.map(({ text }) => `${where}: ${text}`).join("\n"));
  }
  return role;
}

/** Reads a role like {@linkcode readForm}, but refuses the names of built-in roles. */
export function readOwnForm(...args: Parameters<typeof readForm>): ReadForm {
  const { name, role, problems } = readForm(...args);
  if (name === undefined || !ROLES.has(name)) return { name, role, problems };
  const text = `role ${name}: ${name} is a built-in role; choose another name`;
  return { name, role: undefined, problems: [...problems, { part: "name", text }] };
}
