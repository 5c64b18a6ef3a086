/**
 * What a client may run: roles, made of rules.
 *
 * Rules are tried in their order and the first that matches decides; where none
 * does, the command is refused. They look at the command as QEMU will read it,
 * decoded, so that no spelling passes that another does not.
 *
 * @module
 */

import type { Command } from "../wire/message.ts";
import type { Value } from "../wire/value.ts";
import type { ArgumentList, Matching, Outside } from "./argument_list.ts";
import { argumentsOf, type Path, pathText, valuesAt } from "./argument_path.ts";
import type { EventFilter } from "./event_filter.ts";
import { globAllows, globMatches } from "./glob.ts";
import { cut, type RuleName } from "./rule_name.ts";

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
    const found = this.rules.filter(({ commands }) =>
      commands.some((glob) => globMatches(glob, command))
    );
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
  let args: Value | undefined;
  let why: { readonly rule: Rule; readonly text: string } | undefined;
  for (const rule of role.rulesFor(command.name)) {
    if (!isUnconditional(rule)) {
      args ??= argumentsOf(command);
      if (!rule.conditions.every((condition) => holds(condition, rule, args!))) continue;
      const outside = rule.only?.firstOutside(args, matchingOf(rule));
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

/** Who allows is strict with paths that climb, who refuses is not. */
function matchingOf({ effect }: Rule): Matching {
  return effect === "allow" ? globAllows : globMatches;
}

function holds({ path, is }: Condition, rule: Rule, args: Value): boolean {
  const ends = [...valuesAt(args, path)];
  const matches = matchingOf(rule);
  const test = (end: string | boolean): boolean => {
    if (is === "present") return end !== false;
    if (is === "absent") return end === false;
    return typeof end === "string" && is.some((glob) => matches(glob, end));
  };
  // No element at all: nothing is there.
  if (ends.length === 0) return is === "absent";
  return rule.effect === "allow" ? ends.every(test) : ends.some(test);
}

function shownName({ text, source }: RuleName): string {
  return source === undefined ? `'${text}'` : `${source} (${text})`;
}

/** Says which argument is not allowed. A client chose the name: a long one is cut. */
function outsideText({ path, known }: Outside): string {
  return `${known ? "the value of " : ""}${cut(`argument ${pathText(path)}`)} is not allowed`;
}
