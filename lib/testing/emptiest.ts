/**
 * The emptiest value of a type: what a command returns if nobody says more.
 *
 * @module
 */

import { type Introspection, SchemaError, type SchemaObject } from "../client/introspection.ts";

/** The emptiest values of QEMU's own types, by their kind of JSON. */
const BUILTINS: Readonly<Record<string, unknown>> = {
  string: "",
  int: 0,
  number: 0,
  boolean: false,
  null: null,
  object: {},
  array: [],
  value: null,
};

/**
 * Returns the emptiest value of a type.
 *
 * It is an empty list, an empty string, `0`, `false`, the first value of an enum, or the type of an
 * alternate whose value is the shortest. An object has the members that it must have. The value of a
 * type of an unknown kind is `null`.
 *
 * @throws SchemaError if the type has no value, because it must contain itself
 */
export function emptiestValue(typeName: string, schema: Introspection): unknown {
  return new Emptiest(schema).value(typeName);
}

/** The values of one schema. */
class Emptiest {
  readonly #schema: Introspection;
  /** The types whose values are being made. */
  readonly #open = new Set<string>();

  constructor(schema: Introspection) {
    this.#schema = schema;
  }

  value(typeName: string): unknown {
    if (this.#open.has(typeName)) {
      throw new SchemaError(`type ${JSON.stringify(typeName)} must contain itself`);
    }
    this.#open.add(typeName);
    try {
      return this.#value(typeName);
    } finally {
      this.#open.delete(typeName);
    }
  }

  #value(typeName: string): unknown {
    const type = this.#schema.types.get(typeName)!;
    switch (type.kind) {
      case "builtin":
        return BUILTINS[type.json];
      case "enum":
        return type.values[0]?.name ?? null;
      case "array":
        return [];
      case "alternate":
        return this.#shortest(type.types);
      case "object": {
        const members = new Map<string, unknown>();
        this.#add(members, type);
        return Object.fromEntries(members);
      }
      case "unknown":
        return null;
    }
  }

  /** Adds the members that an object must have, and those of the variant that its tag selects. */
  #add(members: Map<string, unknown>, type: SchemaObject): void {
    for (const { name, type: inner, isOptional } of type.members) {
      if (!isOptional) members.set(name, this.value(inner));
    }
    const tag = type.tag === undefined ? undefined : members.get(type.tag);
    const variant = typeof tag === "string" ? type.variants.get(tag) : undefined;
    if (variant === undefined) return;
    this.#add(members, this.#schema.types.get(variant) as SchemaObject);
  }

  /** Returns the shortest value of some types; the first one of several. */
  #shortest(types: readonly string[]): unknown {
    let [shortest, length]: [unknown, number] = [null, Infinity];
    let failure: unknown;
    for (const type of types) {
      try {
        const value = this.value(type);
        const text = JSON.stringify(value);
        if (text.length < length) [shortest, length] = [value, text.length];
      } catch (error) {
        if (!(error instanceof SchemaError)) throw error;
        failure = error;
      }
    }
    if (length === Infinity && failure !== undefined) throw failure;
    return shortest;
  }
}
