/**
 * A role written as the configuration file has it.
 *
 * The text is read back as a role that decides the same for every command.
 *
 * @module
 */

import { ANYTHING, type ArgumentList } from "../policy/argument_list.ts";
import { pathText } from "../policy/argument_path.ts";
import type { Condition, Role, Rule } from "../policy/policy.ts";
import { list, quoted } from "./value_kinds.ts";

/** A role as lines of TOML, with its header. */
export function roleLines({ name, rules, events, administers }: Role): string[] {
  const lines = ["[[role]]", `name = ${quoted(name)}`];
  if (events !== undefined) lines.push(`events = ${list(events.globs)}`);
  if (administers) lines.push("administers = true");
  return [...lines, "rules = [", ...rules.map((rule) => `  ${ruleText(rule)},`), "]"];
}

function ruleText({ effect, commands, conditions, only, because }: Rule): string {
  const parts = [`${effect} = ${list(commands)}`];
  const wanted = conditions.flatMap(({ path, is }) =>
    typeof is === "string" ? [] : [`${quoted(pathText(path))} = ${list(is)}`]
  );
  if (wanted.length > 0) parts.push(`where = { ${wanted.join(", ")} }`);
  for (const is of ["present", "absent"] as const) {
    const paths = conditions.filter((each: Condition) => each.is === is);
    if (paths.length > 0) parts.push(`${is} = ${list(paths.map(({ path }) => pathText(path)))}`);
  }
  if (only !== undefined) parts.push(`only = ${onlyText(only)}`);
  if (because !== undefined) parts.push(`because = ${quoted(because)}`);
  return `{ ${parts.join(", ")} }`;
}

function onlyText({ entries }: ArgumentList): string {
  if (entries.every(([, globs]) => globs === ANYTHING)) {
    return list(entries.map(([path]) => pathText(path)));
  }
  return `{ ${
    entries.map(([path, globs]) => `${quoted(pathText(path))} = ${list(globs)}`).join(", ")
  } }`;
}
