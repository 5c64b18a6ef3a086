/**
 * The candidates for a command's arguments, `key=value`, from QEMU's schema.
 *
 * A member of an object is `key.member=`. The members of a union are those of the variant that an
 * earlier word of the command line selects. The schema is a monitor's, so nothing in it is trusted.
 *
 * @module
 */

import type { Candidate } from "./completion.ts";
import { NAMES_LIMIT } from "./completion_names.ts";
import { isRow, type Row } from "./table.ts";

/** The names that are offered: no shell interprets one of their characters, and none is long. */
const NAME = /^[A-Za-z0-9_][A-Za-z0-9_-]{0,255}$/;

/** The most forms of one value; an alternate of QEMU's has two or three. */
const FORMS_LIMIT = 16;

/** The words for the scalars of the schema. */
const SCALARS: ReadonlyMap<unknown, string> = new Map([
  ["string", "text"],
  ["int", "integer"],
  ["number", "number"],
  ["boolean", "true or false"],
  ["value", "JSON"],
]);

/**
 * Returns the candidates for an argument.
 *
 * @param schema the value that `query-qmp-schema` returns
 * @param command the name of the command
 * @param earlier the arguments before
 * @param begun the beginning of the argument
 */
export function argumentsFor(
  schema: readonly Row[],
  command: string,
  earlier: readonly string[],
  begun: string,
): readonly Candidate[] {
  const offered = new Schema(schema, valuesIn(earlier));
  const end = begun.indexOf("=");
  if (end >= 0) {
    const path = begun.slice(0, end);
    return offered.valuesAt(command, path).slice(0, NAMES_LIMIT)
      .map((value) => [`${path}=${value}`]);
  }
  const around = begun.slice(0, begun.lastIndexOf(".") + 1);
  return offered.membersAt(command, around).slice(0, NAMES_LIMIT);
}

/** Returns the values of the arguments that are given, by their paths. */
function valuesIn(words: readonly string[]): ReadonlyMap<string, string> {
  return new Map(words.flatMap((word): [string, string][] => {
    const [, path, value] = /^([^=]+)=(.*)$/s.exec(word) ?? [];
    return path === undefined || value === undefined ? [] : [[path, value]];
  }));
}

/** A schema, and the arguments that are given. */
class Schema {
  readonly #entities: ReadonlyMap<unknown, Row>;
  readonly #given: ReadonlyMap<string, string>;

  constructor(rows: readonly Row[], given: ReadonlyMap<string, string>) {
    this.#entities = new Map(rows.map((row) => [row.name, row]));
    this.#given = given;
  }

  /** Returns the values that can be listed of the argument at a path. */
  valuesAt(command: string, path: string): readonly string[] {
    const around = path.slice(0, path.lastIndexOf(".") + 1);
    const name = path.slice(around.length);
    const members = this.#objectsAt(command, around).flatMap((type) =>
      this.#membersOf(type, around).filter((member) => member.name === name)
    );
    const values = this.#formsOfAll(members).flatMap((form): readonly string[] =>
      form["json-type"] === "boolean" ? ["true", "false"] : enumOf(form)
    );
    return [...new Set(values)].filter((value) => NAME.test(value));
  }

  /** Returns the members of the object at a path that are not given yet. */
  membersAt(command: string, around: string): readonly Candidate[] {
    const found = new Map<string, Candidate>();
    for (const object of this.#objectsAt(command, around)) {
      for (const { name, type, isOptional } of this.#membersOf(object, around)) {
        if (!NAME.test(name) || this.#given.has(`${around}${name}`)) continue;
        for (const form of this.#formsOf(type)) {
          const isObject = form["meta-type"] === "object";
          if (form["json-type"] === "null") continue;
          const word = `${around}${name}${isObject ? "." : "="}`;
          const help = `${isOptional ? "optional " : ""}${helpOf(form)}`;
          if (!found.has(word)) found.set(word, [word, help]);
        }
      }
    }
    return [...found.values()];
  }

  /** Returns the objects at a path that ends with a dot; those of the arguments if it is empty. */
  #objectsAt(command: string, path: string): readonly Row[] {
    const row = this.#entities.values().find((entity) =>
      entity["meta-type"] === "command" && entity.name === command
    );
    let objects = this.#formsOf(row?.["arg-type"]);
    let around = "";
    for (const step of path.split(".").slice(0, -1)) {
      const inner = objects.flatMap((object) => this.#membersOf(object, around))
        .filter(({ name }) => name === step);
      objects = this.#formsOfAll(inner);
      around += `${step}.`;
    }
    return objects.filter((form) => form["meta-type"] === "object");
  }

  /** Returns the members of an object, with those of the variant that is selected. */
  #membersOf(object: Row, around: string): readonly Member[] {
    const own = rowsOf(object.members).map(memberOf);
    const selected = this.#given.get(`${around}${object.tag}`);
    const variant = rowsOf(object.variants).find((each) => each.case === selected);
    return [...own, ...rowsOf(this.#entities.get(variant?.type)?.members).map(memberOf)];
  }

  /** Returns the forms that the values of several members can have; members of one name may have one type. */
  #formsOfAll(members: readonly Member[]): readonly Row[] {
    const types = [...new Set(members.map(({ type }) => type))].slice(0, FORMS_LIMIT);
    return [...new Set(types.flatMap((type) => this.#formsOf(type)))].slice(0, FORMS_LIMIT);
  }

  /** Returns the forms that a value of a type can have: several if it is an alternate. */
  #formsOf(type: unknown): readonly Row[] {
    const entity = this.#entities.get(type);
    if (entity === undefined) return [];
    if (entity["meta-type"] !== "alternate") return [entity];
    return rowsOf(entity.members).slice(0, FORMS_LIMIT)
      .map(({ type }) => this.#entities.get(type)).filter((form) => form !== undefined);
  }
}

/** A member of an object. */
interface Member {
  readonly name: string;
  readonly type: unknown;
  readonly isOptional: boolean;
}

function memberOf(row: Row): Member {
  return { name: String(row.name), type: row.type, isOptional: "default" in row };
}

/** Returns the objects in an array of objects; none if it is something else. */
function rowsOf(value: unknown): readonly Row[] {
  return Array.isArray(value) ? value.filter(isRow) : [];
}

function enumOf({ values }: Row): readonly string[] {
  return Array.isArray(values) ? values.filter((value) => typeof value === "string") : [];
}

/** Returns what a value is, in words of our own. */
function helpOf(form: Row): string {
  switch (form["meta-type"]) {
    case "object":
      return "object";
    case "array":
      return "array";
    case "enum":
      return `one of ${enumOf(form).length} words`;
    default:
      return SCALARS.get(form["json-type"]) ?? "value";
  }
}
