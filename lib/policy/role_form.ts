/**
 * The reader of a role from the plain values of a file.
 *
 *     { name, events: [GLOB…], administers, lease: true or [GLOB…], rules: [
 *       { allow: GLOB or [GLOB…],          // or refuse:
 *         where: { PATH: VALUE or [VALUE…] }, present: [PATH…], absent: [PATH…],
 *         only: [PATH…] or { PATH: VALUE or [VALUE…] }, because: "…" } ] }
 *
 * It reports all problems at once, each with the part of the role that contains it.
 *
 * @module
 */

import { UsageError } from "./usage_error.ts";
import { ANYTHING, ArgumentList } from "./argument_list.ts";
import { type Path, readPath, valueText } from "./argument_path.ts";
import { EventFilter, misspelt } from "./event_filter.ts";
import { type Condition, Role, type Rule, ruleText } from "./policy.ts";
import { LeaseScope } from "./lease_scope.ts";
import { instead } from "./suggestion.ts";
import { shortened } from "../wire/shortened.ts";

const ROLE_KEYS = ["name", "rules", "events", "administers", "lease"];
const RULE_KEYS = ["allow", "refuse", "where", "present", "absent", "only", "because"];

/** The most characters of a reason, a glob or another text. */
const TEXT_LIMIT = 256;
/** The problems of a role that are reported at most; what follows is not read. */
const PROBLEMS_LIMIT = 1000;

/** A part of a role: a key, the index of a rule, or `undefined` for the whole role. */
export type RolePart = string | number | undefined;

/** A problem in a role. */
export interface RoleProblem {
  /** The part that contains the problem. */
  readonly part: RolePart;
  /** The message, with the name of the role and the number of the rule. */
  readonly text: string;
}

/** The result of reading a role. */
export interface ReadForm {
  /** The name, even an invalid one; `undefined` if it is not a string. */
  readonly name: string | undefined;
  /** The role; `undefined` when there are problems. */
  readonly role: Role | undefined;
  /** All problems, up to a thousand. */
  readonly problems: readonly RoleProblem[];
}

type Table = Readonly<Record<string, unknown>>;

/**
 * Reads a role.
 *
 * @param value plain values: objects, arrays, strings, numbers, booleans
 * @param sourceOf returns the place of the rule with this index, as `FILE:LINE`
 */
export function readForm(
  value: unknown,
  sourceOf: (rule: number) => string | undefined = () => undefined,
): ReadForm {
  const problems: RoleProblem[] = [];
  let place = "role";
  const attempt = <T>(part: RolePart, where: string, read: () => T): T | undefined => {
    if (problems.length >= PROBLEMS_LIMIT) return undefined;
    try {
      return read();
    } catch (error) {
      if (!(error instanceof UsageError) && !(error instanceof RangeError)) throw error;
      problems.push({ part, text: `${place}: ${where}${error.message}` });
      return undefined;
    }
  };
  const form = attempt(undefined, "", () => tableOf(value)) ?? {};
  const name = typeof form.name === "string" ? form.name : undefined;
  const parts = (): Omit<ConstructorParameters<typeof Role>[0], "name"> => {
    for (const key of unknownKeys(form, ROLE_KEYS)) {
      attempt(key, "", () => refuseKey(key, ROLE_KEYS));
    }
    const rules = attempt("rules", "", () => listOf(form.rules, "rules", "a list of rules")) ?? [];
    return {
      rules: rules.flatMap((rule, index) =>
        ruleOf(
          rule,
          sourceOf(index),
          (read) => attempt(index, `rule ${index + 1}: `, read),
        ) ?? []
      ),
      events: form.events === undefined
        ? undefined
        : attempt("events", "", () => eventsOf(form.events)),
      administers: attempt("administers", "", () => switchOf(form.administers ?? false)) ?? false,
      leases: attempt("lease", "", () => leasesOf(form.lease)) ?? [],
    };
  };
  if (problems.length === 0 && attempt("name", "", () => checkName(form.name))) {
    place = `role ${name}`;
  }
  const read = problems.some(({ part }) => part === undefined) ? undefined : parts();
  const role = problems.length === 0 ? new Role({ name: name!, ...read! }) : undefined;
  return { name, role, problems };
}

/** Reads a rule; `attempt` reads a part of it and records a problem if there is one. */
function ruleOf(
  value: unknown,
  source: string | undefined,
  attempt: <T>(read: () => T) => T | undefined,
): Rule | undefined {
  const form = attempt(() => tableOf(value));
  if (form === undefined) return undefined;
  const unknown = unknownKeys(form, RULE_KEYS);
  for (const key of unknown) attempt(() => refuseKey(key, RULE_KEYS));
  const { allow, refuse, because } = form;
  const effect = refuse === undefined ? "allow" : "refuse";
  const commands = attempt(() => {
    // An unknown key, already reported, may be a misspelt `allow` or `refuse`.
    if (allow === undefined && refuse === undefined && unknown.length > 0) return [];
    if ((allow === undefined) === (refuse === undefined)) {
      throw new UsageError('expected either allow = "GLOB" or refuse = "GLOB", with a command');
    }
    const globs = textsOf(form[effect], effect, "a command, with * and ?");
    if (globs.length === 0) throw wrong([], effect, "at least one command, with * and ?");
    return globs;
  }) ?? [];
  attempt(() => {
    if (because === undefined || (isText(because) && effect === "refuse")) return;
    throw wrong(because, "because", "a short text, in a refuse rule");
  });
  const conditions: Condition[] = [];
  const wanted = attempt(() => tableOf(form.where ?? {}, "where")) ?? {};
  for (const [path, values] of Object.entries(wanted)) {
    attempt(() => conditions.push({ path: pathOf(path), is: valuesOf(values, `where.${path}`) }));
  }
  for (const is of ["present", "absent"] as const) {
    attempt(() => {
      for (const text of textsOf(form[is] ?? [], is, "an argument")) {
        conditions.push({ path: pathOf(text), is });
      }
    });
  }
  const only = form.only === undefined ? undefined : attempt(() => argumentsOf(form.only));
  return {
    name: { text: ruleText({ effect, commands, conditions }), source },
    effect,
    commands,
    conditions,
    only,
    because: because as string | undefined,
  };
}

function argumentsOf(value: unknown): ArgumentList {
  if (!Array.isArray(value) && typeof value === "object") {
    return new ArgumentList(
      Object.entries(tableOf(value, "only")).map(([path, values]) => [
        pathOf(path),
        valuesOf(values, `only.${path}`),
      ]),
    );
  }
  const paths = textsOf(value, "only", "an argument");
  return new ArgumentList(paths.map((path) => [pathOf(path), ANYTHING]));
}

function checkName(name: unknown): true {
  if (typeof name === "string" && /^[A-Za-z0-9._-]{1,64}$/.test(name)) return true;
  throw wrong(name, "name", '1 to 64 letters, digits, ".", "_" or "-"');
}

/** Returns the error for an invalid or missing value of a key. */
function wrong(value: unknown, key: string, expected: string): UsageError {
  return new UsageError(
    value === undefined
      ? `${key} is missing: expected ${expected}`
      : `invalid value ${shown(value)} for ${key}: expected ${expected}`,
  );
}

function unknownKeys(form: Table, known: readonly string[]): string[] {
  return Object.keys(form).filter((key) => !known.includes(key));
}

function refuseKey(key: string, known: readonly string[]): never {
  throw new UsageError(`unknown key ${shown(key)}${instead(key, known)}`);
}

function tableOf(value: unknown, key?: string): Table {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Table;
  const expected = "a table of key = value pairs";
  throw key === undefined
    ? new UsageError(`invalid value ${shown(value)}: expected ${expected}`)
    : wrong(value, key, expected);
}

function listOf(value: unknown, key: string, expected: string): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw wrong(value, key, expected);
}

function switchOf(value: unknown): boolean {
  if (typeof value === "boolean") return value;
  throw wrong(value, "administers", "true or false");
}

/** Returns the globs of the commands that a role may lease. */
function leasesOf(value: unknown): readonly string[] {
  if (value === undefined || value === false) return [];
  if (value === true) return ["*"];
  const expected = "true, false or a list of commands, with * and ?";
  if (!Array.isArray(value)) throw wrong(value, "lease", expected);
  return new LeaseScope(textsOf(value, "lease", "a command, with * and ?")).globs;
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value.length > 0 && value.length <= TEXT_LIMIT;
}

function textsOf(value: unknown, key: string, expected: string): string[] {
  const texts: unknown[] = Array.isArray(value) ? value : [value];
  const at = texts.findIndex((text) => !isText(text));
  if (at >= 0) throw wrong(texts[at], key, `${expected}, in 1 to ${TEXT_LIMIT} characters`);
  return texts as string[];
}

function valuesOf(value: unknown, key: string): string[] {
  const values: unknown[] = Array.isArray(value) ? value : [value];
  if (values.length === 0) throw wrong(value, key, "at least one value");
  return values.map((one) => {
    const scalar = typeof one === "boolean" || typeof one === "bigint" ||
      (typeof one === "number" && Number.isFinite(one)) ||
      (typeof one === "string" && one.length <= TEXT_LIMIT);
    if (scalar) return valueText(one as string | number | bigint | boolean);
    const expected = `a text of at most ${TEXT_LIMIT} characters, with * and ?, a number, ` +
      "true or false";
    throw wrong(one, key, expected);
  });
}

function pathOf(text: string): Path {
  const path = readPath(text);
  // Accept a path that begins with `arguments`: no argument of QEMU has this name.
  return path[0] === "arguments" && path.length > 1 ? path.slice(1) : path;
}

function eventsOf(value: unknown): EventFilter {
  // An empty list is valid and matches no events.
  const globs = textsOf(value, "events", "the name of an event, with * and ?");
  const problem = globs.map(misspelt).find((text) => text !== undefined);
  if (problem !== undefined) throw new UsageError(`events: ${problem}`);
  try {
    return new EventFilter(globs);
  } catch (error) {
    if (error instanceof RangeError) throw new UsageError(`events: ${error.message}`);
    throw error;
  }
}

function shown(value: unknown): string {
  if (value === undefined) return "nothing";
  const text = typeof value === "bigint" || typeof value === "number"
    ? String(value)
    : JSON.stringify(value, (_, inner) => typeof inner === "bigint" ? String(inner) : inner);
  return shortened(text, 60);
}
