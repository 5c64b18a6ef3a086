/**
 * Random arguments of QEMU's commands, most of them wrong, made from a schema.
 *
 * A set begins as one that the schema allows. Then some of its parts are changed: missing or unexpected
 * members, other kinds of values, unknown words of enums, integers at the limits of every width.
 *
 * @module
 */

import type { Introspection, SchemaObject, SchemaType } from "../../lib/client/introspection.ts";
import type { Random } from "./random.ts";

/** A value of JSON as it is written, so that numbers and the order of members are kept. */
type Node =
  | { kind: "scalar"; text: string; type: SchemaType | undefined }
  | { kind: "list"; elements: Node[] }
  | { kind: "object"; members: [key: string, value: Node][] };

/** A command with its arguments as JSON. */
export interface Drawn {
  readonly name: string;
  readonly text: string;
}

/** The member that is added to the arguments of a command that must not run: it is refused last. */
const GUARD = "no-such-argument";

/** Integers at the limits of the types, and what is no integer of 64 bits. */
const NUMBERS = [
  ..."0 1 -1 127 128 -129 255 256 32767 32768 -32768 -32769 65535 65536".split(" "),
  ..."2147483647 2147483648 -2147483648 -2147483649 4294967295 4294967296".split(" "),
  ..."9223372036854775807 9223372036854775808 -9223372036854775808".split(" "),
  ..."-9223372036854775809 18446744073709551615 18446744073709551616".split(" "),
  ..."-0 0.0 -0.0 1.0 1.5 1e3 1E400 -1e400 123456789012345678901234567890".split(" "),
];

const STRINGS = [
  ...[
    "",
    "a",
    "x y",
    "0",
    "null",
    "%s%n",
    "Ä€😀",
    "\\u0000",
    "\\u0041\\n",
    "\\ud83d\\ude00",
    "it's",
  ],
  "x".repeat(400),
].map((each) => `"${each}"`);

const KEYS = [
  ...["a", "b", "zz", "size ", "A", "", "0", "é", "\\u0000", "\\u0061b", "no-such", "type", "id"],
  ...["name", "device", "node-name", "data", "filename", "x".repeat(300)],
];

const WORDS = ["true", "false", "null"];
const CONTAINERS = ["[]", "{}", "[1]", '{"a":1}', "[[]]", '[{"type":"a"},{}]'];

/** The depth from which a value has only what it must have. */
const DEPTH_LIMIT = 5;

/** Draws commands. */
export class WrongArguments {
  readonly #schema: Introspection;
  readonly #random: Random;
  readonly #names: readonly string[];
  /** Those with nested types, which have most to go wrong. */
  readonly #deep: readonly string[];

  /** @param isDrawn whether a command may be drawn */
  constructor(schema: Introspection, random: Random, isDrawn: (name: string) => boolean) {
    this.#schema = schema;
    this.#random = random;
    this.#names = [...schema.commands.keys()].filter(isDrawn);
    const isNested = (type: string): boolean =>
      ["object", "array", "alternate"].includes(this.#type(type).kind);
    this.#deep = this.#names.filter((name) => {
      const type = this.#type(schema.commands.get(name)!.arguments) as SchemaObject;
      return type.variants.size > 0 || type.members.some((each) => isNested(each.type));
    });
  }

  /** Returns a command; one whose arguments may be right if `isGuarded` is not set. */
  draw(isGuarded: boolean): Drawn {
    const random = this.#random;
    const name = random.pick(random.oneIn(2) ? this.#names : this.#deep);
    if (random.oneIn(100)) return { name: this.#misspelt(name), text: "{}" };
    const root = this.#object(this.#schema.commands.get(name)!.arguments, 0);
    for (let changes = 1 + random.below(3); changes > 0; changes--) this.#change(root);
    if (isGuarded) this.#insert(root, GUARD, this.#scalar("1"));
    return { name, text: textOf(root) };
  }

  #misspelt(name: string): string {
    const at = this.#random.below(name.length);
    return name.slice(0, at) + this.#random.pick(["", "x", "_", "\\u0000", "é"]) +
      name.slice(at + 1);
  }

  #type(name: string): SchemaType {
    return this.#schema.types.get(name)!;
  }

  #scalar(text: string, type?: SchemaType): Node {
    return { kind: "scalar", text, type };
  }

  #value(typeName: string, depth: number): Node {
    const random = this.#random;
    const type = this.#type(typeName);
    switch (type.kind) {
      case "builtin":
        return this.#scalar(this.#builtin(type.json), type);
      case "enum":
        return this.#scalar(JSON.stringify(random.pick(type.values).name), type);
      case "array": {
        const count = depth > DEPTH_LIMIT ? 0 : random.below(4);
        const element = (): Node => this.#value(type.element, depth + 1);
        return { kind: "list", elements: Array.from({ length: count }, element) };
      }
      case "alternate": {
        const isPlain = (name: string): boolean => this.#type(name).kind !== "object";
        const types = depth > DEPTH_LIMIT ? type.types.filter(isPlain) : type.types;
        return this.#value(random.pick(types), depth + 1);
      }
      case "object":
        return this.#object(typeName, depth + 1);
      case "unknown":
        return this.#scalar("null");
    }
  }

  #builtin(json: string): string {
    const random = this.#random;
    switch (json) {
      case "string":
        return random.pick(STRINGS);
      case "int":
        return random.pick(["0", "1", "-1", "7", "100", random.pick(NUMBERS)]);
      case "number":
        return random.pick(NUMBERS);
      case "boolean":
        return random.pick(["true", "false"]);
      case "null":
        return "null";
      default:
        return random.pick([...NUMBERS, ...STRINGS, ...WORDS, ...CONTAINERS]);
    }
  }

  #object(typeName: string, depth: number): Node & { kind: "object" } {
    const random = this.#random;
    const members: [string, Node][] = [];
    // Some sets have most of the optional members, some none.
    const rarity = depth > DEPTH_LIMIT ? 100 : random.pick([1, 2, 4, 8, 100]);
    const add = (type: SchemaObject): void => {
      for (const { name, type: inner, isOptional } of type.members) {
        if (isOptional && !random.oneIn(rarity)) continue;
        const value = this.#value(inner, depth);
        members.push([name, value]);
        if (name !== type.tag || value.kind !== "scalar") continue;
        const variant = type.variants.get(JSON.parse(value.text));
        if (variant !== undefined) add(this.#type(variant) as SchemaObject);
      }
    };
    add(this.#type(typeName) as SchemaObject);
    if (random.oneIn(2)) shuffle(members, random);
    return { kind: "object", members };
  }

  /** Changes one part of a value. */
  #change(root: Node & { kind: "object" }): void {
    const random = this.#random;
    const nodes: Node[] = [];
    collect(root, nodes);
    const node = random.pick(nodes);
    switch (node.kind) {
      case "scalar":
        node.text = this.#otherText(node.type);
        break;
      case "list":
        if (node !== (root as Node) && random.oneIn(3)) this.#replace(node);
        else node.elements.splice(random.below(node.elements.length + 1), 0, this.#anything());
        break;
      case "object":
        this.#changeObject(node, node === root);
    }
  }

  #changeObject(node: Node & { kind: "object" }, isRoot: boolean): void {
    const random = this.#random;
    const { members } = node;
    switch (random.below(isRoot ? 3 : 4)) {
      case 0:
        if (members.length > 0) members.splice(random.below(members.length), 1);
        break;
      case 1:
        if (members.length > 0) random.pick(members)[1] = this.#anything();
        break;
      case 2:
        for (let more = 1 + random.below(3); more > 0; more--) {
          this.#insert(node, this.#key(), this.#anything());
        }
        break;
      default:
        this.#replace(node);
    }
  }

  #key(): string {
    return this.#random.oneIn(2) ? this.#random.pick(KEYS) : `u${this.#random.below(1000)}`;
  }

  #insert({ members }: Node & { kind: "object" }, key: string, value: Node): void {
    const decoded = (text: string): string => JSON.parse(`"${text}"`);
    if (members.some(([other]) => decoded(other) === decoded(key))) return;
    members.splice(this.#random.below(members.length + 1), 0, [key, value]);
  }

  /** Turns a container into a scalar. */
  #replace(node: Node): void {
    const text = this.#random.pick([...NUMBERS, ...STRINGS, ...WORDS, ...CONTAINERS]);
    for (const key of Object.keys(node)) Reflect.deleteProperty(node, key);
    Object.assign(node, this.#scalar(text));
  }

  #anything(): Node {
    return this.#scalar(this.#random.pick([...NUMBERS, ...STRINGS, ...WORDS, ...CONTAINERS]));
  }

  /** Returns another text for a scalar, which is often wrong in the way of its type. */
  #otherText(type: SchemaType | undefined): string {
    const random = this.#random;
    if (random.oneIn(3)) return random.pick([...NUMBERS, ...STRINGS, ...WORDS, ...CONTAINERS]);
    if (type?.kind === "builtin" && (type.json === "int" || type.json === "number")) {
      return random.pick(NUMBERS);
    }
    if (type?.kind === "enum") {
      const { name } = random.pick(type.values);
      return JSON.stringify(random.pick([name.toUpperCase(), `${name} `, name.slice(1), "nope"]));
    }
    return random.pick(STRINGS);
  }
}

function collect(node: Node, nodes: Node[]): void {
  nodes.push(node);
  if (node.kind === "list") node.elements.forEach((each) => collect(each, nodes));
  if (node.kind === "object") node.members.forEach(([, each]) => collect(each, nodes));
}

function shuffle<T>(things: T[], random: Random): void {
  for (let at = things.length - 1; at > 0; at--) {
    const other = random.below(at + 1);
    [things[at], things[other]] = [things[other]!, things[at]!];
  }
}

function textOf(node: Node): string {
  if (node.kind === "scalar") return node.text;
  if (node.kind === "list") return `[${node.elements.map(textOf).join(",")}]`;
  return `{${node.members.map(([key, value]) => `"${key}":${textOf(value)}`).join(",")}}`;
}
