/**
 * What a client may run: roles, made of rules.
 *
 * Rules are tried in their order and the first that matches decides; where none
 * does, the command is refused. They look at the command as QEMU will read it,
 * decoded, so that no spelling passes that another does not.
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
import { RULE_CHARS_LIMIT, type RuleName } from "./rule_name.ts";
import { shortened } from "../wire/shortened.ts";

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
    /** The rule that refuses it, or does not allow its arguments; `undefined` where none matches. */
    readonly rule: RuleName | undefined;
  };

/**
 * What must be at a path: a scalar that matches a glob of the list, something, or nothing.
 *
 * Where a path has many ends (`actions[*].type`), a rule that allows asks it of each of them,
 * and of at least one; a rule that refuses asks whether there is one of which it holds.
 */
export interface Condition {
  /** Where. */
  readonly path: Path;
  /** What. */
  readonly is: readonly string[] | "present" | "absent";
}

/** One rule: a command that matches it is allowed, or refused. */
export interface Rule {
  /** The name of the rule, for people. */
  readonly name: RuleName;
  /** What it does. */
  readonly effect: "allow" | "refuse";
  /** Globs; the command's name must match one. */
  readonly commands: readonly string[];
  /** All of them must hold. */
  readonly conditions: readonly Condition[];
  /** With any argument outside this list the rule does not match; `undefined` lists all. */
  readonly only: ArgumentList | undefined;
  /** Why it refuses. */
  readonly because: string | undefined;
}

/** What a role is made of. */
export interface RoleParts {
  /** As `role=` names it. */
  readonly name: string;
  /** Tried in their order. */
  readonly rules: readonly Rule[];
  /** The events its clients may see; `undefined` is every one. */
  readonly events: EventFilter | undefined;
  /** May its clients administer qmpmux itself? */
  readonly administers: boolean;
}

/** A client can name commands without end: only so many are remembered, and no long ones. */
const REMEMBERED_LIMIT = 1024;
/** QEMU's longest name has 38 characters. */
const REMEMBERED_CHARS_LIMIT = 64;

/** What its clients may run and see. */
export class Role implements RoleParts {
  /** As `role=` names it. */
  readonly name: string;
  /** The events its clients may see; `undefined` is every one. */
  readonly events: EventFilter | undefined;
  /** May its clients administer qmpmux itself? */
  readonly administers: boolean;
  #rules: readonly Rule[] | (() => readonly Rule[]);
  readonly #byName = new Map<string, readonly Rule[]>();
  #index: RuleIndex | undefined;

  /** A role of these parts; rules that take time to make are made when they are asked for. */
  constructor(
    { name, rules, events, administers }: Omit<RoleParts, "rules"> & {
      readonly rules: RoleParts["rules"] | (() => RoleParts["rules"]);
    },
  ) {
    this.name = name;
    this.#rules = rules;
    this.events = events;
    this.administers = administers;
  }

  /** Tried in their order. */
  get rules(): readonly Rule[] {
    if (typeof this.#rules === "function") this.#rules = this.#rules();
    return this.#rules;
  }

  /** The rules that are about a command, in their order. */
  rulesFor(command: string): readonly Rule[] {
    const known = this.#byName.get(command);
    if (known) return known;
    this.#index ??= new RuleIndex(this.rules);
    const found = this.#index.rulesFor(command);
    if (command.length <= REMEMBERED_CHARS_LIMIT) {
      // Names that one client has made up must not slow down all others for good.
      if (this.#byName.size >= REMEMBERED_LIMIT) this.#byName.clear();
      this.#byName.set(command, found);
    }
    return found;
  }
}

/** Decides whether a client in this role may run this command, with these arguments. */
export function judge(role: Role, command: Command): Verdict {
  let why: { readonly rule: Rule; readonly text: string } | undefined;
  for (const rule of role.rulesFor(command.name)) {
    if (!isUnconditional(rule)) {
      if (!rule.conditions.every((condition) => holds(condition, rule, command))) continue;
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
  const shown = why ? `rule ${shownName(why.rule.name)}${why.text}` : "no rule allows it";
  return { allow: false, because: `role ${role.name}, ${shown}`, rule: why?.rule.name };
}

/** May a client in this role run everything, also what is new? */
export function refusesNothing({ rules: [first] }: Role): boolean {
  return first?.effect === "allow" && first.commands.includes("*") && isUnconditional(first);
}

/** What a client hears whose command is refused. */
export function refusalText(command: Command, because: string): string {
  return `The command ${command.name} has been refused: ${because}`;
}

/** Is there nothing a client in this role could give a command that would let it run? */
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

/**
 * Tells whether a condition of a rule holds. A rule that allows is strict with paths that
 * climb, one that refuses is not.
 */
function holds({ path, is }: Condition, { effect }: Rule, command: Command): boolean {
  const allows = effect === "allow";
  const globs = typeof is === "string" ? undefined : globListOf(is);
  const test = (end: Cursor | undefined): boolean => {
    if (globs === undefined) return (end !== undefined) === (is === "present");
    return end !== undefined && end.isScalar && globs.matches(end, allows);
  };
  let ends = 0;
  // A rule that allows asks it of all, one that refuses looks for one.
  const went = visitEnds(argumentsOf(command), path, (end) => {
    ends++;
    return test(end) === allows;
  });
  // No element at all: nothing is there.
  if (ends === 0) return is === "absent";
  return went === allows;
}

function shownName({ text, source }: RuleName): string {
  return source === undefined ? `'${text}'` : `${source} (${text})`;
}

/** Says which argument is not allowed. A client chose the name: a long one is cut. */
function outsideText({ path, known }: Outside): string {
  return `${known ? "the value of " : ""}${
    shortened(`argument ${pathText(path)}`, RULE_CHARS_LIMIT)
  } is not allowed`;
}

/** The rules of a role by the commands that they name: a new name is tried on wildcards alone. */
class RuleIndex {
  readonly #order = new Map<Rule, number>();
  readonly #exact = new Map<string, Rule[]>();
  readonly #wild: { readonly rule: Rule; readonly matchers: readonly Matcher[] }[] = [];

  constructor(rules: readonly Rule[]) {
    for (const [index, rule] of rules.entries()) {
      this.#order.set(rule, index);
      const matchers = rule.commands.filter(hasWildcard).map(matcherOf);
      if (matchers.length > 0) this.#wild.push({ rule, matchers });
      for (const name of new Set(rule.commands)) {
        const rules = this.#exact.get(name);
        if (rules) rules.push(rule);
        else this.#exact.set(name, [rule]);
      }
    }
  }

  /** Returns the rules that are about a command, in their order. */
  rulesFor(command: string): readonly Rule[] {
    const found = new Set(this.#exact.get(command));
    for (const { rule, matchers } of this.#wild) {
      if (matchers.some((matches) => matches(command))) found.add(rule);
    }
    return [...found].sort((a, b) => this.#order.get(a)! - this.#order.get(b)!);
  }
}
