/**
 * Hints behind the line that is typed: the arguments that are missing.
 *
 * @module
 */

import type { Introspection, SchemaMember } from "../../client/introspection.ts";
import { printable } from "../../wire/printable.ts";
import { givenIn } from "./argument_check.ts";
import { kindText, SchemaWalk } from "./schema_walk.ts";
import { wordsOf } from "./words.ts";

/** The most characters of a hint; a terminal has room for fewer. */
const HINT_LENGTH = 1000;

/** Returns the hint behind a line; empty if nothing is missing, or nothing is known. */
export function hintFor(schema: Introspection | undefined, line: string): string {
  const [first, ...words] = wordsOf(line);
  const command = first === undefined ? undefined : schema?.commands.get(first.text);
  if (
    schema === undefined || command === undefined || words.some(({ text }) => /^[{@]/.test(text))
  ) {
    return "";
  }
  const last = words.at(-1);
  // The begun name of an argument says nothing yet.
  const isBegun = last !== undefined && !last.text.includes("=") && !line.endsWith(" ");
  if (isBegun || last?.isOpen) return "";
  const walk = new SchemaWalk(schema, givenIn(words.map(({ text }) => text)));
  const textOf = ([path, { type }]: readonly [string, SchemaMember]): string =>
    `${path}=${kindText(walk.formsOf(type))}`;
  const missing = walk.missing(command.arguments).map(textOf);
  const optional = words.length > 0 ? [] : walk.formsOf(command.arguments)
    .flatMap((form) => form.kind === "object" ? walk.membersOf(form, "").members : [])
    .filter(({ isOptional }) => isOptional)
    .map((member) => `[${textOf([member.name, member])}]`);
  const text = [...missing, ...optional].join(" ").slice(0, HINT_LENGTH);
  if (text === "") return "";
  return printable(line.endsWith(" ") ? text : ` ${text}`);
}
