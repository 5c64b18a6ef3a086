/**
 * Mutations of QEMU's messages, at the level of JSON.
 *
 * They are determined by a seed, and change only the text that they return. In texts, each
 * character is a byte.
 *
 * @module
 */

import type { Random } from "./random.ts";

/** A JSON value that may contain what JSON forbids: repeated members, values of any text. */
type Node =
  | { readonly kind: "object"; readonly members: readonly (readonly [key: string, value: Node])[] }
  | { readonly kind: "array"; readonly items: readonly Node[] }
  | { readonly kind: "text"; readonly text: string };

/** A mutated message, and the kind of its mutation. */
export interface Mutated {
  readonly how: Mutation;
  /** The message with its line end, if it still has one. */
  readonly text: string;
}

/** The kinds of mutations. */
export const MUTATIONS = [
  "type",
  "missing",
  "doubled",
  "renamed",
  "deep",
  "long",
  "cut",
  "bytes",
  "id",
  "spelled",
] as const;

/** A kind of mutation. */
export type Mutation = typeof MUTATIONS[number];

/** Values of every type, and texts that resemble a value. */
const VALUES: readonly string[] = [
  ..."null true 0 -1 7 18446744073709551616 1e9999 -0.5 [] {} [[]] [null] [{}]".split(" "),
  ...'nope inf NaN -inf 01 .5 "" "x" [nope] {"a"} {"a":} [,] % \'x\' "\\ud800" "\\x"'.split(" "),
  '{"name": 7}',
  '{"class": 7, "desc": []}',
  '{"qemu": {"major": "7"}}',
  '{"fdset-id": "x y", "fd": "}"}',
  '{"fdset-id": -1, "fd": 1e400}',
  '"\\u001b[2J\\u202e"',
  '"\\"}, \\"id\\": 1"',
];

/** Names of members with a meaning to qmpmux or to JavaScript. */
const NAMES: readonly string[] = [
  ..."return error event QMP id timestamp data class desc name version capabilities".split(" "),
  ..."__proto__ constructor toString length then".split(" "),
  "",
  "return ",
];

/** Bytes that are not text, or that a terminal interprets. */
const BYTES: readonly string[] = [
  "\0",
  "\xff",
  "\xc0\x80",
  "\xed\xa0\x80",
  "\xf4\x90\x80\x80",
  "\x1b[2J",
  "\x07",
  "\r",
  "\n",
  "\r\n",
  "\\",
  '"',
  "{",
  "}",
  "[",
  "]",
  "\xe2\x80\xae",
];

/** The deepest nesting, and the longest text, that a mutation makes. */
export const LIMITS = { depth: 20_000, chars: 200_000 } as const;

/** Depths and lengths: most are short, some just beside a limit. */
const DEPTHS = [2, 30, 200, 1020, 1030, 5000, LIMITS.depth] as const;
const LENGTHS = [100, 300, 1100, 4090, 4200, 70_000, LIMITS.chars] as const;

/**
 * Mutates one message.
 *
 * @param line a message of QEMU, without its line end
 * @param how the kind; random if it is not given
 */
export function mutated(line: string, random: Random, how: Mutation = chosen(random)): Mutated {
  return { how, text: WAYS[how](line, random) };
}

/** Chooses a kind; large messages take long, and are half as frequent. */
function chosen(random: Random): Mutation {
  const how = random.pick(MUTATIONS);
  const isLarge = how === "deep" || how === "long";
  return isLarge && !random.oneIn(2) ? random.pick(MUTATIONS) : how;
}

const WAYS: Readonly<Record<Mutation, (line: string, random: Random) => string>> = {
  type: (line, random) => edited(line, random, () => text(random.pick(VALUES))),
  missing: (line, random) =>
    edited(line, random, (node) => {
      if (node.kind === "object") return { ...node, members: less(node.members, random) };
      if (node.kind === "array") return { ...node, items: less(node.items, random) };
      return undefined;
    }),
  doubled: (line, random) =>
    edited(line, random, (node) => {
      if (node.kind === "object") return { ...node, members: twice(node.members, random) };
      if (node.kind === "array") return { ...node, items: twice(node.items, random) };
      return node;
    }),
  renamed: (line, random) =>
    edited(line, random, (node) => {
      if (node.kind !== "object" || node.members.length === 0) return node;
      const at = random.below(node.members.length);
      const name = JSON.stringify(random.pick(NAMES));
      return { ...node, members: node.members.with(at, [name, node.members[at]![1]]) };
    }),
  deep: (line, random) =>
    edited(line, random, (node) => {
      const depth = random.pick(DEPTHS);
      const [open, close] = random.pick([["[", "]"], ['{"a": ', "}"], ["[1, ", "]"]] as const);
      return text(open.repeat(depth) + written(node) + close.repeat(depth));
    }),
  long: (line, random) =>
    edited(line, random, () => {
      const length = random.pick(LENGTHS);
      const piece = random.pick(["x", '\\"', "\\u0041", "1, ", "[], ", '{"name": "a"}, ']);
      const body = piece.repeat(Math.ceil(length / piece.length));
      return text(piece.endsWith(", ") ? `[${body.slice(0, -2)}]` : `"${body}"`);
    }),
  cut: (line, random) => line.slice(0, random.below(line.length)) + (random.oneIn(2) ? "\r\n" : ""),
  bytes: (line, random) => {
    const at = random.below(line.length + 1);
    return `${line.slice(0, at)}${random.pick(BYTES)}${line.slice(at)}\r\n`;
  },
  id: (line, random) => {
    const id = random.pick(["0", "1", "7", "9007199254740993", '"x"', "null", "[1]", "{}", "-1"]);
    const close = line.lastIndexOf("}");
    return random.oneIn(2)
      ? `${line.slice(0, close)}, "id": ${id}}\r\n`
      : `{"id": ${id}, ${line.slice(1)}\r\n`;
  },
  spelled: (line, random) => {
    const space = random.pick(["", "  ", "\t", "\n", "\r\n    ", "\r"]);
    const [from, to] = random.pick([[", ", ","], [": ", ":"], ["{", "{"], ['"', "'"]] as const);
    return `${line.replaceAll(from, from === to ? from + space : `${to}${space}`)}\r\n`;
  },
};

/** Returns a message with a random place changed; `undefined` removes it. */
function edited(
  line: string,
  random: Random,
  edit: (node: Node) => Node | undefined,
): string {
  const root = nodeOf(JSON.parse(line));
  const target = random.below(count(root));
  let at = 0;
  const walk = (node: Node): Node | undefined => {
    if (at++ === target) return edit(node);
    if (node.kind === "object") {
      const members = node.members.flatMap(([key, value]) => {
        const next = walk(value);
        return next ? [[key, next] as const] : [];
      });
      return { ...node, members };
    }
    if (node.kind !== "array") return node;
    const items = node.items.flatMap((item) => walk(item) ?? []);
    return { ...node, items };
  };
  const result = walk(root);
  return `${result ? written(result) : "{}"}\r\n`;
}

function nodeOf(value: unknown): Node {
  if (Array.isArray(value)) return { kind: "array", items: value.map(nodeOf) };
  if (typeof value !== "object" || value === null) return text(ascii(JSON.stringify(value)));
  const members = Object.entries(value).map(([key, each]) =>
    [ascii(JSON.stringify(key)), nodeOf(each)] as const
  );
  return { kind: "object", members };
}

function text(json: string): Node {
  return { kind: "text", text: json };
}

function ascii(json: string): string {
  return json.replace(
    /[\x7f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

function written(node: Node): string {
  if (node.kind === "text") return node.text;
  if (node.kind === "array") return `[${node.items.map(written).join(", ")}]`;
  return `{${node.members.map(([key, value]) => `${key}: ${written(value)}`).join(", ")}}`;
}

function count(node: Node): number {
  if (node.kind === "text") return 1;
  const inner = node.kind === "array" ? node.items : node.members.map(([, value]) => value);
  return inner.reduce((sum, each) => sum + count(each), 1);
}

function less<T>(things: readonly T[], random: Random): readonly T[] {
  return things.length === 0 ? things : things.toSpliced(random.below(things.length), 1);
}

function twice<T>(things: readonly T[], random: Random): readonly T[] {
  if (things.length === 0) return things;
  const at = random.below(things.length);
  return things.toSpliced(random.below(things.length + 1), 0, things[at]!);
}

/** Returns a text whose characters are bytes, as bytes. */
export function bytesOf(said: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(said.length);
  for (let i = 0; i < said.length; i++) bytes[i] = said.charCodeAt(i);
  return bytes;
}

/** The messages of a recorded QEMU, and the commands that it was sent. */
export interface Conversation {
  readonly greeting: string;
  /** Replies by the names of commands, without line ends. */
  readonly replies: ReadonlyMap<string, readonly string[]>;
  readonly events: readonly string[];
  /** The commands, as they were sent. */
  readonly commands: readonly string[];
}

/** Returns the conversations that `tools/record_conversations.ts` has recorded, one of each QEMU. */
export function readConversations(): Conversation[] {
  const path = new URL("../fixtures/conversations.jsonl", import.meta.url);
  const all: {
    greeting: string;
    replies: Map<string, string[]>;
    events: string[];
    commands: string[];
  }[] = [];
  for (const line of Deno.readTextFileSync(path).trimEnd().split("\n")) {
    const { command, heard } = JSON.parse(line) as { command?: string; heard: string[] };
    if (command === undefined) {
      all.push({ greeting: heard[0]!, replies: new Map(), events: [], commands: [] });
      continue;
    }
    const { replies, events, commands } = all.at(-1)!;
    const name = JSON.parse(command).execute as string;
    const known = replies.get(name);
    const reply = heard.at(-1)!;
    if (known) known.push(reply);
    else replies.set(name, [reply]);
    events.push(...heard.slice(0, -1));
    if (name !== "qmp_capabilities") commands.push(command);
  }
  return all;
}
