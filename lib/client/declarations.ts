/**
 * The types of a QEMU's commands and events, as a file of TypeScript.
 *
 * The file imports nothing. It depends on the structure of the schema alone: the same commands give the
 * same text, sorted by name and in the form of `deno fmt`.
 *
 * @module
 */

import { type Marks, readIntrospection } from "./introspection.ts";
import {
  type EnumShape,
  type JoinedShape,
  type Member,
  type ObjectShape,
  type Shape,
  type TypeGraph,
  typeGraphOf,
  type TypeId,
} from "./type_graph.ts";
import { EMPTY, isMarked, listText, literal, memberHead } from "./type_line.ts";
import { LINE_WIDTH, TypeNames } from "./type_names.ts";

/** The most characters of QEMU's version in the header. */
const VERSION_LENGTH = 60;

/**
 * Returns the declarations of the types in a schema: the interface `Qmp` for `connect<Qmp>(…)`, and the
 * types that it uses.
 *
 * @param schema the value that `query-qmp-schema` returns
 * @param version QEMU's version, for the header
 * @throws SchemaError if it is not a schema, or if a type is missing in it
 */
export function declarationsOf(schema: unknown, version?: string): string {
  const graph = typeGraphOf(readIntrospection(schema));
  const names = new TypeNames(graph);
  return [
    header(version),
    commandsText(graph, names),
    eventsText(graph, names),
    ...names.named().map(([name, shape]) => new Declaration(name, names).text(shape)),
  ].join("\n");
}

function header(version: string | undefined): string {
  const known = (version ?? "").replace(/[^\w .,:;()+~-]/g, "").slice(0, VERSION_LENGTH).trim();
  return `// deno-fmt-ignore-file
${
    comment("", [
      `The commands and events of ${known === "" ? "a QEMU of unknown version" : `QEMU ${known}`}.`,
      "",
      "Written by `qmpmux types` from QEMU's schema; do not edit it.",
      "",
      "@module",
    ])
  }
${comment("", ["The commands and events: `connect<Qmp>(address)` checks against them."])}\
export interface Qmp {
  commands: Commands;
  events: Events;
}

${comment("", ["An integer; a bigint beyond the range in which numbers are exact."])}\
export type Int = number | bigint;
`;
}

function commandsText({ commands }: TypeGraph, names: TypeNames): string {
  const entries = commands.map((command) => {
    const { name, argumentsType, returnType, allowsOob } = command;
    const oob = allowsOob ? ["It can run out of band."] : [];
    return `${comment("  ", [...oob, ...marksText(command)])}  ${literal(name)}: {
    arguments: ${names.textOf(argumentsType)};
    return: ${names.textOf(returnType)};
${allowsOob ? "    oob: true;\n" : ""}  };
`;
  });
  return `${comment("", ["The commands."])}export interface Commands {\n${entries.join("")}}\n`;
}

function eventsText({ events }: TypeGraph, names: TypeNames): string {
  const entries = events.map((event) =>
    comment("  ", marksText(event)) +
    memberText(literal(event.name) + ": ", names.textOf(event.dataType))
  );
  return `${comment("", ["The data of the events."])}export interface Events {\n${
    entries.join("")
  }}\n`;
}

/** The declaration of a type with a name. */
class Declaration {
  readonly #name: string;
  readonly #names: TypeNames;

  constructor(name: string, names: TypeNames) {
    this.#name = name;
    this.#names = names;
  }

  text(shape: Shape): string {
    switch (shape.kind) {
      case "builtin":
        return this.#alias([shape.text], "|");
      case "list":
        return this.#alias([listText(this.#names.textOf(shape.element), shape.isReadonly)], "|");
      case "enum":
        return comment("", enumMarks(shape)) + this.#alias(shape.words.map(literal), "|");
      case "one of":
      case "all of":
        return this.#joined(shape);
      case "object":
        return this.#interface(shape);
    }
  }

  #joined({ kind, parts, ...marks }: JoinedShape): string {
    const texts = parts.flatMap(({ type }) => {
      const each = this.#names.textsOf(type);
      return kind === "one of" || each.length === 1 ? each : [`(${each.join(" | ")})`];
    });
    return comment("", marksText(marks)) +
      this.#alias([...new Set(texts)], kind === "one of" ? "|" : "&");
  }

  #alias(parts: readonly string[], sign: "|" | "&"): string {
    const head = `export type ${this.#name} =`;
    if (parts.length > 1) return `${head}${parts.map((part) => `\n  ${sign} ${part}`).join("")};\n`;
    const line = `${head} ${parts[0] ?? "never"};\n`;
    return line.length - 1 <= LINE_WIDTH ? line : `${head}\n  ${parts[0]};\n`;
  }

  #interface({ base, members, isOpen, ...marks }: ObjectShape): string {
    const short = base === undefined ? undefined : this.#names.inPlace(base);
    const all = [...members, ...short?.members ?? []].map((member) => this.#member(member));
    const others = isOpen ? "  [property: string]: unknown;\n" : "";
    const doc = comment("", marksText(marks));
    if (all.length === 0 && !isOpen) return doc + this.#alias([EMPTY], "|");
    const head = this.#head(short === undefined ? base : undefined);
    return `${doc}${head} {\n${all.join("")}${others}}\n`;
  }

  #head(base: TypeId | undefined): string {
    const head = `export interface ${this.#name}`;
    if (base === undefined) return head;
    const name = this.#names.textOf(base);
    return [" ", "\n  "].map((space) => `${head}${space}extends ${name}`)
      .find((text) => text.split("\n").at(-1)!.length + " {".length <= LINE_WIDTH) ??
      `${head}\n  extends\n    ${name}`;
  }

  #member(member: Member): string {
    const head = memberHead(member.name, member.isOptional);
    return comment("  ", marksText(member)) + memberText(head, this.#names.textOf(member.type));
  }
}

/** Returns a member on a line, or on two if it is too long. */
function memberText(head: string, text: string): string {
  const line = `  ${head}${text};\n`;
  return line.length - 1 <= LINE_WIDTH ? line : `  ${head.trimEnd()}\n    ${text};\n`;
}

/** Returns the tags of JSDoc that tell what is deprecated or unstable. */
function marksText(marks: Marks): string[] {
  if (!isMarked(marks)) return [];
  return [
    ...(marks.isDeprecated ? ["@deprecated QEMU will remove it."] : []),
    ...(marks.isUnstable ? ["@experimental QEMU may change or remove it."] : []),
  ];
}

function enumMarks({ deprecated, unstable }: EnumShape): string[] {
  const list = (kind: string, words: readonly string[]): string[] =>
    words.length === 0 ? [] : [`${kind}: ${words.map(literal).join(", ")}.`];
  const lines = [...list("Deprecated", deprecated), ...list("Unstable", unstable)];
  return lines.length === 0 ? [] : [lines.join(" ")];
}

/** Returns a comment, or nothing if there are no lines. No line can end it early. */
function comment(indent: string, lines: readonly string[]): string {
  if (lines.length === 0) return "";
  const safe = lines.map((line) => line.replaceAll("*/", "*\\/"));
  if (safe.length === 1) return `${indent}/** ${safe[0]} */\n`;
  const inner = safe.map((line) => `${indent} * ${line}`.trimEnd()).join("\n");
  return `${indent}/**\n${inner}\n${indent} */\n`;
}
