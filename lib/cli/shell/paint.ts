/**
 * The colours of the shell.
 *
 * @module
 */

/** A kind of text. */
export type Kind = "key" | "string" | "number" | "word" | "dim" | "error" | "event" | "prompt";

/** The codes of ECMA-48 for the kinds of text. */
const CODES: Readonly<Record<Kind, string>> = {
  key: "34",
  string: "32",
  number: "36",
  word: "35",
  dim: "2",
  error: "31",
  event: "33",
  prompt: "1",
};

/** Returns a text with the colour of its kind. */
export type Paint = (kind: Kind, text: string) => string;

/** Colours a text. */
export function painted(kind: Kind, text: string): string {
  return `\x1b[${CODES[kind]}m${text}\x1b[0m`;
}

/** Leaves a text as it is. */
export function plain(_kind: Kind, text: string): string {
  return text;
}
