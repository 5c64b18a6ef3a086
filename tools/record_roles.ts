/**
 * Writes down what the roles allow, for tests and for people: the table in
 * `tests/fixtures/verdicts.txt` and the lists in `docs/roles.md`.
 *
 *     tools/deno run -A tools/record_roles.ts
 *
 * @module
 */

import {
  OBSERVER_COMMANDS,
  OBSERVER_REFUSALS,
  READABLE_PROPERTIES,
} from "../lib/terms/observer.ts";
import { type Case, operatorRows } from "../lib/terms/operator.ts";
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
function grouped(pairs: readonly (readonly [key: string, value: string])[]): string {
  const groups = new Map<string, string[]>();
  for (const [key, value] of pairs) groups.set(key, [...groups.get(key) ?? [], value]);
  return [...groups].map(([key, values]) => `- ${key}: ${codes(values)}`).join("\n");
}

function argumentsText({ where = {}, only }: Case): string {
  return Object.entries(only).map(([path, any]) => {
    const values = where[path] ?? (any === "*" ? undefined : any);
    const list = Array.isArray(values) ? values : values === undefined ? [] : [String(values)];
    return list.length === 0 ? code(path) : `${code(path)} (${list.map(code).join(" or ")})`;
  }).join(", ");
}

function observer(): string {
  return [
    `Allowed: ${codes(OBSERVER_COMMANDS)}; ${code("qom-get")} of ${codes(READABLE_PROPERTIES)}.`,
    "Refused though they read, or seem to:",
    grouped(Object.entries(OBSERVER_REFUSALS).map(([name, because]) => [because, name])),
    "All else is refused.",
  ].join("\n\n");
}

function operator(): string {
  const rows = [...operatorRows()];
  const bare = rows.filter(([, { cases: [way] }]) => way && Object.keys(way.only).length === 0);
  const refused = rows.filter(([, { cases }]) => cases.length === 0);
  const others = rows.filter((row) => !bare.includes(row) && !refused.includes(row));
  const lines = others.flatMap(([name, { cases, refused, otherwise }]) => [
    ...cases.map((way) => `- ${code(name)}: ${argumentsText(way)}`),
    ...Object.entries(Object.groupBy(Object.entries(refused), ([, because]) => because)).map(
      ([because, list]) => `  - not ${codes(list!.map(([path]) => path))}: ${because}`,
    ),
    ...(otherwise === undefined ? [] : [`  - nothing else: ${otherwise}`]),
  ]);
  return [
    `Commands without arguments: ${codes(bare.map(([name]) => name))}.`,
    "Commands with no other arguments than these:",
    lines.join("\n"),
    "Refused, whatever the arguments:",
    grouped(refused.map(([name, { otherwise }]) => [otherwise!, name])),
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
