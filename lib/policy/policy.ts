/**
 * Roles, whose rules decide which commands a client may run.
 *
 * The first rule that matches decides. A command that no rule matches is refused. Rules check the
 * decoded command, as QEMU reads it, so escapes and white space make no difference.
 *
 * @module
 */

import type { Cursor } from "../wire/cursor.ts";
import { argumentsOf, type Command } from "../wire/message.ts";
import type { ArgumentList, Outside } from "./argument_list.ts";
import { type Path, pathText, visitEnds } from "./argument_path.ts";
import type { EventFilter } from "./event_filter.ts";
import { hasWildcard, type Matcher, matcherOf } from "./glob.ts";
import { globListOf } from "./glob_list.ts";
import { shortened } from "../wire/shortened.ts";

/** The parts of a command that a role judges. */
export type Judged = Pick<Command, "name" | "argumentBytes">;

/** The name of a rule. */
export interface RuleName {
  /** The short text of the rule, such as `allow blockdev-add if driver=null-co`. */
  readonly text: string;
  /** The file and line of the rule, as `FILE:LINE`; `undefined` for a built-in role. */
  readonly source: string | undefined;
}

/** The decision on one command. */
export type Verdict =
  | {
    readonly allow: true;
    /** The rule that allows it. */
    readonly rule: RuleName;
  }
  | {
    readonly allow: false;
    /** The role, the rule and its reason, in words. */
    readonly because: string;
    /** The rule that refuses it, or does not allow its arguments; `undefined` when no rule matches. */
    readonly rule: RuleName | undefined;
  };

/**
 * A condition on the value at a path: a scalar that matches one of the globs, present, or absent.
 *
 * There may be several values at a path (`actions[*].type`). In an allow rule the condition must
 * hold for all of them, and there must be at least one. In a refuse rule it must hold for any.
 */
export interface Condition {
  /** The path. */
  readonly path: Path;
  /** The globs of a scalar, or whether the value must be present. */
  readonly is: readonly string[] | "present" | "absent";
}

/** A rule that allows or refuses commands. */
export interface Rule {
  /** The name for messages. */
  readonly name: RuleName;
  /** The effect on a command that matches. */
  readonly effect: "allow" | "refuse";
  /** The globs for the command's name, which must match one of them. */
  readonly commands: readonly string[];
  /** The conditions, all of which must hold. */
  readonly conditions: readonly Condition[];
  /** The only arguments that a matching command may have; `undefined` means any. */
  readonly only: ArgumentList | undefined;
  /** The reason for a refusal. */
  readonly because: string | undefined;
}

/** The parts of a role. */
export type RoleParts = Pick<Role, "name" | "rules" | "events" | "administers"> & {
  readonly leases?: Role["leases"];
};

/** The most characters of a rule's short text. */
const RULE_CHARS_LIMIT = 120;

/** The most names of commands for which rules are cached, since clients can invent names. */
const REMEMBERED_LIMIT = 1024;
/** The most characters of such a name; QEMU's longest has 38. */
const REMEMBERED_CHARS_LIMIT = 64;

/** A role: the permissions of clients. */
export class Role {
  /** The name, as in `role=`. */
  readonly name: string;
  /** The events that its clients may see; `undefined` means all. */
  readonly events: EventFilter | undefined;
  /** Whether its clients may administer qmpmux itself. */
  readonly administers: boolean;
  /** The globs of the commands that its clients may lease; none if they may not. */
  readonly leases: readonly string[];
  #rules: readonly Rule[] | (() => readonly Rule[]);
  readonly #byName = new Map<string, readonly Rule[]>();
  #index: RuleIndex | undefined;

  /** Creates a role of these parts; if `rules` is a function, it is called on first use. */
  constructor(
    { name, rules, events, administers, leases = [] }: Omit<RoleParts, "rules"> & {
      readonly rules: RoleParts["rules"] | (() => RoleParts["rules"]);
    },
  ) {
    this.name = name;
    this.#rules = rules;
    this.events = events;
    this.administers = administers;
    this.leases = leases;
  }

  /** The rules in their order. */
  get rules(): readonly Rule[] {
    if (typeof this.#rules === "function") this.#rules = this.#rules();
    return this.#rules;
  }

  /** Returns the rules whose globs match a command's name, in their order. */
  rulesFor(command: string): readonly Rule[] {
    const known = this.#byName.get(command);
    if (known) return known;
    this.#index ??= new RuleIndex(this.rules);
    const found = this.#index.rulesFor(command);
    if (command.length <= REMEMBERED_CHARS_LIMIT) {
      // Clear the cache: names that a client invents must not fill it permanently.
      if (this.#byName.size >= REMEMBERED_LIMIT) this.#byName.clear();
      this.#byName.set(command, found);
    }
    return found;
  }
}

/** Decides whether a client with this role may run a command with its arguments. */
export function judge(role: Role, command: Judged): Verdict {
  let why: { readonly rule: Rule; readonly text: string } | undefined;
  for (const rule of role.rulesFor(command.name)) {
    if (!isUnconditional(rule)) {
      if (!rule.conditions.every((condition) => holds(condition, rule.effect, command))) continue;
      const outside = rule.only?.firstOutside(argumentsOf(command), rule.effect === "allow");
      if (outside) {
        if (rule.effect === "allow") why = { rule, text: `: ${outsideText(outside)}` };
        continue;
      }
    }
    if (rule.effect === "allow") return { allow: true, rule: rule.name };
    why = { rule, text: rule.because === undefined ? "" : `: ${rule.because}` };
    break;
  }
  const shown = why ? `rule ${quotedName(why.rule.name)}${why.text}` : "no rule allows it";
  return { allow: false, because: `role ${role.name}, ${shown}`, rule: why?.rule.name };
}

/** Tells whether a client with this role may run all commands, including unknown ones. */
export function refusesNothing({ rules: [first] }: Role): boolean {
  return first?.effect === "allow" && first.commands.includes("*") && isUnconditional(first);
}

/** Returns the text of the error for a refused command. */
export function refusalText(command: Command, because: string): string {
  return `The command ${command.name} has been refused: ${because}`;
}

/** Tells whether this role refuses a command whatever its arguments are. */
export function refusesEntirely(role: Role, command: string): boolean {
  for (const rule of role.rulesFor(command)) {
    if (rule.effect === "allow") return false;
    if (isUnconditional(rule)) return true;
  }
  return true;
}

function isUnconditional({ conditions, only }: Rule): boolean {
  return conditions.length === 0 && only === undefined;
}

/** Tells whether a condition holds; in an allow rule, wildcards do not match `..`. */
export function holds(
  { path, is }: Condition,
  effect: Rule["effect"],
  command: Judged,
): boolean {
  const allows = effect === "allow";
  const globs = typeof is === "string" ? undefined : globListOf(is);
  const test = (end: Cursor | undefined): boolean => {
    if (globs === undefined) return (end !== undefined) === (is === "present");
    return end !== undefined && end.isScalar && globs.matches(end, allows);
  };
  let ends = 0;
  // An allow rule stops at the first value that fails, a refuse rule at the first that passes.
  const went = visitEnds(argumentsOf(command), path, (end) => {
    ends++;
    return test(end) === allows;
  });
  // An empty array has no values at the path.
  if (ends === 0) return is === "absent";
  return went === allows;
}

/** Returns the name of a rule in a sentence: `FILE:LINE (TEXT)`, or `'TEXT'` in a built-in role. */
export function quotedName({ text, source }: RuleName): string {
  return source === undefined ? `'${text}'` : `${source} (${text})`;
}

/** Names the argument that is not allowed; shortens its path, which a client chose. */
function outsideText({ path, known }: Outside): string {
  return `${known ? "the value of " : ""}${
    shortened(`argument ${pathText(path)}`, RULE_CHARS_LIMIT)
  } is not allowed`;
}

/** An index of rules by command; a name that is not in it is matched only against wildcards. */
class RuleIndex {
  readonly #rules: readonly Rule[];
  /** The indexes of the rules that have a command's full name. */
  readonly #exact = new Map<string, number[]>();
  readonly #wild: { readonly place: number; readonly matchers: readonly Matcher[] }[] = [];

  constructor(rules: readonly Rule[]) {
    this.#rules = rules;
    for (const [place, { commands }] of rules.entries()) {
      const matchers = commands.filter(hasWildcard).map(matcherOf);
      if (matchers.length > 0) this.#wild.push({ place, matchers });
      for (const name of commands) {
        const places = this.#exact.get(name);
        if (places) places.push(place);
        else this.#exact.set(name, [place]);
      }
    }
  }

  rulesFor(command: string): readonly Rule[] {
    const found = new Set(this.#exact.get(command));
    for (const { place, matchers } of this.#wild) {
      if (matchers.some((matches) => matches(command))) found.add(place);
    }
    return [...found].sort((a, b) => a - b).map((place) => this.#rules[place]!);
  }
}

/** Returns the short text of a rule: its effect, its commands and its conditions. */
export function ruleText(
  { effect, commands, conditions }: Pick<Rule, "effect" | "commands" | "conditions">,
): string {
  const wanted = conditions.map(({ path, is }) => {
    if (is === "present") return `${pathText(path)} is given`;
    if (is === "absent") return `${pathText(path)} is not given`;
    return `${pathText(path)}=${is.map(globText).join("|")}`;
  });
  const condition = wanted.length > 0 ? ` if ${wanted.join(" and ")}` : "";
  return shortened(`${effect} ${commands.join(", ")}${condition}`, RULE_CHARS_LIMIT);
}

/** Returns a glob for messages; a sequence of `?` is shown as a number of characters. */
export function globText(glob: string): string {
  if (glob === "") return '""';
  return /^\?{3,}\*$/.test(glob) ? `(${glob.length - 1} or more characters)` : glob;
}

/**
 * Returns the full name of a rule: `FILE:LINE (TEXT)`, or `role NAME: TEXT` in a built-in role.
 *
 * @param role the name of the role
 * @param rule the rule that decided; `undefined` when no rule matched
 */
export function ruleName(role: string, rule: RuleName | undefined): string {
  if (rule?.source === undefined) return `role ${role}: ${rule?.text ?? "no rule allows it"}`;
  return `${rule.source} (${rule.text})`;
}
