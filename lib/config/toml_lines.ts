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

/** Texts and comments, of which nothing inside is a key; and words. */
const WORD =
  /"""(?:\\[\s\S]|[^\\])*?"{3,5}|'''[\s\S]*?'{3,5}|("(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[A-Za-z0-9_-]+)([ \t]*[.=])?|#.*/g;

/** Texts and comments, each whole, and brackets. */
const TOKEN =
  /"""(?:\\[\s\S]|[^\\])*?"{3,5}|'''[\s\S]*?'{3,5}|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|#.*|[[\]{}]/g;

/** The one name that the parser leaves out of a table without a word. */
const LEFT_OUT = "__proto__";

/** The lines of one file, counted from 1. */
export class TomlLines {
  /** By `table/index/key`; the top level is the table without a name. */
  readonly #lines = new Map<string, number>();
  /** The lines of keys that stood before in the same table. */
  readonly repeated: readonly number[];
  /** What stands by itself: a header, or a key with its value; each with the line where it begins. */
  readonly parts: readonly { readonly line: number; readonly text: string }[];
  /** For each table with keys of its own, the lines where they stand. */
  readonly #keys = new Map<string, number[]>();
  readonly #text: string;

  /** Looks through a file once. */
  constructor(text: string) {
    this.#text = text;
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
      const keys = this.#keys.get(place);
      if (keys) keys.push(index + 1);
      else this.#keys.set(place, [index + 1]);
      const path = `${place}/${double ?? single ?? bare}`;
      if (!this.#lines.has(path)) this.#lines.set(path, index + 1);
      // A table of its own may be written a dotted key at a time.
      else if (sign === "=") repeated.push(index + 1);
    }
    this.repeated = repeated;
    this.parts = parts;
  }

  /** The line of the first key of a table that is one too many. */
  crowded(limit: number): number | undefined {
    return this.#keys.values().find((lines) => lines.length > limit)?.[limit];
  }

  /** The lines of keys with a name that the parser leaves out, of a file that is TOML. */
  leftOut(): number[] {
    const lines: number[] = [];
    for (const { 1: name, 2: sign, index } of this.#text.matchAll(WORD)) {
      if (sign === undefined || nameOf(name!) !== LEFT_OUT) continue;
      lines.push(this.#text.slice(0, index).split("\n").length);
    }
    return lines;
  }

  /** The line of a key of the top level, or of the first table of that name. */
  of(key: string): number {
    return this.#lines.get(`/0/${key}`) ?? this.#lines.get(`${key}/0`) ?? 1;
  }

  /** The line where the table of a name and number begins. */
  ofTable(name: string, index: number): number {
    return this.#lines.get(`${name}/${index}`) ?? this.of(name);
  }

  /**
   * Finds the lines where the elements of an array begin, if they are inline tables, or tables
   * with headers such as `[[role.rules]]`.
   *
   * @returns none where they are neither
   */
  elements(name: string, index: number, key: string): number[] {
    const first = this.inTable(name, index, key);
    const part = this.parts.find(({ line }) => line === first);
    if (part === undefined) return this.#headersIn(name, index, key);
    const lines: number[] = [];
    let depth = 0;
    for (const { 0: token, index: at } of part.text.matchAll(TOKEN)) {
      if (token === "{" && depth === 1) {
        lines.push(part.line + part.text.slice(0, at).split("\n").length - 1);
      }
      if (token === "[" || token === "{") depth++;
      else if (token === "]" || token === "}") depth--;
    }
    return lines;
  }

  /** Finds the headers `[[name.key]]` that belong to one table of an array. */
  #headersIn(name: string, index: number, key: string): number[] {
    const first = this.ofTable(name, index);
    const end = this.#lines.get(`${name}/${index + 1}`) ?? Infinity;
    const lines: number[] = [];
    for (let count = 0;; count++) {
      const line = this.#lines.get(`${name}.${key}/${count}`);
      if (line === undefined || line >= end) return lines;
      if (line > first) lines.push(line);
    }
  }

  /** The line of a key in such a table, if it stands there by itself. */
  inTable(name: string, index: number, key: string): number | undefined {
    return this.#lines.get(`${name}/${index}/${key}`);
  }
}

/** The name that a key is written for; only escapes that can stand for a letter count. */
function nameOf(key: string): string {
  if (key.startsWith("'")) return key.slice(1, -1);
  if (!key.startsWith('"')) return key;
  return key.slice(1, -1).replace(
    /\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|x([0-9A-Fa-f]{2})|[\s\S])/g,
    (escape, ...codes: (string | undefined)[]) => {
      const code = parseInt(codes[0] ?? codes[1] ?? codes[2] ?? "", 16);
      return code <= 0x10ffff ? String.fromCodePoint(code) : escape;
    },
  );
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
