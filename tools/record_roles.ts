/**
 * Writes down what the roles allow, for tests and for people: the table in
 * `tests/fixtures/verdicts.txt` and the lists in `docs/roles.md`.
 *
 *     tools/deno run -A tools/record_roles.ts
 *
 * @module
 */

import { pathText } from "../lib/policy/argument_path.ts";
import { OBSERVER_COMMANDS, READABLE_PROPERTIES } from "../lib/policy/observer_role.ts";
import { operatorRows } from "../lib/policy/operator_role.ts";
import type { Rule } from "../lib/policy/policy.ts";
import { ROLES } from "../lib/policy/roles.ts";
import { verdictTable } from "../tests/support/verdicts.ts";

/** The table that the tests compare with. */
export const VERDICTS = new URL("../tests/fixtures/verdicts.txt", import.meta.url);
/** The page of which parts are written here. */
export const PAGE = new URL("../docs/roles.md", import.meta.url);

function code(name: string): string {
  return `\`${name}\``;
}

function codes(names: readonly string[]): string {
  return names.map(code).join(", ");
}

/** Lines `- KEY: VALUE, VALUE…` for values that share a key. */
function grouped(pairs: readonly (readonly [key: string, value: string])[]): string[] {
  const groups = new Map<string, string[]>();
  for (const [key, value] of pairs) groups.set(key, [...groups.get(key) ?? [], value]);
  return [...groups].map(([key, values]) => `- ${codes(values)}: ${key}`);
}

function nameOf({ name }: Rule): string {
  return name.text;
}

function reasonOf({ because }: Rule): string {
  return because!;
}

/** The arguments that a rule allows; with each its values where not all are. */
function argumentsText({ conditions, only }: Rule): string {
  return only!.entries.map(([path, globs]) => {
    const text = pathText(path);
    const condition = conditions.find((each) => pathText(each.path) === text);
    const values = Array.isArray(condition?.is) ? condition.is : globs.includes("*") ? [] : globs;
    return values.length === 0 ? code(text) : `${code(text)} (${values.map(code).join(" or ")})`;
  }).join(", ");
}

function observer(): string {
  const { rules } = ROLES.get("observer")!;
  const refused = rules.filter(({ effect }) => effect === "refuse");
  return [
    `Allowed with any arguments: ${codes(OBSERVER_COMMANDS)}.`,
    `Allowed: ${code("qom-get")} with ${codes(["path", "property"])}, which may be ` +
    `${READABLE_PROPERTIES.map(code).join(" or ")}.`,
    "Refused, although they read or seem to:",
    grouped(refused.map((rule) => [reasonOf(rule), nameOf(rule)])).join("\n"),
    "Everything else is refused.",
  ].join("\n\n");
}

function operator(): string {
  const role = ROLES.get("operator")!;
  const rows = [...operatorRows().keys()].map((name) => role.rulesFor(name));
  const bare = rows.filter(([rule]) => rule!.only?.entries.length === 0);
  const refused = rows.filter((rules) => rules.every(({ effect }) => effect === "refuse"));
  const others = rows.filter((rules) => !bare.includes(rules) && !refused.includes(rules));
  const lines = others.flatMap((rules) => [
    ...rules.filter(({ effect }) => effect === "allow").map((rule) =>
      `- ${code(nameOf(rule))}: ${argumentsText(rule)}`
    ),
    ...grouped(
      rules.filter(({ effect }) => effect === "refuse").map((rule) => [
        reasonOf(rule),
        nameOf(rule),
      ]),
    ).map((line) => `  ${line}`),
  ]);
  return [
    `Commands without arguments: ${codes(bare.flat().map(nameOf))}.`,
    "Commands with only these arguments:",
    lines.join("\n"),
    "Refused, whatever the arguments:",
    grouped(refused.flat().map((rule) => [reasonOf(rule), nameOf(rule)])).join("\n"),
  ].join("\n\n");
}

/** The page with its parts written anew. */
export function writtenPage(page: string): string {
  const parts = { observer, operator };
  return Object.entries(parts).reduce((text, [name, part]) => {
    const [begin, end] = [`<!-- ${name}: made by tools/record_roles.ts -->`, `<!-- /${name} -->`];
    const [before, rest = ""] = text.split(begin);
    const [, after = ""] = rest.split(end);
    return `${before}${begin}\n\n${part()}\n\n${end}${after}`;
  }, page);
}

if (import.meta.main) {
  Deno.writeTextFileSync(VERDICTS, verdictTable());
  Deno.writeTextFileSync(PAGE, writtenPage(Deno.readTextFileSync(PAGE)));
}
