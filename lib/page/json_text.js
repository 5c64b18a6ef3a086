/**
 * JSON as people read it: on lines of its own, indented, with its digits as they are.
 *
 * The text may be cut anywhere, and need not be JSON.
 *
 * @module
 */

/** The kinds of pieces. */
const TOKEN =
  /(?<string>"(?:[^"\\]|\\.)*"?)|(?<number>-?\d[\d.eE+-]*)|(?<word>true|false|null)|(?<sign>[{}[\],:])|(?<space>\s+)|(?<other>[^\s"{}[\],:]+)/gs;

/** The most characters that are laid out; what follows is shown as it is. */
const LAID_OUT = 65536;

/**
 * A piece of text with its kind: `key`, `string`, `number`, `word`, or the empty kind.
 *
 * @typedef {[text: string, kind: string]} Piece
 */

/**
 * Lays out JSON.
 *
 * @param {string} json
 * @returns {Piece[]}
 */
export function piecesOf(json) {
  /** @type {Piece[]} */
  const pieces = [];
  const tokens = [...json.slice(0, LAID_OUT).matchAll(TOKEN)].filter(({ groups }) =>
    !groups?.space
  );
  let depth = 0;
  for (const [place, { 0: text, groups = {} }] of tokens.entries()) {
    const next = tokens[place + 1]?.[0] ?? "";
    if (groups.sign === undefined) {
      const kind = next === ":" && groups.string ? "key" : kindOf(groups);
      pieces.push([text, kind]);
    } else if (text === "{" || text === "[") {
      const isEmpty = next === "}" || next === "]";
      depth++;
      pieces.push([text + (isEmpty ? "" : lineAt(depth)), ""]);
    } else if (text === "}" || text === "]") {
      const isEmpty = /^[{[]/.test(tokens[place - 1]?.[0] ?? "");
      depth = Math.max(depth - 1, 0);
      pieces.push([(isEmpty ? "" : lineAt(depth)) + text, ""]);
    } else pieces.push([text === "," ? `,${lineAt(depth)}` : ": ", ""]);
  }
  if (json.length > LAID_OUT) pieces.push([json.slice(LAID_OUT), ""]);
  return pieces;
}

/** @param {Record<string, string | undefined>} groups */
function kindOf({ string, number, word }) {
  if (string !== undefined) return "string";
  return number !== undefined ? "number" : word !== undefined ? "word" : "";
}

/** @param {number} depth */
function lineAt(depth) {
  return `\n${"  ".repeat(Math.min(depth, 64))}`;
}
