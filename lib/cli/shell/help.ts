/**
 * The help of the shell: its own commands, and QEMU's commands and events from the schema.
 *
 * @module
 */

import type { Introspection, Marks, SchemaMember, SchemaType } from "../../client/introspection.ts";
import { nearest } from "../../policy/suggestion.ts";
import { printable } from "../../wire/printable.ts";
import { givenIn } from "./argument_check.ts";
import { OWN_COMMANDS } from "./own_commands.ts";
import { kindText, SchemaWalk } from "./schema_walk.ts";
import type { Outcome, Session } from "./session.ts";
import { LineError } from "./words.ts";

/** The most lines of help; the longest of QEMU's has fewer. */
const LINES_LIMIT = 400;

/** The milliseconds for the schema. */
const PATIENCE_MS = 10_000;

/** The levels of nested objects that are explained. */
const DEPTH = 2;

/** The keys and forms of a line, below the list of commands. */
const NOTES: readonly string[] = [
  "COMMAND key=value key.member=value   run a command; Tab completes, a hint shows what is missing",
  "{   ACTION...   }                    run several actions as one transaction",
  "hmp [LINE]                           the human monitor, for a line or until qmp",
  "Ctrl-C gives up waiting, Ctrl-D leaves.",
];

/**
 * Explains the shell, or a command, or an event.
 *
 * @param text empty; or a name, with arguments that select the variant of a union
 * @param at the place of the text in the line
 * @throws LineError if the name is unknown
 */
export async function helpOn(session: Session, text: string, at: number): Promise<Outcome> {
  const { view } = session;
  const [name, ...words] = text.split(/\s+/);
  if (!name) {
    view.print(ownHelp());
    return 0;
  }
  const { schema, commands } = await session.present(PATIENCE_MS);
  if (schema === undefined) {
    throw new LineError(
      at,
      "the monitor has given no schema: its role may refuse query-qmp-schema",
    );
  }
  const lines = new Explanation(schema, words).lines(name);
  if (lines === undefined) {
    if (commands.includes(name)) throw new LineError(at, `${name} is not in the schema of QEMU`);
    const known = [...schema.commands.keys(), ...schema.events.keys()];
    const meant = nearest(name, known);
    const instead = meant === undefined ? "Tab lists the commands" : `did you mean ${meant}?`;
    throw new LineError(at, `QEMU has no command or event ${name}; ${instead}`);
  }
  view.print(lines.slice(0, LINES_LIMIT).map(printable).join("\n"));
  return 0;
}

/** Returns the list of the shell's own commands. */
function ownHelp(): string {
  const rows = Object.entries(OWN_COMMANDS).map(([name, { usage, help }]) => {
    const form = `\\${name} ${usage}`.trimEnd();
    return `${form.padEnd(35)}  ${help}`;
  });
  return [...NOTES, "", ...rows].join("\n");
}

/** An explanation from a schema. */
class Explanation {
  readonly #schema: Introspection;
  readonly #walk: SchemaWalk;
  readonly #lines: string[] = [];

  constructor(schema: Introspection, words: readonly string[]) {
    this.#schema = schema;
    this.#walk = new SchemaWalk(schema, givenIn(words));
  }

  /** Returns the lines about a command or an event; `undefined` if the name is unknown. */
  lines(name: string): readonly string[] | undefined {
    const command = this.#schema.commands.get(name);
    const event = this.#schema.events.get(name);
    if (command !== undefined) {
      const oob = command.allowsOob ? ["may run out of band"] : [];
      this.#head(name, command, oob);
      this.#section("arguments", command.arguments, "=");
      this.#section("returns", command.return, ": ");
    } else if (event !== undefined) {
      this.#head(name, event, ["an event"]);
      this.#section("data", event.data, ": ");
    } else return undefined;
    return this.#lines;
  }

  #head(name: string, marks: Marks, more: readonly string[]): void {
    const all = [...more, ...markWords(marks)];
    this.#lines.push(all.length === 0 ? name : `${name} (${all.join(", ")})`);
  }

  /** Adds a type under a heading. */
  #section(heading: string, type: string, sign: string): void {
    const forms = this.#walk.formsOf(type);
    const list = forms.find((form) => form.kind === "array");
    const inner = list === undefined ? forms : this.#walk.formsOf(list.element);
    const before = list === undefined ? "" : "a list of ";
    const objects = inner.filter((form) => form.kind === "object");
    const isEmpty = objects.length > 0 &&
      objects.every(({ members, tag }) => members.length === 0 && tag === undefined);
    if (isEmpty) this.#lines.push(`${heading}: none`);
    else if (objects.length === 0) this.#lines.push(`${heading}: ${before}${kindText(inner)}`);
    else {
      this.#lines.push(`${heading}: ${before}`.trimEnd());
      this.#members(inner, "", sign, DEPTH);
    }
  }

  /** Adds the members of objects, with those of the objects in them. */
  #members(forms: readonly SchemaType[], path: string, sign: string, depth: number): void {
    for (const object of forms) {
      if (object.kind !== "object") continue;
      const { members } = this.#walk.membersOf(object, path);
      for (const member of members) this.#member(member, path, sign, depth);
      const { tag } = object;
      if (tag === undefined || this.#walk.isGiven(`${path}${tag}`)) continue;
      this.#lines.push(
        `  ... and more, by ${path}${tag}; \\help shows them with ${path}${tag}=VALUE`,
      );
    }
  }

  #member(member: SchemaMember, path: string, sign: string, depth: number): void {
    const forms = this.#walk.formsOf(member.type);
    const name = `${path}${member.name}`;
    const text = `${name}${sign}${kindText(forms)}`;
    const marks = markWords(member);
    const note = marks.length === 0 ? "" : `  (${marks.join(", ")})`;
    this.#lines.push(`  ${member.isOptional ? `[${text}]` : text}${note}`);
    for (const form of forms) {
      if (form.kind === "enum") this.#values(form.values.map(({ name }) => name));
    }
    if (depth > 1) this.#members(forms, `${name}.`, sign, depth - 1);
  }

  /** Adds the values of an enum that are too many for one line. */
  #values(names: readonly string[]): void {
    if (names.join("|").length <= 40) return;
    let line = "     ";
    for (const name of names) {
      if (line.length + name.length > 78) {
        this.#lines.push(line);
        line = "     ";
      }
      line += ` ${name}`;
    }
    this.#lines.push(line);
  }
}

function markWords({ isDeprecated, isUnstable }: Marks): readonly string[] {
  return [...(isDeprecated ? ["deprecated"] : []), ...(isUnstable ? ["unstable"] : [])];
}
