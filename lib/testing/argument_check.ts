/**
 * QEMU's checks of a command's arguments against the schema, with its errors.
 *
 * QEMU visits the members of a type in the order of the schema, then looks for others. The first
 * error ends the visit. The texts and their order were measured on QEMU 5.2, 7.2, 8.2, 10.0
 * and 11.1.
 *
 * @module
 */

import type { Introspection, SchemaObject, SchemaType } from "../client/introspection.ts";
import { Cursor } from "../wire/cursor.ts";
import { firstUnexpected } from "../wire/order.ts";
import { alternateName, integerType, RANGES, type Version } from "./masked_types.ts";

/** The place of a value in the arguments. */
interface Place {
  /** The place of its object or list; `undefined` if that is the arguments themselves. */
  readonly outer: Place | undefined;
  /** The name of the member, or the index of the element. */
  readonly key: string | number;
  /** The type of the object that it is a member of, perhaps in a list. */
  readonly owner: SchemaObject;
}

/** Returns the path of a place, such as `a.b[0].c`. */
function pathOf({ outer, key }: Place): string {
  const before = outer === undefined ? "" : pathOf(outer);
  if (typeof key === "number") return `${before}[${key}]`;
  return outer === undefined ? key : `${before}.${key}`;
}

/** Returns the name in errors without a path: QEMU prints `null` for an element of a list. */
function nameOf({ key }: Place): string {
  return typeof key === "number" ? "null" : key;
}

/** Returns the name of the member that a value is, or is an element of. */
function memberOf({ outer, key }: Place): string {
  return typeof key === "number" ? memberOf(outer!) : key;
}

function wrongType(name: string, expected: string): string {
  return `Invalid parameter type for '${name}', expected: ${expected}`;
}

/** The owner of a value that is not a member. */
const NO_OWNER: SchemaObject = {
  kind: "object",
  members: [],
  tag: undefined,
  variants: new Map(),
  isDeprecated: false,
  isUnstable: false,
};

/** An integer in JSON: its digits without a fraction or an exponent. */
const INTEGER = /^-?\d+$/;
/** The most characters of an integer of 64 bits. */
const INTEGER_CHARS = 20;
const TWO_64 = 1n << 64n;
/** The version whose words the errors have if none is given. */
const ANY_VERSION: Version = [11, 1];

/** Checks values against the types of one schema. */
export class ArgumentCheck {
  readonly #schema: Introspection;
  readonly #version: Version | undefined;

  /**
   * Creates a check of a schema.
   *
   * @param version the version of its QEMU, for what the schema does not tell; without it, any integer
   *   of 64 bits is right
   */
  constructor(schema: Introspection, version: Version | undefined) {
    this.#schema = schema;
    this.#version = version;
  }

  /**
   * Returns QEMU's error for the arguments of a command, or `undefined` if the schema allows them.
   *
   * @param bytes the bytes of an object, without white space, as a frame has them
   * @param type the name of the type of the arguments
   */
  problem(bytes: Uint8Array, type: string): string | undefined {
    return this.#object(bytes, this.#type(type), undefined);
  }

  /**
   * Returns the error for a value of a type, or `undefined` if the schema allows it.
   *
   * @param name the name that stands for it in the error
   */
  valueProblem(bytes: Uint8Array, type: string, name: string): string | undefined {
    return this.#value(bytes, type, { outer: undefined, key: name, owner: NO_OWNER });
  }

  /** The version whose words the errors have. */
  get #wordsOf(): Version {
    return this.#version ?? ANY_VERSION;
  }

  #type(name: string): SchemaType {
    return this.#schema.types.get(name)!;
  }

  /** Checks an object: first the members of its type, then that it has no others. */
  #object(bytes: Uint8Array, type: SchemaType, place: Place | undefined): string | undefined {
    if (type.kind !== "object") return undefined;
    const members = new Map<string, Uint8Array>();
    const cursor = new Cursor(bytes);
    for (let more = cursor.enter(); more; more = cursor.next()) {
      const key = cursor.key();
      members.set(key, cursor.bytes);
      cursor.skip();
    }
    const taken = new Set<string>();
    const wrong = this.#members(members, type, place, taken);
    if (wrong !== undefined || taken.size === members.size) return wrong;
    const key = firstUnexpected(bytes, taken)!;
    return `Parameter '${pathOf({ outer: place, key, owner: type })}' is unexpected`;
  }

  /**
   * Checks the members that a type has, then those of the variant that its tag selects.
   *
   * @param taken gets the names of the members that are there
   */
  #members(
    members: ReadonlyMap<string, Uint8Array>,
    type: SchemaObject,
    outer: Place | undefined,
    taken: Set<string>,
  ): string | undefined {
    for (let owner: SchemaType | undefined = type; owner !== undefined;) {
      if (owner.kind !== "object") {
        // A kind of type that is not known may have any members.
        for (const name of members.keys()) taken.add(name);
        return undefined;
      }
      for (const { name, type: inner, isOptional } of owner.members) {
        const place: Place = { outer, key: name, owner };
        const bytes = members.get(name);
        if (bytes === undefined && isOptional) continue;
        if (bytes === undefined) return `Parameter '${pathOf(place)}' is missing`;
        taken.add(name);
        const wrong = this.#value(bytes, inner, place);
        if (wrong !== undefined) return wrong;
      }
      owner = this.#variantOf(owner, members);
    }
    return undefined;
  }

  /** Returns the variant that the tag of a union selects, if there is one. */
  #variantOf(
    { tag, variants }: SchemaObject,
    members: ReadonlyMap<string, Uint8Array>,
  ): SchemaType | undefined {
    const value = tag === undefined ? undefined : members.get(tag);
    const name = value && variants.get(new Cursor(value).scalar);
    return name === undefined ? undefined : this.#type(name);
  }

  #value(bytes: Uint8Array, typeName: string, place: Place): string | undefined {
    const type = this.#type(typeName);
    const cursor = new Cursor(bytes);
    switch (type.kind) {
      case "builtin":
        return this.#builtin(cursor, type.json, place);
      case "enum": {
        if (!cursor.isString) return wrongType(pathOf(place), "string");
        const value = cursor.scalar;
        if (type.values.some(({ name }) => name === value)) return undefined;
        return this.#wordsOf[0] < 6
          ? `Invalid parameter '${value}'`
          : `Parameter '${nameOf(place)}' does not accept value '${value}'`;
      }
      case "array":
        return cursor.isArray
          ? this.#elements(cursor, type.element, place)
          : wrongType(pathOf(place), "array");
      case "alternate":
        return this.#alternate(bytes, type.types, place);
      case "object":
        return cursor.isObject
          ? this.#object(bytes, type, place)
          : wrongType(pathOf(place), "object");
      case "unknown":
        return undefined;
    }
  }

  #elements(cursor: Cursor, element: string, outer: Place): string | undefined {
    let key = 0;
    for (let more = cursor.enter(); more; more = cursor.next()) {
      const wrong = this.#value(cursor.bytes, element, { outer, key, owner: outer.owner });
      if (wrong !== undefined) return wrong;
      cursor.skip();
      key++;
    }
    return undefined;
  }

  /** Checks the value of an alternate: its kind of JSON selects the type. */
  #alternate(
    bytes: Uint8Array,
    types: readonly string[],
    place: Place,
  ): string | undefined {
    const cursor = new Cursor(bytes);
    const kind = kindOf(cursor);
    const type = types.find((each) => kindsOf(this.#type(each)).includes(kind));
    if (type !== undefined) return this.#value(bytes, type, place);
    return wrongType(nameOf(place), alternateName(types, this.#schema, this.#wordsOf));
  }

  #builtin(cursor: Cursor, json: string, place: Place): string | undefined {
    if (json === "int") return this.#integer(cursor, place);
    return json === "value" || json === kindOf(cursor) ? undefined : wrongType(pathOf(place), json);
  }

  #integer(cursor: Cursor, place: Place): string | undefined {
    let value = integerAt(cursor);
    if (this.#version === undefined && value !== undefined && value < TWO_64) return undefined;
    const type = integerType(memberOf(place), place.owner, this.#wordsOf);
    const isUnsigned = type.startsWith("u");
    const wide = isUnsigned ? "uint64" : "int64";
    if (value === undefined || value < RANGES.int64[0] || value > RANGES[wide][1]) {
      return isUnsigned
        ? `Parameter '${pathOf(place)}' expects uint64`
        : wrongType(pathOf(place), "integer");
    }
    // QEMU reads a negative number as an unsigned one of 64 bits.
    if (isUnsigned && value < 0n) value += TWO_64;
    const [least, greatest] = RANGES[type];
    return value < least || value > greatest
      ? `Parameter '${nameOf(place)}' expects ${type}_t`
      : undefined;
  }
}

/** Returns the integer at a cursor; `undefined` if it is none, or one of more than 64 bits. */
function integerAt(cursor: Cursor): bigint | undefined {
  if (!cursor.isNumber) return undefined;
  const text = cursor.raw;
  return text.length <= INTEGER_CHARS && INTEGER.test(text) ? BigInt(text) : undefined;
}

/** Returns the kind of JSON of the value at a cursor. */
function kindOf(cursor: Cursor): string {
  if (cursor.isObject) return "object";
  if (cursor.isArray) return "array";
  if (cursor.isString) return "string";
  if (cursor.isNumber) return "number";
  return cursor.raw === "null" ? "null" : "boolean";
}

/** Returns the kinds of JSON that a type of an alternate takes. */
function kindsOf(type: SchemaType): readonly string[] {
  if (type.kind === "enum") return ["string"];
  if (type.kind !== "builtin") return [type.kind];
  return [type.json === "int" ? "number" : type.json];
}
