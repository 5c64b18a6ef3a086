/**
 * Names of rules for refusals and records: a short text, and the line of the rule.
 *
 * @module
 */

import { type Path, pathText } from "./argument_path.ts";
import { shortened } from "../wire/shortened.ts";

/** The name of a rule. */
export interface RuleName {
  /** The rule in short, such as `allow blockdev-add if driver=null-co`. */
  readonly text: string;
  /** The file and line of the rule, as `FILE:LINE`; `undefined` for a built-in role. */
  readonly source: string | undefined;
}

/** The parts of a rule that are in its text. */
export interface RuleParts {
  /** The effect: `allow` or `refuse`. */
  readonly effect: string;
  /** Globs of commands. */
  readonly commands: readonly string[];
  /** Conditions on arguments, all of which must hold. */
  readonly conditions: readonly {
    readonly path: Path;
    readonly is: readonly string[] | "present" | "absent";
  }[];
}

/** The most characters of a text. */
export const RULE_CHARS_LIMIT = 120;

/** Returns a rule as a short text: its effect, its commands and its conditions. */
export function ruleText({ effect, commands, conditions }: RuleParts): string {
  const wanted = conditions.map(({ path, is }) => {
    if (is === "present") return `${pathText(path)} is given`;
    if (is === "absent") return `${pathText(path)} is not given`;
    return `${pathText(path)}=${is.map(valueText).join("|")}`;
  });
  const condition = wanted.length > 0 ? ` if ${wanted.join(" and ")}` : "";
  return shortened(`${effect} ${commands.join(", ")}${condition}`, RULE_CHARS_LIMIT);
}

/** Returns a glob for messages: many `?` are counted. */
function valueText(glob: string): string {
  if (glob === "") return '""';
  return /^\?{3,}\*$/.test(glob) ? `(${glob.length - 1} or more characters)` : glob;
}

/**
 * Returns the full name of a rule: `FILE:LINE (TEXT)`, or `role NAME: TEXT` in a built-in role.
 *
 * @param role the name of the role
 * @param rule the rule that decided; `undefined` when none matched
 */
export function ruleName(role: string, rule: RuleName | undefined): string {
  if (rule?.source === undefined) return `role ${role}: ${rule?.text ?? "no rule allows it"}`;
  return `${rule.source} (${rule.text})`;
}
