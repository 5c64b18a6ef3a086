/**
 * A line of the shell, read: a command, a command of the shell's own, or a brace of a transaction.
 *
 * @module
 */

import { argumentsFrom, WordError } from "../argument_words.ts";
import { memberTexts } from "../../wire/json_text.ts";
import { shortened } from "../../wire/shortened.ts";
import { closedWordsOf, LineError, type Word } from "./words.ts";

/** The most characters of a word in an error. */
const SHOWN_LENGTH = 60;

/** A command for the monitor. */
export interface CommandStatement {
  /** The kind of statement. */
  readonly kind: "command";
  /** The command's name. */
  readonly name: string;
  /** The arguments as JSON; `undefined` if the line has none. */
  readonly args: string | undefined;
  /** The place of the name in the line. */
  readonly at: number;
  /** The words `key=value`; none if the arguments are JSON. */
  readonly words: readonly Word[];
}

/** A line. */
export type Statement =
  | CommandStatement
  /** A line without words. */
  | { readonly kind: "blank" }
  /** A command of the shell, without its backslash, and the text behind it. */
  | { readonly kind: "own"; readonly name: string; readonly at: number; readonly rest: string }
  /** A line of the human monitor; without text, the lines that follow are such. */
  | { readonly kind: "hmp"; readonly rest: string }
  /** The begin of a transaction. */
  | { readonly kind: "open" }
  /** The end of a transaction, with further arguments as JSON. */
  | { readonly kind: "close"; readonly args: string };

/**
 * Reads a line.
 *
 * @throws LineError
 */
export function statementOn(line: string): Statement {
  const text = line.trim();
  const at = line.length - line.trimStart().length;
  if (text === "" || text.startsWith("#")) return { kind: "blank" };
  if (text.startsWith("\\")) {
    const [, name, rest] = /^\\(\S*)\s*(.*)$/s.exec(text)!;
    return { kind: "own", name: name!, at, rest: rest! };
  }
  const [, hmp] = /^hmp(?:\s+(.*))?$/s.exec(text) ?? [undefined, null];
  if (hmp !== null) return { kind: "hmp", rest: hmp ?? "" };
  if (text === "{") return { kind: "open" };
  if (text.startsWith("{")) return jsonCommand(text, at);
  const [first, ...words] = closedWordsOf(line);
  if (first!.text === "}") return { kind: "close", args: argumentsOf(words) };
  if (/[="'[\]{}]/.test(first!.text)) {
    throw new LineError(
      at,
      `expected the name of a command, and found ${shortened(first!.text, SHOWN_LENGTH)}`,
    );
  }
  const isJson = words[0]?.text.startsWith("{") === true;
  const args = words.length === 0 ? undefined : argumentsOf(words);
  return { kind: "command", name: first!.text, args, at, words: isJson ? [] : words };
}

/** Returns the arguments in words as JSON; @throws LineError */
function argumentsOf(words: readonly Word[]): string {
  const [first, second] = words;
  if (first?.text.startsWith("{")) {
    if (second !== undefined) throw new LineError(second.from, "unexpected text behind the JSON");
    checkJson(first.text, first.from);
    return first.text;
  }
  try {
    return argumentsFrom(words.map(({ text }) => text));
  } catch (error) {
    if (!(error instanceof WordError)) throw error;
    throw new LineError(words[error.index]!.from, error.message);
  }
}

/** Reads `{"execute": NAME, "arguments": {…}}`; @throws LineError */
function jsonCommand(text: string, at: number): CommandStatement {
  checkJson(text, at);
  const members = memberTexts(text);
  if (members === undefined) throw new LineError(at, "the JSON is nested too deep");
  const name = members.get("execute");
  if (!name?.startsWith('"')) {
    throw new LineError(at, 'expected {"execute": NAME, "arguments": {...}}, or a name in front');
  }
  const other = [...members.keys()].find((key) => !["execute", "arguments", "id"].includes(key));
  if (other !== undefined) {
    throw new LineError(at, `unexpected member ${JSON.stringify(shortened(other, SHOWN_LENGTH))}`);
  }
  const args = members.get("arguments");
  if (args !== undefined && !args.startsWith("{")) {
    throw new LineError(at, '"arguments" is not an object');
  }
  return { kind: "command", name: JSON.parse(name), args, at, words: [] };
}

/** Checks a text of JSON; @throws LineError with the place of the first error */
function checkJson(text: string, from: number): void {
  try {
    JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    const [, place] = /at position (\d+)/.exec(error.message) ?? [];
    const at = from + (place === undefined ? text.length : Number(place));
    throw new LineError(at, "the JSON is not valid here");
  }
}
