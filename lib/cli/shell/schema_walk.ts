/**
 * Places in the schema: the members of a command's arguments, at a path, with the values that are given.
 *
 * The members of a union are those of the variant that a given value selects.
 *
 * @module
 */

import type {
  Introspection,
  SchemaMember,
  SchemaObject,
  SchemaType,
} from "../../client/introspection.ts";

/** The most forms of a value, and the most levels of a path; QEMU has fewer. */
const FORMS_LIMIT = 16;
const DEPTH_LIMIT = 16;

/** The given values as they are written, by the paths of their arguments. */
export type GivenValues = ReadonlyMap<string, string>;

/** The members of an object. */
export interface Members {
  /** Those that it has. */
  readonly members: readonly SchemaMember[];
  /** Whether it may have others: no value selects the variant yet. */
  readonly isOpen: boolean;
}

/** The arguments of one command. */
export class SchemaWalk {
  readonly #schema: Introspection;
  readonly #given: GivenValues;

  /** Creates the arguments of a command, some of which are given. */
  constructor(schema: Introspection, given: GivenValues) {
    this.#schema = schema;
    this.#given = given;
  }

  /** Returns the forms that a value of a type can have: several if it is an alternate. */
  formsOf(name: string): readonly SchemaType[] {
    const type = this.#schema.types.get(name);
    if (type === undefined) return [];
    if (type.kind !== "alternate") return [type];
    return type.types.slice(0, FORMS_LIMIT)
      .map((each) => this.#schema.types.get(each)).filter((each) => each !== undefined);
  }

  /** Returns the members of an object at a path, which is empty or ends with a dot. */
  membersOf(object: SchemaObject, path: string): Members {
    if (object.tag === undefined) return { members: object.members, isOpen: false };
    const selected = this.#given.get(`${path}${object.tag}`);
    const variant = object.variants.get(unquoted(selected ?? ""));
    const type = variant === undefined ? undefined : this.#schema.types.get(variant);
    const added = type?.kind === "object" ? type.members : [];
    return { members: [...object.members, ...added], isOpen: selected === undefined };
  }

  /** Returns whether an argument is given. */
  isGiven(path: string): boolean {
    return this.#given.has(path);
  }

  /** Returns the required members that are not given, as paths, each with its type. */
  missing(type: string): readonly (readonly [path: string, member: SchemaMember])[] {
    const found: (readonly [string, SchemaMember])[] = [];
    this.#missingIn(type, "", found, 0);
    return found;
  }

  #missingIn(
    type: string,
    path: string,
    found: (readonly [string, SchemaMember])[],
    depth: number,
  ): void {
    const [object] = this.formsOf(type).filter((form) => form.kind === "object");
    if (object === undefined || depth > DEPTH_LIMIT) return;
    for (const member of this.membersOf(object, path).members) {
      const at = `${path}${member.name}`;
      if (this.#given.has(at)) continue;
      const isBegun = [...this.#given.keys()].some((each) => each.startsWith(`${at}.`));
      if (isBegun) this.#missingIn(member.type, `${at}.`, found, depth + 1);
      else if (!member.isOptional) found.push([at, member]);
    }
  }
}

/** Returns a word as it is compared with the values of an enum. */
function unquoted(value: string): string {
  return /^"[^"\\]*"$/.test(value) ? value.slice(1, -1) : value;
}

/** The words for the scalars of the schema. */
const SCALARS: Readonly<Record<string, string>> = {
  string: "text",
  int: "integer",
  number: "number",
  boolean: "true|false",
  null: "null",
};

/** The most characters of the values of an enum. */
const VALUES_LENGTH = 40;

/** Returns the kind of a value in a few words. */
export function kindText(forms: readonly SchemaType[]): string {
  const texts = forms.map((form) => {
    switch (form.kind) {
      case "builtin":
        return SCALARS[form.json] ?? "JSON";
      case "enum": {
        const all = form.values.map(({ name }) => name).join("|");
        return all.length <= VALUES_LENGTH ? all : `one of ${form.values.length} words`;
      }
      case "array":
        return "[...]";
      case "object":
        return "{...}";
      default:
        return "JSON";
    }
  });
  return [...new Set(texts)].join(" or ");
}
