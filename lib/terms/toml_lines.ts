/**
 * Where in a TOML file a key stands.
 *
 * The parser keeps no lines; this finds headers and keys by their looks, which
 * is enough for messages: what it cannot find is told at the nearest header.
 *
 * @module
 */

const HEADER = /^\s*(\[\[?)\s*([A-Za-z0-9_.-]+)\s*\]\]?/;
const KEY = /^\s*(?:"([^"]*)"|'([^']*)'|([A-Za-z0-9_-]+))\s*=/;

/** The lines of one file, counted from 1. */
export class TomlLines {
  /** By `table/index/key`; the top level is the table without a name. */
  readonly #lines = new Map<string, number>();
  /** The lines of keys that stood before in the same table. */
  readonly repeated: readonly number[];

  /** Looks through a file once. */
  constructor(text: string) {
    const repeated: number[] = [];
    const counts = new Map<string, number>();
    let place = "/0";
    let nested = 0;
    for (const [index, line] of text.split("\n").entries()) {
      const header = nested === 0 ? HEADER.exec(line) : null;
      if (header) {
        const name = header[2]!;
        const count = counts.get(name) ?? 0;
        counts.set(name, count + 1);
        place = `${name}/${count}`;
        this.#lines.set(place, index + 1);
        continue;
      }
      const found = nested === 0 ? KEY.exec(line) : null;
      if (found) {
        const path = `${place}/${found[1] ?? found[2] ?? found[3]}`;
        if (this.#lines.has(path)) repeated.push(index + 1);
        else this.#lines.set(path, index + 1);
      }
      nested = Math.max(0, nested + depthChange(line));
    }
    this.repeated = repeated;
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

/** How many brackets a line leaves open, texts and comments aside. */
function depthChange(line: string): number {
  const bare = line.replace(/"(?:[^"\\]|\\.)*"|'[^']*'/g, "").replace(/#.*/, "");
  const count = (pattern: RegExp): number => bare.match(pattern)?.length ?? 0;
  return count(/[[{]/g) - count(/[\]}]/g);
}
