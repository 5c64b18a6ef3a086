/**
 * Where in a TOML file a key stands.
 *
 * The parser keeps no lines; this finds headers and keys by their looks, which
 * is enough for messages: what it cannot find is told at the nearest header.
 *
 * @module
 */

const HEADER = /^\s*\[\[?\s*(["'A-Za-z0-9_.-]+)\s*\]\]?/;
const KEY = /^\s*(?:"([^"]*)"|'([^']*)'|([A-Za-z0-9_-]+))\s*([.=])/;

/** The lines of one file, counted from 1. */
export class TomlLines {
  /** By `table/index/key`; the top level is the table without a name. */
  readonly #lines = new Map<string, number>();
  /** The lines of keys that stood before in the same table. */
  readonly repeated: readonly number[];
  /** What stands by itself: a header, or a key with its value; each with the line where it begins. */
  readonly parts: readonly { readonly line: number; readonly text: string }[];

  /** Looks through a file once. */
  constructor(text: string) {
    const repeated: number[] = [];
    const parts: { line: number; text: string }[] = [];
    const counts = new Map<string, number>();
    let place = "/0";
    let within = NOWHERE;
    for (const [index, line] of text.split(/\r?\n/).entries()) {
      const outside = within === NOWHERE;
      within = behind(line, within);
      if (!outside) {
        parts.at(-1)!.text += `\n${line}`;
        continue;
      }
      parts.push({ line: index + 1, text: line });
      const header = HEADER.exec(line);
      if (header) {
        const name = header[1]!.replace(/["']/g, "");
        const count = counts.get(name) ?? 0;
        counts.set(name, count + 1);
        place = `${name}/${count}`;
        this.#lines.set(place, index + 1);
        continue;
      }
      const [, double, single, bare, sign] = KEY.exec(line) ?? [];
      if (sign === undefined) continue;
      const path = `${place}/${double ?? single ?? bare}`;
      if (!this.#lines.has(path)) this.#lines.set(path, index + 1);
      // A table of its own may be written a dotted key at a time.
      else if (sign === "=") repeated.push(index + 1);
    }
    this.repeated = repeated;
    this.parts = parts;
  }

  /** The line of a key of the top level, or of the first table of that name. */
  of(key: string): number {
    return this.#lines.get(`/0/${key}`) ?? this.#lines.get(`${key}/0`) ?? 1;
  }

  /** The line where the table of a name and number begins. */
  ofTable(name: string, index: number): number {
    return this.#lines.get(`${name}/${index}`) ?? this.of(name);
  }

  /** The line of a key in such a table, if it stands there by itself. */
  inTable(name: string, index: number, key: string): number | undefined {
    return this.#lines.get(`${name}/${index}/${key}`);
  }
}

/** What a line begins in: so many open brackets, and a text of many lines with its closing quotes. */
interface Within {
  readonly depth: number;
  readonly text: string | undefined;
}

const NOWHERE: Within = { depth: 0, text: undefined };

/** Texts, comments, brackets. A text that has no end on its line is wrong, and hides the rest of it. */
const PART = /"""|'''|"(?:[^"\\]|\\.)*(?:"|\\?$)|'[^']*(?:'|$)|#.*|[[\]{}]/g;

/** What stands behind a line that begins in something. */
function behind(line: string, { depth, text }: Within): Within {
  let at = 0;
  for (;;) {
    if (text !== undefined) {
      at = endOfText(line, at, text);
      if (at < 0) return { depth, text };
      text = undefined;
    }
    PART.lastIndex = at;
    const part = PART.exec(line)?.[0];
    if (part === undefined) break;
    at = PART.lastIndex;
    if (part === '"""' || part === "'''") text = part;
    else if (part === "[" || part === "{") depth++;
    else if (part === "]" || part === "}") depth = Math.max(0, depth - 1);
  }
  return depth === 0 ? NOWHERE : { depth, text: undefined };
}

/** Where a text of many lines ends, or -1 where it goes on. */
function endOfText(line: string, from: number, quotes: string): number {
  for (let at = from; at < line.length; at++) {
    if (line[at] === "\\" && quotes === '"""') at++;
    else if (line.startsWith(quotes, at)) return at + quotes.length;
  }
  return -1;
}
