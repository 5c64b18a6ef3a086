/**
 * TOML read into plain values, with the line of every key.
 *
 * @module
 */

import { type AST, ParseError, parseTOML } from "toml-eslint-parser";

/** A table: its keys in the order of the file. */
export type Table = Readonly<Record<string, unknown>>;

/** A text that is not TOML. */
export class NotToml extends Error {
  /** The line of the error, counted from 1. */
  readonly line: number;

  /** Creates an error with a message for people. */
  constructor(line: number, message: string) {
    super(message);
    this.line = line;
  }
}

/** Texts for errors that have an easy remedy, by the parser's message. */
const REMEDIES: Readonly<Record<string, string>> = {
  "Defining a key multiple times is invalid": "this key is given twice; remove one",
  "Leading zeros are not allowed":
    'invalid TOML: a number cannot begin with 0; write a mode in quotes, as "0600"',
};

/** A table or an array under construction. A table has no prototype, so that any key is an ordinary one. */
type Container = Record<string | number, unknown>;

/** One file: its values and their lines. */
export class TomlFile {
  /** The top level. */
  readonly table: Table = emptyTable();
  /** For each table and array, the lines where its keys or elements begin. */
  readonly #lines = new Map<unknown, Map<string | number, number>>();

  /**
   * Reads a file.
   *
   * @throws NotToml
   */
  constructor(text: string) {
    try {
      for (const node of parseTOML(text).body[0].body) {
        if (node.type === "TOMLKeyValue") this.#fill(this.table, node);
        else node.body.forEach((pair) => this.#fill(this.#tableOf(node), pair));
        if (node.type === "TOMLTable") this.#tableOf(node);
      }
      // A value nested too deeply to be quoted in an error is refused here.
      JSON.stringify(this.table);
    } catch (error) {
      throw notToml(text, error);
    }
  }

  /** Returns the line of a key of a table, or of an element of an array; `undefined` if there is none. */
  lineOf(container: unknown, key: string | number): number | undefined {
    return this.#lines.get(container)?.get(key);
  }

  #tableOf({ resolvedKey, loc }: AST.TOMLTable): Container {
    return this.#walk(this.table, resolvedKey, loc.start.line);
  }

  #fill(table: Table, { key, value, loc }: AST.TOMLKeyValue): void {
    const path = key.keys.map((part) => part.type === "TOMLBare" ? part.name : part.value);
    const last = path.pop()!;
    this.#put(this.#walk(table, path, loc.start.line), last, loc.start.line, this.#valueOf(value));
  }

  /** Returns the container at a path, and creates those on the way that are missing. */
  #walk(from: Table, path: readonly (string | number)[], line: number): Container {
    return path.reduce<Container>((at, key, index) => {
      const made = (): unknown => typeof path[index + 1] === "number" ? [] : emptyTable();
      this.#put(at, key, line, at[key] ?? made());
      return at[key] as Container;
    }, from as Container);
  }

  #put(container: Container, key: string | number, line: number, value: unknown): void {
    container[key] = value;
    const lines = this.#lines.get(container) ?? new Map();
    this.#lines.set(container, lines.set(key, lines.get(key) ?? line));
  }

  #valueOf(node: AST.TOMLContentNode): unknown {
    if (node.type === "TOMLValue") return node.value;
    if (node.type === "TOMLInlineTable") {
      const table = emptyTable();
      node.body.forEach((pair) => this.#fill(table, pair));
      return table;
    }
    const list: unknown[] = [];
    for (const [index, element] of node.elements.entries()) {
      this.#put(list as never, index, element.loc.start.line, this.#valueOf(element));
    }
    return list;
  }
}

function emptyTable(): Container {
  return Object.create(null);
}

function notToml(text: string, error: unknown): unknown {
  if (error instanceof RangeError) return new NotToml(1, "invalid TOML: it is nested too deeply");
  if (!(error instanceof ParseError)) return error;
  const { index, lineNumber, message } = error;
  const told = REMEDIES[message] ?? `invalid TOML: ${message[0]!.toLowerCase()}${message.slice(1)}`;
  // The parser notices a missing value or equals sign at the next token, which may be lines below.
  const above = text.slice(0, index).split(/\r?\n/);
  while (/^\s*(#.*)?$/.test(above.at(-1) ?? "=")) above.pop();
  const isAbove = /^[^#]*=\s*(#.*)?$/.test(above.at(-1) ?? "") || message.endsWith("the same line");
  return new NotToml(isAbove ? above.length : lineNumber, told);
}
