/**
 * The reader of untrusted JSON, which checks it and makes it safe for a terminal.
 *
 * The result is one line of printable ASCII with the same value.
 *
 * @module
 */

import { decodeUtf8 } from "./utf8.ts";

/** The most levels of nesting, as in QEMU. */
export const NESTING_LIMIT = 1024;

/** A JSON object as text. */
export interface JsonObject {
  /** The whole object on one line, in printable ASCII. */
  readonly text: string;
  /** The values of its members in the same form, by decoded name; if a name occurs twice, the last value. */
  readonly members: ReadonlyMap<string, string>;
}

/** The result for a text that is not a JSON object. */
export interface NotJson {
  /** A phrase that names the error, in printable ASCII. */
  readonly wrong: string;
}

const NOT_PRINTABLE = /[^\x20-\x7e]/g;
const WHITE_SPACE = /[ \r\n\t]{2,}|[\r\n\t]/g;
/** The length of the parts in which text is escaped, so that the list of matches stays small. */
const PART_LENGTH = 65536;
const WRONG_LENGTH = 120;

/**
 * Reads one JSON object.
 *
 * Numbers keep their spelling. Characters of strings that are not printable ASCII become
 * `\uXXXX`; line ends between tokens are removed.
 *
 * @param bytes UTF-8; white space around the object is allowed
 */
export function readJsonObject(bytes: Uint8Array): JsonObject | NotJson {
  const decoded = decodeUtf8(bytes);
  if (typeof decoded !== "string") return { wrong: decoded.wrong };
  const source = decoded.trim();
  try {
    if (!source.startsWith("{")) return { wrong: "it is not an object" };
    const spans = spansOf(source);
    if (spans === undefined) return { wrong: `nested deeper than ${NESTING_LIMIT} levels` };
    JSON.parse(source);
    const members = spans.map(([name, from, to]): [string, string] => [
      JSON.parse(source.slice(...name)),
      onOneLine(source.slice(from, to).trim()),
    ]);
    return { text: onOneLine(source), members: new Map(members) };
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    // Remove V8's quotation of the input, which is useless for hostile text.
    const message = error.message.replace(/, (?:\.\.\.)?"[^]* is not valid JSON$/, "");
    return { wrong: ascii(message.slice(0, WRONG_LENGTH)) };
  }
}

/**
 * Returns the values of a JSON object's members as they are written, by decoded name.
 *
 * @returns `undefined` if the text is not a JSON object, or is nested too deep
 */
export function memberTexts(text: string): ReadonlyMap<string, string> | undefined {
  const source = text.trim();
  if (!source.startsWith("{")) return undefined;
  try {
    const spans = spansOf(source);
    if (spans === undefined) return undefined;
    JSON.parse(source);
    return new Map(spans.map(([name, from, to]) => [
      JSON.parse(source.slice(...name)),
      source.slice(from, to).trim(),
    ]));
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** The places of a member's name and value; each place is a start and an end. */
type Span = [name: [from: number, to: number], from: number, to: number];

/** Finds the members of an object in text that may be malformed; returns `undefined` when it is nested too deep. */
function spansOf(source: string): Span[] | undefined {
  const spans: Span[] = [];
  let depth = 0;
  let string: [from: number, to: number] = [0, 0];
  for (let at = 0; at < source.length; at++) {
    const char = source[at]!;
    if (char === '"') {
      string = [at, stringEnd(source, at)];
      at = string[1] - 1;
    } else if (char === "{" || char === "[") {
      if (++depth > NESTING_LIMIT) return undefined;
    } else if (char === ":" && depth === 1) spans.push([string, at + 1, at + 1]);
    else if (char === "}" || char === "]" || char === ",") {
      const span = spans.at(-1);
      if (depth === 1 && span !== undefined) span[2] = at;
      if (char !== ",") depth--;
    }
  }
  return spans;
}

/** Returns the end, exclusive, of a string, or of the text if the string is not closed. */
export function stringEnd(source: string, from: number): number {
  for (let at = from + 1;;) {
    const quote = source.indexOf('"', at);
    if (quote < 0) return source.length;
    let escape = quote;
    while (source[escape - 1] === "\\") escape--;
    at = quote + 1;
    if ((quote - escape) % 2 === 0) return at;
  }
}

/** Returns a valid JSON text on one line; replaces line ends and tabs by QEMU's spacing. */
function onOneLine(json: string): string {
  return ascii(json.replace(WHITE_SPACE, (space, at, whole) => {
    // White space within a string, which has no raw line ends and tabs, is kept.
    if (!/[\r\n\t]/.test(space)) return space;
    return /[[{]/.test(whole[at - 1]) || /[\]}]/.test(whole[at + space.length]) ? "" : " ";
  }));
}

/** Escapes characters other than printable ASCII as `\uXXXX`. */
function ascii(token: string): string {
  let text = "";
  for (let at = 0; at < token.length; at += PART_LENGTH) {
    text += token.slice(at, at + PART_LENGTH).replace(NOT_PRINTABLE, escaped);
  }
  return text;
}

function escaped(char: string): string {
  return `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
