/**
 * Warnings about valid roles that do less than they seem to.
 *
 * @module
 */

import { globMatches } from "./glob.ts";
import { operatorRows } from "./operator_role.ts";
import type { Role } from "./policy.ts";
import { ROLES } from "./roles.ts";
import { nearest } from "./suggestion.ts";

/**
 * Finds names of commands in rules that match no command of any known QEMU.
 *
 * It skips names that begin with `__`, the prefix of vendors' commands.
 *
 * @param roles the roles of a file; built-in ones are skipped
 * @returns a text for each name, `FILE:LINE: warning: …`
 */
export function roleWarnings(roles: Iterable<Role>): string[] {
  const known = [...operatorRows().keys()];
  const warnings: string[] = [];
  for (const role of roles) {
    if (ROLES.has(role.name)) continue;
    for (const { name: { source }, commands } of role.rules) {
      for (const glob of commands) {
        if (glob.startsWith("__") || known.some((name) => globMatches(glob, name))) continue;
        const meant = /[*?]/.test(glob) ? undefined : nearest(glob, known);
        const remedy = meant === undefined ? "check its spelling" : `did you mean "${meant}"?`;
        const text = `no known QEMU has a command "${glob}"`;
        warnings.push(`${source}: warning: role ${role.name}: ${text}; ${remedy}`);
      }
    }
  }
  return warnings;
}
