/**
 * The places of integers and alternates in the arguments of QEMU's commands.
 *
 * @module
 */

import type { Introspection, SchemaObject } from "../../lib/client/introspection.ts";
import { emptiestValue } from "../../lib/testing/emptiest.ts";

/** A place in the arguments of a command. */
export interface ArgumentPlace {
  readonly command: string;
  /** Its members and variants, such as `actions[].data`. */
  readonly path: string;
  /** The kind of the type there. */
  readonly kind: "int" | "alternate";
  /** Returns arguments that are right but for this place, which has a value. */
  with(text: string): string;
}

/** Yields each integer and alternate once, by the first command that has its type. */
export function* argumentPlaces(schema: Introspection): Generator<ArgumentPlace> {
  const seen = new Set<string>();
  for (const [name, { arguments: type }] of schema.commands) {
    // QEMU does not check its arguments.
    if (name === "device_add") continue;
    yield* new Walk(schema, seen, name).object(type, (given) => textOf(schema, type, given), "");
  }
}

type Given = ReadonlyMap<string, string>;

/** Returns an object of a type with some members given, and otherwise those that it must have. */
function textOf(schema: Introspection, typeName: string, given: Given): string {
  const members = new Map<string, string>();
  const add = (type: SchemaObject): void => {
    for (const { name, type: inner, isOptional } of type.members) {
      const text = given.get(name);
      if (text === undefined && isOptional) continue;
      members.set(name, text ?? JSON.stringify(emptiestValue(inner, schema)));
    }
    const tag = type.tag === undefined ? undefined : members.get(type.tag);
    const variant = tag === undefined ? undefined : type.variants.get(JSON.parse(tag));
    if (variant !== undefined) add(schema.types.get(variant) as SchemaObject);
  };
  add(schema.types.get(typeName) as SchemaObject);
  return `{${[...members].map(([name, text]) => `${JSON.stringify(name)}:${text}`).join(",")}}`;
}

/** A walk through the arguments of one command. */
class Walk {
  readonly #schema: Introspection;
  readonly #seen: Set<string>;
  readonly #command: string;

  constructor(schema: Introspection, seen: Set<string>, command: string) {
    this.#schema = schema;
    this.#seen = seen;
    this.#command = command;
  }

  /** @param made returns the arguments with an object there that has some members given */
  *object(
    typeName: string,
    made: (given: Given) => string,
    path: string,
  ): Generator<ArgumentPlace> {
    if (this.#seen.has(typeName)) return;
    this.#seen.add(typeName);
    const type = this.#schema.types.get(typeName) as SchemaObject;
    for (const { name, type: inner } of type.members) {
      const below = path === "" ? name : `${path}.${name}`;
      yield* this.#value(inner, (text) => made(new Map([[name, text]])), below);
    }
    for (const [value, variant] of type.variants) {
      const tag: [string, string] = [type.tag!, JSON.stringify(value)];
      yield* this.object(variant, (given) => made(new Map([tag, ...given])), `${path}(${value})`);
    }
  }

  *#value(
    typeName: string,
    made: (text: string) => string,
    path: string,
  ): Generator<ArgumentPlace> {
    const type = this.#schema.types.get(typeName)!;
    const place = { command: this.#command, path, with: made };
    if (type.kind === "builtin" && type.json === "int") yield { ...place, kind: "int" };
    else if (type.kind === "array") {
      yield* this.#value(type.element, (text) => made(`[${text}]`), `${path}[]`);
    } else if (type.kind === "alternate") {
      if (this.#seen.has(typeName)) return;
      this.#seen.add(typeName);
      yield { ...place, kind: "alternate" };
      for (const each of type.types) yield* this.#value(each, made, path);
    } else if (type.kind === "object") {
      const own = (given: Given): string => made(textOf(this.#schema, typeName, given));
      yield* this.object(typeName, own, path);
    }
  }
}
