/**
 * A role as plain values, as a file has it, read into a checked one.
 *
 *     { name, events: [GLOB…], administers, rules: [
 *       { allow: GLOB or [GLOB…],          // or refuse:
 *         where: { PATH: VALUE or [VALUE…] }, present: [PATH…], absent: [PATH…],
 *         only: [PATH…] or { PATH: VALUE or [VALUE…] }, because: "…" } ] }
 *
 * @module
 */

import { UsageError } from "./address.ts";
import { ANYTHING, ArgumentList } from "./argument_list.ts";
import { type Path, readPath, valueText } from "./argument_path.ts";
import { EventFilter } from "./event_filter.ts";
import { type Condition, Role, type Rule } from "./policy.ts";

const ROLE_KEYS = ["name", "rules", "events", "administers"];
const RULE_KEYS = ["allow", "refuse", "where", "present", "absent", "only", "because"];

/** What a rule's reason, or a glob, may have in characters. */
const TEXT_LIMIT = 256;

type Table = Readonly<Record<string, unknown>>;

/**
 * Reads a role.
 *
 * @param value plain values: objects, arrays, strings, numbers, booleans
 * @param where what the messages begin with, such as the file's name and line
 * @throws UsageError where it is none; the message names what is wrong and the remedy
 */
export function readForm(value: unknown, where: string): Role {
  const form = tableOf(value, where, ROLE_KEYS);
  const name = form.name;
  if (typeof name !== "string" || !/^[A-Za-z0-9._-]{1,64}$/.test(name)) {
    throw new UsageError(
      `${where}: name is ${
        shown(name)
      }; a role's name has 1 to 64 letters, digits, ".", "_" or "-"`,
    );
  }
  const place = `${where}: role ${name}`;
  if (!Array.isArray(form.rules)) {
    throw new UsageError(`${place}: rules is ${shown(form.rules)}; write a list of rules`);
  }
  const administers = form.administers ?? false;
  if (typeof administers !== "boolean") {
    throw new UsageError(
      `${place}: administers is ${shown(administers)}; write true or false`,
    );
  }
  return new Role({
    name,
    rules: form.rules.map((rule, index) => ruleOf(rule, `${place}: rule ${index + 1}`)),
    events: form.events === undefined ? undefined : eventsOf(form.events, place),
    administers,
  });
}

function ruleOf(value: unknown, where: string): Rule {
  const form = tableOf(value, where, RULE_KEYS);
  const { allow, refuse, because } = form;
  if ((allow === undefined) === (refuse === undefined)) {
    throw new UsageError(
      `${where}: write either allow = "GLOB" or refuse = "GLOB", with the name of a command`,
    );
  }
  const effect = refuse === undefined ? "allow" : "refuse";
  const commands = textsOf(form[effect], `${where}: ${effect}`, "a command, with * and ?");
  if (commands.length === 0) {
    throw new UsageError(`${where}: ${effect}: the list is empty; write a command, with * and ?`);
  }
  if (because !== undefined && (!isText(because) || effect === "allow")) {
    throw new UsageError(
      `${where}: because is ${shown(because)}; write a short text, in a rule that refuses`,
    );
  }
  const conditions: Condition[] = form.where === undefined
    ? []
    : Object.entries(tableOf(form.where, `${where}: where`)).map(([path, wanted]) => ({
      path: pathOf(path, where),
      is: valuesOf(wanted, `${where}: where: ${path}`),
    }));
  for (const is of ["present", "absent"] as const) {
    for (const text of textsOf(form[is] ?? [], `${where}: ${is}`, "an argument")) {
      conditions.push({ path: pathOf(text, where), is });
    }
  }
  return {
    effect,
    commands,
    conditions,
    only: form.only === undefined ? undefined : listOf(form.only, where),
    because,
  };
}

function listOf(value: unknown, where: string): ArgumentList {
  if (!Array.isArray(value) && typeof value === "object") {
    return new ArgumentList(
      Object.entries(tableOf(value, `${where}: only`)).map(([path, values]) => [
        pathOf(path, where),
        valuesOf(values, `${where}: only: ${path}`),
      ]),
    );
  }
  const paths = textsOf(value, `${where}: only`, "an argument");
  return new ArgumentList(paths.map((path) => [pathOf(path, where), ANYTHING]));
}

function tableOf(value: unknown, where: string, known?: readonly string[]): Table {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new UsageError(`${where}: ${shown(value)} is no table; write key = value pairs`);
  }
  const unknown = known && Object.keys(value).find((key) => !known.includes(key));
  if (unknown !== undefined) {
    throw new UsageError(
      `${where}: there is no key "${unknown}"; there are ${known!.join(", ")}`,
    );
  }
  return value as Table;
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value.length > 0 && value.length <= TEXT_LIMIT;
}

function textsOf(value: unknown, where: string, what: string): string[] {
  const texts: unknown[] = Array.isArray(value) ? value : [value];
  const wrong = texts.find((text) => !isText(text));
  if (wrong !== undefined || texts.includes(undefined)) {
    throw new UsageError(
      `${where}: ${shown(wrong)} is not possible; write ${what}, in 1 to ${TEXT_LIMIT} characters`,
    );
  }
  return texts as string[];
}

function valuesOf(value: unknown, where: string): string[] {
  const values: unknown[] = Array.isArray(value) ? value : [value];
  if (values.length === 0) throw new UsageError(`${where}: the list is empty; write a value`);
  return values.map((one) => {
    const scalar = typeof one === "boolean" || typeof one === "bigint" ||
      (typeof one === "number" && Number.isFinite(one)) ||
      (typeof one === "string" && one.length <= TEXT_LIMIT);
    if (!scalar) {
      throw new UsageError(
        `${where}: ${shown(one)} is not possible; write a text of at most ${TEXT_LIMIT} ` +
          "characters, with * and ?, a number, true or false",
      );
    }
    return worded(() => valueText(one as string | number | bigint | boolean), where);
  });
}

function pathOf(text: string, where: string): Path {
  const path = worded(() => readPath(text), where);
  // It is the whole command's: no argument of QEMU's is called that, and a rule must not miss by it.
  return path[0] === "arguments" && path.length > 1 ? path.slice(1) : path;
}

function eventsOf(value: unknown, where: string): EventFilter {
  // An empty list shows no event at all.
  const globs = textsOf(value, `${where}: events`, "the name of an event, with * and ?");
  return worded(() => new EventFilter(globs), where);
}

/** A refusal of a lower room, with the place in front. */
function worded<T>(read: () => T, where: string): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof RangeError) throw new UsageError(`${where}: ${error.message}`);
    throw error;
  }
}

function shown(value: unknown): string {
  if (value === undefined) return "missing";
  const text = typeof value === "bigint" || typeof value === "number"
    ? String(value)
    : JSON.stringify(value, (_, inner) => typeof inner === "bigint" ? String(inner) : inner);
  return text.length > 60 ? `${text.slice(0, 59)}…` : text;
}
