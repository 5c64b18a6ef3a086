/**
 * Arguments of QEMU's commands, generated from its schema: valid ones, odd ones, and everything
 * between.
 *
 * @module
 */

import type { Entity } from "./commands.ts";

/** A JSON value; integers beyond 2^53 are exact. */
export type Json = null | boolean | number | bigint | string | readonly Json[] | Arguments;
/** Arguments of a command. */
export interface Arguments {
  readonly [name: string]: Json;
}

/** A variant of a command: a branch of a union, or all of a plain type. */
export interface Shape {
  /** The tag of the branch. */
  readonly fixed: Arguments;
  /** All other arguments, each with the values to try; the first is the most likely to be valid. */
  readonly required: readonly Choice[];
  readonly optional: readonly Choice[];
}

/** An argument, and the values to try. */
export interface Choice {
  readonly name: string;
  readonly values: readonly Json[];
}

/** The limits of the values. Paths are those of rules, such as `a.b` and `a[*].b`. */
export interface Bounds {
  /** Texts with a meaning at a path. */
  readonly names: (command: string, path: string) => readonly string[];
  /** The only texts that are allowed at a path; `undefined` if all are. */
  readonly listed: (command: string, path: string) => readonly string[] | undefined;
  /** Returns whether a path, or one below it, may be given. */
  readonly isNamed: (command: string, path: string) => boolean;
}

/** Integers that a command may not expect. */
export const INTEGERS: readonly Json[] = [
  1,
  0,
  -1,
  2,
  7,
  512,
  4096,
  65536,
  1048576,
  2147483647,
  2147483648,
  -2147483648,
  4294967295,
  4294967296,
  1099511627776,
  4611686018427387904n,
  9223372036854775807n,
  -9223372036854775808n,
  9223372036854775808n,
  18446744073709551615n,
];

const NUMBERS: readonly Json[] = [0, 1.5, -1, 1e300, 1e-300, 9223372036854775807n];

/** Texts that name nothing. */
export const TEXTS: readonly Json[] = [
  "",
  "no-such",
  "x".repeat(3000),
  "/",
  "..",
  "%s%n",
  "a b",
  "é😀",
  "a\0b",
  "-1",
  "0",
];

const ANYTHING: readonly Json[] = [
  1,
  "x",
  null,
  true,
  [],
  {},
  [1, "a"],
  { a: 1 },
  -1,
  18446744073709551615n,
  1e300,
  2097152,
];

/** The depth to which nested types are followed. */
const DEPTH_LIMIT = 6;

/** The length of a very long list. */
const LONG = 1000;

/** Returns a value as text that QEMU reads. */
export function spell(value: Json): string {
  if (typeof value === "bigint") return String(value);
  if (isList(value)) return `[${value.map(spell).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const members = Object.entries(value).map(([key, inner]) =>
    `${JSON.stringify(key)}:${spell(inner)}`
  );
  return `{${members.join(",")}}`;
}

function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}

/** Generates arguments. */
export class CallMaker {
  readonly #types: ReadonlyMap<string, Entity>;
  readonly #bounds: Bounds;

  /** @param schema QEMU's reply to `query-qmp-schema` */
  constructor(schema: readonly Entity[], bounds: Bounds) {
    this.#types = new Map(schema.map((entity) => [entity.name, entity]));
    this.#bounds = bounds;
  }

  /** Returns the ways to call a command. */
  shapesOf(command: string): Shape[] {
    const type = this.#type(this.#type(command)["arg-type"]!);
    return this.#branches(command, type, "").map(({ fixed, members }) => {
      const choices = (optional: boolean): Choice[] =>
        members.filter((member) => "default" in member === optional).map(({ name, type }) => ({
          name,
          values: this.#values(command, type, name, 1),
        }));
      return { fixed, required: choices(false), optional: choices(true) };
    });
  }

  #type(name: string): Entity {
    return this.#types.get(name)!;
  }

  /** Returns the branches of an object type, without optional members that may not be given. */
  #branches(
    command: string,
    type: Entity,
    path: string,
  ): { fixed: Arguments; members: NonNullable<Entity["members"]> }[] {
    const own = ({ members = [] }: Entity): NonNullable<Entity["members"]> =>
      members.filter((member) =>
        !("default" in member) || this.#bounds.isNamed(command, below(path, member.name))
      );
    const { tag, variants } = type;
    if (tag === undefined) return [{ fixed: {}, members: own(type) }];
    const common = own(type).filter(({ name }) => name !== tag);
    const { values = [] } = this.#type(type.members!.find(({ name }) => name === tag)!.type);
    const listed = this.#bounds.listed(command, below(path, tag)) ?? values;
    return values.filter((value) => listed.includes(value)).map((value) => {
      const variant = variants!.find((each) => each.case === value);
      const members = variant ? own(this.#type(variant.type)) : [];
      return { fixed: { [tag]: value }, members: [...common, ...members] };
    });
  }

  /** Returns the values to try at a path, which vary one thing at a time. */
  #values(command: string, typeName: string, path: string, depth: number): Json[] {
    const type = this.#type(typeName);
    if (depth > DEPTH_LIMIT) return [];
    const inner = (type: string, at = path): Json[] => this.#values(command, type, at, depth + 1);
    switch (type["meta-type"]) {
      case "builtin":
        return this.#scalars(command, type, path);
      case "enum": {
        const listed = this.#bounds.listed(command, path);
        return (type.values ?? []).filter((value) => listed?.includes(value) ?? true);
      }
      case "array": {
        const elements = inner(type["element-type"]!, `${path}[*]`);
        const first = elements.slice(0, 1);
        const long = first.flatMap((element) => Array.from({ length: LONG }, () => element));
        return [
          ...[first, [], long, elements.slice(0, 40), elements.slice(0, 3).reverse()],
          ...elements.slice(1).map((element) => [element]),
        ];
      }
      case "alternate":
        return type.members!.flatMap((member) => inner(member.type));
      case "object":
        if (!this.#bounds.isNamed(command, `${path}.`)) return [];
        return this.#branches(command, type, path).flatMap(({ fixed, members }) => {
          const choices = members.map((member) => ({
            ...member,
            values: inner(member.type, below(path, member.name)),
          }));
          const needed = choices.filter((choice) => !("default" in choice));
          const plain = {
            ...fixed,
            ...Object.fromEntries(needed.map(({ name, values }) => [name, values[0] ?? null])),
          };
          return [
            plain,
            ...choices.flatMap(({ name, values }) =>
              values.map((value) => ({ ...plain, [name]: value }))
            ),
          ];
        });
      default:
        return [];
    }
  }

  #scalars(command: string, type: Entity, path: string): Json[] {
    switch (type["json-type"]) {
      case "string": {
        const names = this.#bounds.names(command, path);
        const listed = this.#bounds.listed(command, path);
        return listed ? [...listed] : [...names.slice(0, 1), ...TEXTS, ...names.slice(1)];
      }
      case "int":
        return [...INTEGERS];
      case "number":
        return [...NUMBERS];
      case "boolean":
        return [true, false];
      case "null":
        return [null];
      default:
        return [...ANYTHING];
    }
  }
}

function below(path: string, name: string): string {
  return path === "" ? name : `${path}.${name}`;
}
