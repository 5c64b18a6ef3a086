/**
 * The schema that `query-qmp-schema` returns, read and checked.
 *
 * QEMU masks the names of types as numbers. They only connect the entries of one schema.
 *
 * @module
 */

import { shortened } from "../wire/shortened.ts";

/** The error for a value that is not a schema; its message has one line. */
export class SchemaError extends Error {
  /** Its kind. */
  override name = "SchemaError";
}

/** The marks that QEMU has for what a program should not rely on. */
export interface Marks {
  /** Whether QEMU will remove it. */
  readonly isDeprecated: boolean;
  /** Whether QEMU may change it at any time. */
  readonly isUnstable: boolean;
}

/** A member of an object type. */
export interface SchemaMember extends Marks {
  /** The name. */
  readonly name: string;
  /** The name of its type. */
  readonly type: string;
  /** Whether it may be missing. */
  readonly isOptional: boolean;
}

/** An object type, or a union if it has variants. */
export interface SchemaObject extends Marks {
  /** The kind of type. */
  readonly kind: "object";
  /** The members that it always has. */
  readonly members: readonly SchemaMember[];
  /** The name of the member that selects the variant. */
  readonly tag: string | undefined;
  /** The name of the object type whose members a variant adds, by the value of the tag. */
  readonly variants: ReadonlyMap<string, string>;
}

/** A value of an enum. */
export interface SchemaValue extends Marks {
  /** The value. */
  readonly name: string;
}

/** A type of a schema. */
export type SchemaType =
  | { readonly kind: "builtin"; readonly json: string }
  | { readonly kind: "enum"; readonly values: readonly SchemaValue[] }
  | { readonly kind: "array"; readonly element: string }
  | { readonly kind: "alternate"; readonly types: readonly string[] }
  | { readonly kind: "unknown" }
  | SchemaObject;

/** A command of a schema. */
export interface SchemaCommand extends Marks {
  /** The name of the object type of its arguments. */
  readonly arguments: string;
  /** The name of the type of the value that it returns. */
  readonly return: string;
  /** Whether it may run out of band. */
  readonly allowsOob: boolean;
}

/** An event of a schema. */
export interface SchemaEvent extends Marks {
  /** The name of the object type of its data. */
  readonly data: string;
}

/** A schema, by names. */
export interface Introspection {
  /** The commands. */
  readonly commands: ReadonlyMap<string, SchemaCommand>;
  /** The events. */
  readonly events: ReadonlyMap<string, SchemaEvent>;
  /** The types. */
  readonly types: ReadonlyMap<string, SchemaType>;
}

/** The kinds of entries that QEMU has. */
const KINDS = ["command", "event", "builtin", "enum", "array", "alternate", "object"];

/**
 * Reads a schema.
 *
 * A type of an unknown kind, which a newer QEMU may have, is kept as such.
 *
 * @param value the value that `query-qmp-schema` returns
 * @throws SchemaError if it is not a schema, if a type is missing in it, if an object is a variant of itself, or if
 *   it has no commands
 */
export function readIntrospection(value: unknown): Introspection {
  if (!Array.isArray(value)) {
    throw new SchemaError("expected the list that query-qmp-schema returns");
  }
  const commands = new Map<string, SchemaCommand>();
  const events = new Map<string, SchemaEvent>();
  const types = new Map<string, SchemaType>();
  for (const [index, each] of value.entries()) {
    const entry = new Entry(each, `entry ${index}`);
    const [name, kind] = [entry.text("name"), entry.text("meta-type")];
    entry.label = `${KINDS.includes(kind) ? kind : "type"} ${quoted(name)}`;
    if (kind === "command") add(commands, name, commandOf(entry), entry);
    else if (kind === "event") {
      add(events, name, { data: entry.text("arg-type"), ...entry.marks() }, entry);
    } else add(types, name, typeOf(kind, entry), entry);
  }
  const schema = { commands, events, types };
  checkReferences(schema);
  checkVariants(types);
  if (commands.size === 0) throw new SchemaError("it has no commands");
  return schema;
}

/** Returns a name of the schema for a message: quoted, escaped and not too long. */
function quoted(name: string): string {
  return JSON.stringify(shortened(name, 60));
}

function add<T>(map: Map<string, T>, name: string, value: T, entry: Entry): void {
  if (map.has(name)) throw entry.wrong("is there twice");
  map.set(name, value);
}

function commandOf(entry: Entry): SchemaCommand {
  return {
    arguments: entry.text("arg-type"),
    return: entry.text("ret-type"),
    allowsOob: entry.value("allow-oob") === true,
    ...entry.marks(),
  };
}

function typeOf(kind: string, entry: Entry): SchemaType {
  switch (kind) {
    case "builtin":
      return { kind, json: entry.text("json-type") };
    case "enum":
      return { kind, values: valuesOf(entry) };
    case "array":
      return { kind, element: entry.text("element-type") };
    case "alternate":
      return { kind, types: entry.entries("members").map((each) => each.text("type")) };
    case "object":
      return objectOf(entry);
    default:
      return { kind: "unknown" };
  }
}

/** Reads the values of an enum: a list of names, since QEMU 6.2 of objects as well. */
function valuesOf(entry: Entry): SchemaValue[] {
  const values = entry.value("members") === undefined
    ? entry.texts("values").map((name) => ({ name, isDeprecated: false, isUnstable: false }))
    : entry.entries("members").map((each) => ({ name: each.text("name"), ...each.marks() }));
  checkOnce(values, entry);
  return values;
}

function objectOf(entry: Entry): SchemaObject {
  const members = entry.entries("members").map((each): SchemaMember => ({
    name: each.text("name"),
    type: each.text("type"),
    isOptional: each.value("default") !== undefined,
    ...each.marks(),
  }));
  checkOnce(members, entry);
  const tag = entry.value("tag") === undefined ? undefined : entry.text("tag");
  const variants = new Map<string, string>();
  for (const each of entry.value("variants") === undefined ? [] : entry.entries("variants")) {
    add(variants, each.text("case"), each.text("type"), each);
  }
  if (variants.size > 0 && !members.some(({ name }) => name === tag)) {
    throw entry.wrong("has variants, and no member that selects one");
  }
  return { kind: "object", members, tag, variants, ...entry.marks() };
}

function checkOnce(named: readonly { readonly name: string }[], entry: Entry): void {
  const names = new Set<string>();
  for (const { name } of named) {
    if (names.has(name)) throw entry.wrong(`has ${quoted(name)} twice`);
    names.add(name);
  }
}

/** Checks that every type is there, and is an object where only that can be. */
function checkReferences({ commands, events, types }: Introspection): void {
  const check = (where: string, name: string, isObject = false): void => {
    const type = types.get(name);
    if (type === undefined) {
      throw new SchemaError(`${where} refers to the type ${quoted(name)}, which is not there`);
    }
    if (!isObject || type.kind === "object" || type.kind === "unknown") return;
    throw new SchemaError(`${where} refers to the type ${quoted(name)}, which is not an object`);
  };
  for (const [name, command] of commands) {
    check(`command ${quoted(name)}`, command.arguments, true);
    check(`command ${quoted(name)}`, command.return);
  }
  for (const [name, { data }] of events) check(`event ${quoted(name)}`, data, true);
  for (const [name, type] of types) {
    const where = `${type.kind} ${quoted(name)}`;
    if (type.kind === "array") check(where, type.element);
    if (type.kind === "alternate") type.types.forEach((each) => check(where, each));
    if (type.kind !== "object") continue;
    for (const member of type.members) check(where, member.type);
    for (const variant of type.variants.values()) check(where, variant, true);
  }
}

/** Checks that no object is a variant of itself, or of one of its variants: it would have no end. */
function checkVariants(types: ReadonlyMap<string, SchemaType>): void {
  const checked = new Set<string>();
  for (const first of types.keys()) {
    /** An object, a variant of it, and so on; each with its variants that are left. */
    const path = new Map([[first, variantsOf(first, types)]]);
    const names = [first];
    for (let name = names.at(-1); name !== undefined; name = names.at(-1)) {
      const variant = path.get(name)!.pop();
      if (variant === undefined) {
        checked.add(name);
        path.delete(name);
        names.pop();
      } else if (path.has(variant)) {
        throw new SchemaError(`object ${quoted(variant)} is a variant of itself`);
      } else if (!checked.has(variant)) {
        path.set(variant, variantsOf(variant, types));
        names.push(variant);
      }
    }
  }
}

function variantsOf(name: string, types: ReadonlyMap<string, SchemaType>): string[] {
  const type = types.get(name)!;
  return type.kind === "object" ? [...type.variants.values()] : [];
}

/** An entry of a schema, or a part of one: an object of JSON with a label for messages. */
class Entry {
  label: string;
  readonly #members: ReadonlyMap<string, unknown>;

  constructor(value: unknown, label: string) {
    this.label = label;
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw this.wrong("is not an object");
    }
    this.#members = new Map(Object.entries(value));
  }

  wrong(what: string): SchemaError {
    return new SchemaError(`${this.label} ${what}`);
  }

  value(key: string): unknown {
    return this.#members.get(key);
  }

  text(key: string): string {
    const value = this.value(key);
    if (typeof value !== "string") throw this.wrong(`has no text as ${quoted(key)}`);
    return value;
  }

  #list(key: string): readonly unknown[] {
    const value = this.value(key);
    if (!Array.isArray(value)) throw this.wrong(`has no list as ${quoted(key)}`);
    return value;
  }

  texts(key: string): string[] {
    return this.#list(key).map((each) => {
      if (typeof each !== "string") throw this.wrong(`has no list of texts as ${quoted(key)}`);
      return each;
    });
  }

  entries(key: string): Entry[] {
    return this.#list(key).map((each, index) => new Entry(each, `${this.label}: ${key} ${index}`));
  }

  marks(): Marks {
    const features = this.value("features") === undefined ? [] : this.texts("features");
    return {
      isDeprecated: features.includes("deprecated"),
      isUnstable: features.includes("unstable"),
    };
  }
}
