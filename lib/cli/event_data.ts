/**
 * The values in the data of events, as a schema describes them.
 *
 * A schema may be a hostile monitor's: types may contain themselves, and paths may be any number.
 *
 * @module
 */

import type {
  Introspection,
  SchemaMember,
  SchemaObject,
  SchemaType,
} from "../client/introspection.ts";
import { instead } from "../policy/suggestion.ts";
import type { EventMatch } from "./event_match.ts";

/** A path to a value: names of members with dots between them, and `0` for an element of a list. */
export type DataPath = string;

/** The most members on a path that is listed; it ends there. */
const DEPTH_LIMIT = 4;

/** The most members that are looked at for a list of paths; an event of QEMU has some twenty. */
const LISTED_LIMIT = 4096;

/**
 * Returns the types that a value at a path can have, by their names.
 *
 * @param type the name of the type where the path begins
 * @returns no object and no list, because no value of the command line is equal to one; none if no
 *   value can be there
 */
export function typesAt(
  schema: Introspection,
  type: string,
  path: string,
): ReadonlySet<string> {
  const found = new Set<string>();
  const seen = new Set<string>();
  const look = (type: string, path: string): void => {
    const place = `${path} ${type}`;
    if (seen.has(place)) return;
    seen.add(place);
    for (const [name, form] of formsOf(schema, type)) {
      if (isAny(form)) found.add(name);
      for (const member of membersOf(schema, form)) {
        const rest = restOf(path, member);
        if (rest === "") addForms(member.type);
        else if (rest !== undefined) look(member.type, rest);
      }
    }
  };
  const addForms = (type: string): void => {
    for (const [name, { kind }] of formsOf(schema, type)) {
      if (kind !== "object" && kind !== "array") found.add(name);
    }
  };
  look(type, path);
  return found;
}

/** Returns the paths to the values in a type. */
export function pathsIn(schema: Introspection, type: string): ReadonlySet<DataPath> {
  const paths = new Set<DataPath>();
  let looked = 0;
  const add = (type: string, names: readonly string[]): void => {
    for (const [, form] of formsOf(schema, type)) {
      const members = membersOf(schema, form);
      if (members.length === 0 || names.length === DEPTH_LIMIT) paths.add(names.join("."));
      else {
        for (const member of members) {
          if (looked++ < LISTED_LIMIT) add(member.type, [...names, member.name]);
        }
      }
    }
  };
  add(type, []);
  paths.delete("");
  return paths;
}

/**
 * Returns the problem of a value that no value of some types can be equal to.
 *
 * @returns the end of a message: the expected values
 */
export function valueProblem(
  schema: Introspection,
  types: Iterable<string>,
  { text, value }: EventMatch,
): string | undefined {
  const forms = [...types].map((name) => schema.types.get(name)!);
  const words = forms.flatMap((form) => form.kind === "enum" ? form.values : []).map(({ name }) =>
    name
  );
  const isWord = words.includes(text) || typeof value === "string" && words.includes(value);
  const others = forms.filter(({ kind }) => kind !== "enum").map((form) =>
    form.kind === "builtin" ? form.json : "value"
  );
  if (isWord || others.some((json) => isOf(json, value))) return undefined;
  const expected = [...new Set([...words, ...others.map((json) => NAMES.get(json) ?? json)])];
  return instead(text, expected);
}

/** The names of JSON types for people. */
const NAMES: ReadonlyMap<string, string> = new Map([
  ["int", "an integer"],
  ["number", "a number"],
  ["boolean", "true or false"],
]);

/** Returns whether a value can be equal to one of a JSON type. */
function isOf(json: string, value: unknown): boolean {
  switch (json) {
    case "int":
      return typeof value === "bigint" || Number.isInteger(value);
    case "number":
      return typeof value === "bigint" || typeof value === "number";
    case "boolean":
      return typeof value === "boolean";
    case "null":
      return value === null;
    default:
      return true;
  }
}

/** A member of an object, or the elements of a list. */
type Member = Pick<SchemaMember, "name" | "type"> & { readonly isElement: boolean };

function membersOf(schema: Introspection, form: SchemaType): readonly Member[] {
  if (form.kind === "array") return [{ name: "0", type: form.element, isElement: true }];
  if (form.kind !== "object") return [];
  const members: Member[] = [];
  // A variant may have variants itself.
  const objects = new Set<SchemaObject>([form]);
  for (const object of objects) {
    members.push(...object.members.map(({ name, type }) => ({ name, type, isElement: false })));
    for (const name of object.variants.values()) {
      const variant = schema.types.get(name)!;
      if (variant.kind === "object") objects.add(variant);
    }
  }
  return members;
}

/** Returns the forms that a value of a type can have, with their names: several if it is an alternate. */
function formsOf(schema: Introspection, type: string): readonly (readonly [string, SchemaType])[] {
  const found = schema.types.get(type)!;
  if (found.kind !== "alternate") return [[type, found]];
  // An alternate has no alternates in it.
  return found.types.map((name) => [name, schema.types.get(name)!] as const);
}

/** Returns whether a value of this type may be anything. */
function isAny(form: SchemaType): boolean {
  return form.kind === "unknown" || form.kind === "builtin" && form.json === "value";
}

/** Returns the path behind a member with which it begins, `""` if it ends there; otherwise `undefined`. */
function restOf(path: string, { name, isElement }: Member): string | undefined {
  const first = isElement ? /^\d+/.exec(path)?.[0] : name;
  if (first === undefined || path === first) return first === undefined ? undefined : "";
  return path.startsWith(`${first}.`) ? path.slice(first.length + 1) : undefined;
}
