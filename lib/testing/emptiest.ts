/**
 * The emptiest value of a type: what a command returns if nobody says more.
 *
 * @module
 */

import {
  type Introspection,
  SchemaError,
  type SchemaType,
  type SchemaValue,
} from "../client/introspection.ts";
import type { Reply } from "../wire/message.ts";
import { errorReply } from "../wire/reply.ts";
import { valueReply } from "./answer.ts";

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

/** The most types inside each other, which is less than a message may have. */
const DEPTH_LIMIT = 1000;
/** The most characters of a value, as they are counted here; those of QEMU have a hundredth. */
const CHARS_LIMIT = 100_000;
/** The characters that each part of a value counts besides its name or word. */
const PART_CHARS = 8;

/**
 * Returns the reply with the emptiest value that a command returns, or an error if it has none.
 *
 * @param name a command of the schema
 */
export function emptiestReply(name: string, schema: Introspection): Reply {
  try {
    return valueReply(emptiestValue(schema.commands.get(name)!.return, schema));
  } catch (error) {
    if (!(error instanceof SchemaError)) throw error;
    return errorReply("GenericError", `The schema has no value for ${name}: ${error.message}`);
  }
}

/**
 * Returns the emptiest value of a type.
 *
 * It is an empty list, an empty string, `0`, `false`, the first value of an enum, or the type of an
 * alternate whose value is the shortest. An object has the members that it must have. The value of a
 * type of an unknown kind is `null`.
 *
 * @throws SchemaError if the type has no value, because it must contain itself, or if the value is too deep or too long,
 *   or has a name that is not of Unicode, or with a zero
 */
export function emptiestValue(typeName: string, schema: Introspection): unknown {
  return new Emptiest(schema).value(typeName);
}

/** The values of one schema. */
class Emptiest {
  readonly #schema: Introspection;
  /** The types whose values are being made. */
  readonly #open = new Set<string>();
  /** The characters that have been put into values, those of alternates that were not chosen among them. */
  #chars = 0;

  constructor(schema: Introspection) {
    this.#schema = schema;
  }

  value(typeName: string): unknown {
    if (this.#open.has(typeName)) {
      throw new SchemaError(`type ${JSON.stringify(typeName)} must contain itself`);
    }
    if (this.#open.size >= DEPTH_LIMIT) {
      throw new SchemaError(`its value is nested deeper than ${DEPTH_LIMIT} types`);
    }
    this.#count("");
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
        return this.#first(type.values);
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

  #first([first]: readonly SchemaValue[]): string | null {
    if (first === undefined) return null;
    this.#count(first.name);
    return first.name;
  }

  /** Adds the members that an object must have, and those of the variants that its tags select. */
  #add(members: Map<string, unknown>, first: SchemaType): void {
    for (let type: SchemaType | undefined = first; type?.kind === "object";) {
      for (const { name, type: inner, isOptional } of type.members) {
        if (isOptional) continue;
        this.#count(name);
        members.set(name, this.value(inner));
      }
      const tag: unknown = type.tag === undefined ? undefined : members.get(type.tag);
      const variant: string | undefined = typeof tag === "string"
        ? type.variants.get(tag)
        : undefined;
      type = variant === undefined ? undefined : this.#schema.types.get(variant);
    }
  }

  #count(text: string): void {
    if (!text.isWellFormed() || text.includes("\0")) {
      throw new SchemaError("its value has a name or a word that QEMU cannot have");
    }
    this.#chars += PART_CHARS + text.length;
    if (this.#chars <= CHARS_LIMIT) return;
    throw new SchemaError(`its value has more than ${CHARS_LIMIT} characters`);
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
