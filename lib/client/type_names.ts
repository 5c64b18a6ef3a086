/**
 * The names of types, from the places where they are used.
 *
 * A short type has no name: it is written in place. Any other is named after the place that is
 * nearest to a command or an event: `QueryStatusReturn`, `QueryBlockInserted`.
 *
 * @module
 */

import { equalTypes } from "./type_classes.ts";
import type { ObjectShape, Part, Shape, TypeGraph, TypeId } from "./type_graph.ts";
import { lineOf, listText, literal, memberHead } from "./type_line.ts";

/** The width of a line: that of `deno fmt` by default. */
export const LINE_WIDTH = 80;
/** The most characters of a type that is written in place. */
const SHORT_LENGTH = 50;
/** The most characters of a part of a name, and of a path; those of QEMU are shorter. */
const LENGTHS = { part: 40, path: 120 } as const;

/** The names that no type gets: those of the file itself, and one of TypeScript that it uses. */
const TAKEN: readonly string[] = ["Commands", "Events", "Int", "Qmp", "Record"];

/** A place where a type is used. */
interface Place {
  readonly type: TypeId;
  /** The beginning of the names of its parts. */
  readonly path: string;
  /** The name of the type, unless it has one or needs none. */
  readonly name: string;
  /** The name of the elements if it is a list. */
  readonly element: string;
}

/** The names of the types of a graph. */
export class TypeNames {
  readonly #shapes: readonly Shape[];
  /** The first type that is equal, by type. */
  readonly #first: readonly TypeId[];
  /** The most characters around a type on the line of a member. */
  readonly #around: readonly number[];
  readonly #names = new Map<TypeId, string>();
  readonly #taken = new Set(TAKEN);
  /** The number of types that were to have a name. */
  readonly #wanted = new Map<string, number>();

  /** Names the types of a graph. */
  constructor(graph: TypeGraph) {
    this.#shapes = graph.shapes;
    this.#first = equalTypes(graph.shapes);
    this.#around = this.#widths(graph);
    this.#nameAll(rootsOf(graph));
  }

  /** Returns the types with names, sorted by name. */
  named(): readonly (readonly [name: string, shape: Shape])[] {
    return [...this.#names].map(([type, name]) => [name, this.#shapes[type]!] as const)
      .sort(([a], [b]) => a < b ? -1 : 1);
  }

  /** Returns an object that is written in place: an interface cannot extend it by a name. */
  inPlace(type: TypeId): ObjectShape | undefined {
    const first = this.#first[type]!;
    return this.#names.has(first) ? undefined : this.#shapes[first] as ObjectShape;
  }

  /** Returns the text of a type where it is used: its name, or the type itself. */
  textOf(type: TypeId): string {
    const first = this.#first[type]!;
    const text = this.#names.get(first) ?? lineOf(this.#shapes, first, SHORT_LENGTH);
    if (text !== undefined) return text;
    const { element, isReadonly } = this.#shapes[first] as Shape & { kind: "list" };
    return listText(this.textOf(element), isReadonly);
  }

  /** Returns the texts of the types of which a type is one; words one by one. */
  textsOf(type: TypeId): readonly string[] {
    const first = this.#first[type]!;
    const shape = this.#shapes[first]!;
    const texts = this.#names.has(first) ? [] : this.#partsOf(shape);
    return texts.length > 0 ? texts : [this.textOf(type)];
  }

  #partsOf(shape: Shape): readonly string[] {
    if (shape.kind === "enum") return shape.words.map(literal);
    return shape.kind === "one of" ? shape.parts.flatMap(({ type }) => this.textsOf(type)) : [];
  }

  /** Names the types at places and the types that these use, the nearest first. */
  #nameAll(places: Place[]): void {
    const seen = new Set<TypeId>();
    for (let at = 0; at < places.length; at++) {
      const { type, path, name, element } = places[at]!;
      const first = this.#first[type]!;
      if (seen.has(first)) continue;
      seen.add(first);
      const shape = this.#shapes[first]!;
      const isInPlace = this.#isInPlace(first);
      if (!isInPlace) this.#names.set(first, this.#unused(name));
      if (shape.kind === "list") {
        places.push({ type: shape.element, path, name: element, element });
      } else if (!isInPlace) {
        for (const part of partsOf(shape)) {
          const below = (path + capitalized(part.place)).slice(0, LENGTHS.path);
          places.push({ type: part.type, path: below, name: below, element: below });
        }
      }
    }
  }

  /** Returns a name that is like another, and not taken. */
  #unused(wanted: string): string {
    const begun = /^[A-Z]/.test(wanted) ? wanted : `Type${wanted}`;
    let count = this.#wanted.get(begun) ?? 0;
    let name: string;
    do name = ++count === 1 ? begun : `${begun}${count}`; while (this.#taken.has(name));
    this.#wanted.set(begun, count);
    this.#taken.add(name);
    return name;
  }

  /** Returns whether a type has no name. A list of long lists has one, because it may be its own. */
  #isInPlace(first: TypeId): boolean {
    const shape = this.#shapes[first]!;
    const text = lineOf(this.#shapes, first, SHORT_LENGTH);
    if (text === undefined) {
      return shape.kind === "list" && this.#shapes[shape.element]!.kind !== "list";
    }
    return !/[|{]/.test(text) || text.length + this.#around[first]! <= LINE_WIDTH;
  }

  #widths({ events }: TypeGraph): number[] {
    const around = this.#shapes.map(() => 0);
    const widen = (type: TypeId, width: number): void => {
      const first = this.#first[type]!;
      around[first] = Math.max(around[first]!, width);
    };
    const onLine = (name: string, isOptional: boolean, type: TypeId): void => {
      const width = `  ${memberHead(name, isOptional)};`.length;
      widen(type, width);
      const inner = this.#shapes[type]!;
      if (inner.kind === "list") widen(inner.element, width + "readonly ()[]".length);
    };
    for (const { name, dataType } of events) onLine(name, false, dataType);
    for (const shape of this.#shapes) {
      if (shape.kind !== "object") continue;
      for (const { name, isOptional, type } of shape.members) onLine(name, isOptional, type);
    }
    return around;
  }
}

function rootsOf({ commands, events }: TypeGraph): Place[] {
  const ofCommands = commands.flatMap(({ name, argumentsType, returnType }): Place[] => {
    const path = capitalized(name);
    const passed = `${path}Arguments`;
    return [
      { type: argumentsType, path, name: passed, element: passed },
      { type: returnType, path, name: `${path}Return`, element: `${path}Item` },
    ];
  });
  const ofEvents = events.map(({ name, dataType }): Place => {
    const path = capitalized(name);
    return { type: dataType, path, name: `${path}Data`, element: `${path}Data` };
  });
  return [...ofCommands, ...ofEvents];
}

/** Returns the parts of a type. */
function partsOf(shape: Shape): readonly Part[] {
  if (!("base" in shape)) return [];
  const base = shape.base === undefined ? [] : [{ type: shape.base, place: "base" }];
  const parts = shape.kind === "object"
    ? shape.members.map(({ name, type }) => ({ type, place: name }))
    : shape.parts;
  return [...base, ...parts];
}

/** Returns a name of QEMU's in the form of a type's name: `query-status` becomes `QueryStatus`. */
function capitalized(name: string): string {
  const words = name.slice(0, LENGTHS.part).split(/[^A-Za-z0-9]+/).filter((word) => word !== "");
  return words.map((word) => {
    const rest = /[a-z]/.test(word) ? word.slice(1) : word.slice(1).toLowerCase();
    return word[0]!.toUpperCase() + rest;
  }).join("");
}
