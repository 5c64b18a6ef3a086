/**
 * The built-in roles.
 *
 * `full`, the default, allows all commands, like QEMU's own monitor. `admin` may also administer
 * qmpmux. `operator` and `observer` have their own tables.
 *
 * @module
 */

import { UsageError } from "./usage_error.ts";
import { OBSERVER } from "./observer_role.ts";
import { operator, operatorRows } from "./operator_role.ts";
import { Role } from "./policy.ts";
import { type ReadForm, readForm } from "./role_form.ts";
import { globMatches } from "./glob.ts";
import { nearest } from "./suggestion.ts";

/** The default role, which allows all commands. */
export const FULL: Role = builtIn({ name: "full", rules: [{ allow: "*" }], lease: true });

/** The built-in roles, by name. */
export const ROLES: ReadonlyMap<string, Role> = new Map(
  [
    FULL,
    // Reading the large tables takes ten milliseconds, so it is deferred until first use.
    large("observer", () => OBSERVER, false),
    large("operator", operator, true),
    builtIn({ name: "admin", rules: [{ allow: "*" }], administers: true, lease: true }),
  ].map((role) => [role.name, role]),
);

function builtIn(form: unknown): Role {
  return readForm(form).role!;
}

function large(name: string, form: () => unknown, mayLease: boolean): Role {
  const rules = (): Role["rules"] => builtIn(form()).rules;
  const leases = mayLease ? ["*"] : [];
  return new Role({ name, rules, events: undefined, administers: false, leases });
}

/**
 * Reads a user's role in the form of {@linkcode readForm}.
 *
 * @param value plain values, as from a TOML file
 * @param where the place for the messages, such as the file's name and line
 * @throws UsageError when there are problems; the message has one line per problem
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

/**
 * Finds command names in rules that match no command of any known QEMU version.
 *
 * It skips names that begin with `__`, the prefix of vendors' commands.
 *
 * @param roles the roles of a file; built-in roles are skipped
 * @returns a warning for each name, `FILE:LINE: warning: …`
 */
export function roleWarnings(roles: Iterable<Role>): string[] {
  const warnings: string[] = [];
  for (const role of roles) {
    if (ROLES.has(role.name)) continue;
    for (const { name: { source }, commands } of role.rules) {
      for (const glob of commands) {
        const text = unknownCommand(glob);
        if (text !== undefined) warnings.push(`${source}: warning: role ${role.name}: ${text}`);
      }
    }
  }
  return warnings;
}

/**
 * Returns a warning if a glob matches no command of any known QEMU version; `undefined` if it does.
 *
 * A glob that begins with `__`, the prefix of vendors' commands, is not looked up.
 */
export function unknownCommand(glob: string): string | undefined {
  const known = [...operatorRows().keys()];
  if (glob.startsWith("__") || known.some((name) => globMatches(glob, name))) return undefined;
  const meant = /[*?]/.test(glob) ? undefined : nearest(glob, known);
  const remedy = meant === undefined ? "check its spelling" : `did you mean "${meant}"?`;
  return `no known QEMU has a command "${glob}"; ${remedy}`;
}
