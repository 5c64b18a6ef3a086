/**
 * The rule that comes nearest to allowing a command that a role refuses, and what it misses.
 *
 * Only rules that name the command are compared. The nearest has the fewest differences; of two
 * that are equally near, the first counts.
 *
 * @module
 */

import { globMatches } from "./glob.ts";
import { globListOf } from "./glob_list.ts";
import { pathText, visitEnds } from "./argument_path.ts";
import { type ShownValue, valueAt } from "./argument_list.ts";
import {
  type Condition,
  globText,
  holds,
  type Judged,
  type Role,
  type Rule,
  type RuleName,
} from "./policy.ts";
import { argumentsOf } from "../wire/message.ts";
import { shortened } from "../wire/shortened.ts";

/** A difference between a command and what a rule allows. */
export interface Difference {
  /** The path of the argument. */
  readonly argument: string;
  /** The difference, as a phrase behind the argument. */
  readonly text: string;
}

/** A rule that nearly allows a command. */
export interface NearestRule {
  /** The rule. */
  readonly rule: RuleName;
  /** The differences; none if the rule would allow the command, but an earlier one refuses it. */
  readonly differences: readonly Difference[];
}

/** The most rules that are compared. */
const RULES_LIMIT = 64;
/** The most differences of a rule that are listed. */
const DIFFERENCES_LIMIT = 16;
/** The most characters of a path, and of the values that a rule expects. */
const CHARS_LIMIT = 120;

/**
 * Finds the rule that comes nearest to allowing a command.
 *
 * @param command a command that the role refuses
 * @returns `undefined` if no rule that allows something names the command
 */
export function nearestRule(role: Role, command: Judged): NearestRule | undefined {
  let nearest: NearestRule | undefined;
  const allowing = role.rulesFor(command.name).filter(({ effect }) => effect === "allow");
  for (const rule of allowing.slice(0, RULES_LIMIT)) {
    const differences = differencesOf(rule, command);
    if (nearest && nearest.differences.length <= differences.length) continue;
    nearest = { rule: rule.name, differences };
  }
  return nearest;
}

function differencesOf({ conditions, only }: Rule, command: Judged): readonly Difference[] {
  const missed = conditions.filter((condition) => !holds(condition, "allow", command));
  const found = missed.slice(0, DIFFERENCES_LIMIT).map((each) => differenceOf(each, command));
  for (const { path, known, value } of only?.everyOutside(argumentsOf(command), true) ?? []) {
    if (found.length >= DIFFERENCES_LIMIT) break;
    const argument = shortened(pathText(path), CHARS_LIMIT);
    if (found.some((other) => other.argument === argument)) continue;
    const globs = known ? only!.globsOf(path) : [];
    const text = known ? unequal(value, globs) : "is given, but the rule does not list it";
    found.push({ argument, text });
  }
  return found;
}

/** Returns the difference of a condition that does not hold. */
function differenceOf({ path, is }: Condition, command: Judged): Difference {
  const argument = shortened(pathText(path), CHARS_LIMIT);
  if (is === "absent") return { argument, text: "is given, but must not be" };
  const wanted = is === "present" ? "" : `; expected ${globsText(is)}`;
  let text = `is missing${wanted}`;
  if (is === "present") return { argument, text };
  visitEnds(argumentsOf(command), path, (end) => {
    if (end === undefined) return false;
    if (end.isScalar && globListOf(is).matches(end, true)) return true;
    text = unequal(valueAt(end), is);
    return false;
  });
  return { argument, text };
}

/** Returns the text for a value that matches none of the globs. */
function unequal({ text, scalar }: ShownValue, globs: readonly string[]): string {
  if (globs.length === 0) return `has the value ${text}, which is not allowed`;
  const climbs = scalar !== undefined && globs.some((glob) => globMatches(glob, scalar));
  const because = climbs ? ": wildcards never match a .. component" : "";
  return `is ${text}, which does not match ${globsText(globs)}${because}`;
}

function globsText(globs: readonly string[]): string {
  return shortened(globs.map(globText).join(" or "), CHARS_LIMIT);
}
