/**
 * Permissions: whether a role may run a command, which rule decides, and what would be allowed.
 *
 * `__org.qmpmux_can` returns them, and `qmpmux can` prints them.
 *
 * @module
 */

import { type Difference, nearestRule } from "../policy/nearest_rule.ts";
import { judge, type Judged, quotedName, type Role } from "../policy/policy.ts";
import { nearest } from "../policy/suggestion.ts";
import { ArgumentError } from "../session/arguments.ts";

/** A rule, with the file and line where it begins; `null` in a built-in role. */
export interface PermissionRule {
  /** The short text of the rule. */
  readonly rule: string;
  /** The place, as `FILE:LINE`. */
  readonly source: string | null;
}

/** Whether a role may run a command. */
export interface Permission {
  /** The name of the role. */
  readonly role: string;
  /** The name of the command. */
  readonly command: string;
  /** Whether the role allows the command with its arguments. */
  readonly allowed: boolean;
  /** The role, the rule and its reason, in the words in which a listener refuses. */
  readonly because: string;
  /** The short text of the rule that decides; `null` if none does. */
  readonly rule: string | null;
  /** The place of that rule, as `FILE:LINE`. */
  readonly source: string | null;
  /** If it is refused: the rule that comes nearest to allowing it, with what differs. */
  readonly nearest: PermissionRule & { readonly differences: readonly Difference[] } | null;
}

/**
 * Finds a role by its name.
 *
 * @throws ArgumentError if there is none
 */
export function roleNamed(name: string, roles: ReadonlyMap<string, Role>): Role {
  const role = roles.get(name);
  if (role !== undefined) return role;
  const meant = nearest(name, [...roles.keys()]);
  throw new ArgumentError(
    `Role '${name}' not found${meant === undefined ? "" : `; did you mean '${meant}'?`}`,
  );
}

/** Returns what the rules of a role decide about a command. */
export function judgedPermission(role: Role, command: Judged): Permission {
  const verdict = judge(role, command);
  const { name } = role;
  if (verdict.allow) {
    const { text, source = null } = verdict.rule;
    const because = `role ${name}, rule ${quotedName(verdict.rule)}`;
    return { ...permission(role, command, "", true), because, rule: text, source };
  }
  const { because, rule } = verdict;
  const found = nearestRule(role, command);
  return {
    ...permission(role, command, ""),
    because,
    rule: rule?.text ?? null,
    source: rule?.source ?? null,
    nearest: found === undefined ? null : {
      rule: found.rule.text,
      source: found.rule.source ?? null,
      differences: found.differences,
    },
  };
}

/** Returns a decision that no rule makes. */
export function permission(
  { name: role }: Role,
  { name: command }: Judged,
  because: string,
  allowed = false,
): Permission {
  const text = `role ${role}: ${because}`;
  return { role, command, allowed, because: text, rule: null, source: null, nearest: null };
}
