/**
 * The types of a schema as a graph of the shapes that TypeScript has.
 *
 * Types are numbered in the order in which the sorted commands and events reach them. Nothing in the
 * graph depends on the names that QEMU has masked.
 *
 * @module
 */

import {
  type Introspection,
  type Marks,
  type SchemaCommand,
  SchemaError,
  type SchemaEvent,
  type SchemaMember,
  type SchemaObject,
} from "./introspection.ts";

/** The number of a type in a graph. */
export type TypeId = number;

/** A part of a type, with the name of its place: that of a member, or of a variant. */
export interface Part {
  /** The type of the part. */
  readonly type: TypeId;
  /** The name of its place. */
  readonly place: string;
}

/** A member of an object. */
export interface Member extends Marks {
  /** The name. */
  readonly name: string;
  /** The type. */
  readonly type: TypeId;
  /** Whether it may be missing. */
  readonly isOptional: boolean;
}

/** An object. */
export interface ObjectShape extends Marks {
  /** The kind of shape. */
  readonly kind: "object";
  /** The object whose members it has as well. */
  readonly base: TypeId | undefined;
  /** Its members, sorted by name; the tag of a variant is the first. */
  readonly members: readonly Member[];
  /** Whether it may have members that the schema does not name. */
  readonly isOpen: boolean;
}

/** A set of words. */
export interface EnumShape {
  /** The kind of shape. */
  readonly kind: "enum";
  /** The words. */
  readonly words: readonly string[];
  /** The words among them that are deprecated. */
  readonly deprecated: readonly string[];
  /** The words among them that are unstable. */
  readonly unstable: readonly string[];
}

/** One of several types, or all of them at once. */
export interface JoinedShape extends Marks {
  /** The kind of shape. */
  readonly kind: "one of" | "all of";
  /** The types. */
  readonly parts: readonly Part[];
  /** The object whose members all variants of a union have. */
  readonly base: TypeId | undefined;
}

/** A type in a graph. */
export type Shape =
  | { readonly kind: "builtin"; readonly text: string }
  | { readonly kind: "list"; readonly isReadonly: boolean; readonly element: TypeId }
  | EnumShape
  | JoinedShape
  | ObjectShape;

/** A command, with the types of its arguments and of its value. */
export interface GraphCommand extends SchemaCommand {
  /** Its name. */
  readonly name: string;
  /** The type of its arguments. */
  readonly argumentsType: TypeId;
  /** The type of its value. */
  readonly returnType: TypeId;
}

/** An event, with the type of its data. */
export interface GraphEvent extends SchemaEvent {
  /** Its name. */
  readonly name: string;
  /** The type of its data. */
  readonly dataType: TypeId;
}

/** The types that commands and events use. */
export interface TypeGraph {
  /** The types, by number. */
  readonly shapes: readonly Shape[];
  /** The commands, sorted by name. */
  readonly commands: readonly GraphCommand[];
  /** The events, sorted by name. */
  readonly events: readonly GraphEvent[];
}

/** Commands whose arguments QEMU does not check against its schema: they depend on the device. */
const FREE_COMMANDS: readonly string[] = ["device_add"];

/** The types of QEMU's builtin types but `number`, by their JSON types. All others are `unknown`. */
const BUILTINS: ReadonlyMap<string, string> = new Map([
  ["string", "string"],
  ["int", "Int"],
  ["boolean", "boolean"],
  ["null", "null"],
]);

/** The most characters of the types of a schema, as {@linkcode charsOf} counts them; QEMU's have a tenth. */
const CHARS_LIMIT = 2_000_000;

/** The characters that a part of a type counts besides its name. */
const PART_CHARS = 20;

const UNMARKED: Marks = { isDeprecated: false, isUnstable: false };

/** The direction of values: programs pass arguments, and own what is returned. */
type Direction = "passed" | "returned";

/** Returns the graph of a schema. */
export function typeGraphOf(schema: Introspection): TypeGraph {
  const builder = new GraphBuilder(schema);
  const commands = sorted(schema.commands).map(([name, command]): GraphCommand => ({
    name,
    ...command,
    argumentsType: builder.typeOf(command.arguments, "passed", FREE_COMMANDS.includes(name)),
    returnType: builder.typeOf(command.return, "returned"),
  }));
  const events = sorted(schema.events).map(([name, event]): GraphEvent => ({
    name,
    ...event,
    dataType: builder.typeOf(event.data, "returned"),
  }));
  const shapes = builder.finished();
  checkJoined(shapes);
  return { shapes, commands, events };
}

/** Checks that no type is one of itself; TypeScript has no such type. */
function checkJoined(shapes: readonly Shape[]): void {
  const partsOf = (id: TypeId): readonly TypeId[] => {
    const shape = shapes[id]!;
    return "parts" in shape ? shape.parts.map(({ type }) => type) : [];
  };
  const uses = shapes.map(() => 0);
  for (const id of shapes.keys()) for (const part of partsOf(id)) uses[part]!++;
  const free = [...shapes.keys()].filter((id) => uses[id] === 0);
  // Types that no other is made of are taken away, until none is left but those in a circle.
  for (let at = 0; at < free.length; at++) {
    for (const part of partsOf(free[at]!)) if (--uses[part]! === 0) free.push(part);
  }
  if (free.length < shapes.length) throw new SchemaError("an alternate or a union contains itself");
}

function sorted<T>(map: ReadonlyMap<string, T>): readonly (readonly [string, T])[] {
  return [...map].sort(([a], [b]) => a < b ? -1 : 1);
}

/** Numbers types as they are reached. Their shapes are made one by one, however deep they refer. */
class GraphBuilder {
  readonly #schema: Introspection;
  readonly #shapes: Shape[] = [];
  readonly #known = new Map<string, TypeId>();
  readonly #pending: (() => void)[] = [];
  #chars = 0;

  constructor(schema: Introspection) {
    this.#schema = schema;
  }

  /** Returns the type with a name in the schema. */
  typeOf(name: string, direction: Direction, isOpen = false): TypeId {
    const key = `${direction} ${isOpen} ${name}`;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const id = this.#reserve();
    this.#known.set(key, id);
    this.#pending.push(() => this.#put(id, this.#shapeOf(name, direction, isOpen)));
    return id;
  }

  /** Returns the shapes of all types that were reached. */
  finished(): readonly Shape[] {
    for (let at = 0; at < this.#pending.length; at++) this.#pending[at]!();
    return this.#shapes;
  }

  #reserve(): TypeId {
    return this.#shapes.push(UNKNOWN) - 1;
  }

  #add(shape: Shape): TypeId {
    const id = this.#reserve();
    this.#put(id, shape);
    return id;
  }

  /** Stores a shape; @throws SchemaError if there is too much: unions can be far longer than their schema. */
  #put(id: TypeId, shape: Shape): void {
    this.#shapes[id] = shape;
    this.#chars += charsOf(shape);
    if (this.#chars <= CHARS_LIMIT) return;
    throw new SchemaError(
      `its types have more than ${CHARS_LIMIT} characters; QEMU's have a tenth of that`,
    );
  }

  #shapeOf(name: string, direction: Direction, isOpen: boolean): Shape {
    const type = this.#schema.types.get(name)!;
    switch (type.kind) {
      case "builtin":
        return { kind: "builtin", text: builtinText(type.json, direction) };
      case "enum":
        return {
          kind: "enum",
          words: type.values.map(({ name }) => name),
          deprecated: type.values.filter((each) => each.isDeprecated).map(({ name }) => name),
          unstable: type.values.filter((each) => each.isUnstable).map(({ name }) => name),
        };
      case "array":
        return {
          kind: "list",
          isReadonly: direction === "passed",
          element: this.typeOf(type.element, direction),
        };
      case "alternate": {
        const parts = type.types.map((each): Part => ({
          type: this.typeOf(each, direction),
          place: this.#schema.types.get(each)!.kind,
        }));
        return { kind: "one of", parts, base: undefined, ...UNMARKED };
      }
      case "object": {
        if (type.variants.size > 0) return this.#unionOf(type, direction);
        const members = this.#membersOf(type.members, direction);
        return { ...marksOf(type), kind: "object", base: undefined, members, isOpen };
      }
      case "unknown":
        return UNKNOWN;
    }
  }

  /** Returns a union: one object for each variant, whose tag can have the values that select it. */
  #unionOf(type: SchemaObject, direction: Direction): Shape {
    const tag = type.members.find(({ name }) => name === type.tag)!;
    const others = type.members.filter((member) => member !== tag);
    const base = others.length === 0 ? undefined : this.#add({
      ...UNMARKED,
      kind: "object",
      base: undefined,
      members: this.#membersOf(others, direction),
      isOpen: false,
    });
    const taken = new Set(type.members.map(({ name }) => name));
    const parts = this.#variantsOf(type, tag).map(([variant, words]): Part => {
      const isOther = variant === undefined && words.length > 1;
      const ofTag: Member = {
        ...tag,
        type: this.#add({ kind: "enum", words, deprecated: [], unstable: [] }),
      };
      return {
        type: this.#variant(variant, ofTag, base, { direction, taken }),
        place: isOther ? "other" : words[0]!,
      };
    });
    return { ...marksOf(type), kind: "one of", parts, base };
  }

  /** Returns the types of variants with the sorted values that select them, sorted by the first. */
  #variantsOf(type: SchemaObject, tag: SchemaMember): [string | undefined, string[]][] {
    const groups = new Map<string | undefined, string[]>();
    const tagType = this.#schema.types.get(tag.type)!;
    const values = tagType.kind === "enum" ? tagType.values.map(({ name }) => name) : [];
    for (const word of [...new Set([...values, ...type.variants.keys()])].sort()) {
      const name = type.variants.get(word);
      const variant = name === undefined ? undefined : this.#schema.types.get(name)!;
      const isEmpty = variant?.kind === "object" && variant.members.length === 0 &&
        variant.variants.size === 0;
      const key = isEmpty ? undefined : name;
      const group = groups.get(key);
      if (group === undefined) groups.set(key, [word]);
      else group.push(word);
    }
    return [...groups];
  }

  #variant(
    name: string | undefined,
    tag: Member,
    base: TypeId | undefined,
    { direction, taken }: { direction: Direction; taken: ReadonlySet<string> },
  ): TypeId {
    const type = name === undefined ? undefined : this.#schema.types.get(name);
    if (name === undefined || (type?.kind === "object" && type.variants.size === 0)) {
      const own = type?.kind === "object" ? this.#membersOf(type.members, direction) : [];
      const marks = type?.kind === "object" ? marksOf(type) : UNMARKED;
      const members = [tag, ...own.filter((member) => !taken.has(member.name))];
      return this.#add({ ...marks, kind: "object", base, members, isOpen: false });
    }
    const tagged = this.#add({
      ...UNMARKED,
      kind: "object",
      base: undefined,
      members: [tag],
      isOpen: false,
    });
    const parts = [
      { type: tagged, place: "tag" },
      ...(base === undefined ? [] : [{ type: base, place: "base" }]),
      { type: this.typeOf(name, direction), place: "variant" },
    ];
    return this.#add({ ...UNMARKED, kind: "all of", parts, base });
  }

  #membersOf(members: readonly SchemaMember[], direction: Direction): Member[] {
    return members.map((member) => ({ ...member, type: this.typeOf(member.type, direction) }))
      .sort((a, b) => a.name < b.name ? -1 : 1);
  }
}

/** Returns the type of a builtin type of QEMU's. */
function builtinText(json: string, direction: Direction): string {
  if (json !== "number") return BUILTINS.get(json) ?? "unknown";
  // QEMU prints a double that is an integer like an integer, which the client reads as a bigint from 2⁵³ on.
  return direction === "passed" ? "number" : "number | bigint";
}

/** Returns the characters of a shape: those of its names and words, and some for each of its parts. */
function charsOf(shape: Shape): number {
  const texts = shape.kind === "enum"
    ? shape.words
    : shape.kind === "object"
    ? shape.members.map(({ name }) => name)
    : "parts" in shape
    ? shape.parts.map(({ place }) => place)
    : [];
  return texts.reduce((sum, { length }) => sum + length + PART_CHARS, PART_CHARS);
}

/** The shape of a type about which nothing is known. */
const UNKNOWN: Shape = { kind: "builtin", text: "unknown" };

function marksOf({ isDeprecated, isUnstable }: Marks): Marks {
  return { isDeprecated, isUnstable };
}
