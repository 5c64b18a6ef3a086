/**
 * Arguments of a command as words, `key=value` or `key.member=value`.
 *
 * Values keep their spelling, so that 64-bit integers lose no digits.
 *
 * @module
 */

/** A word that is not an argument. */
export class WordError extends Error {
  /** Its kind. */
  override name = "WordError";
  /** The place of the word in the list, from 0. */
  readonly index: number;

  /** Creates an error for a word; the message names the word. */
  constructor(index: number, message: string) {
    super(message);
    this.index = index;
  }
}

/** The members of an object, by name; a value is JSON text. */
type Tree = Map<string, string | Tree>;

/** Returns the path and the value of an argument, as they are written; `undefined` if it has no `=`. */
export function splitWord(word: string): readonly [path: string, value: string] | undefined {
  const [, path, value] = /^([^=]+)=(.*)$/s.exec(word) ?? [];
  return path === undefined || value === undefined ? undefined : [path, value];
}

/** Returns the value of an argument as JSON text: itself if it is JSON, else a string. */
export function jsonOf(value: string): string {
  return isJson(value) ? value : JSON.stringify(value);
}

/**
 * Returns arguments as JSON text.
 *
 * @throws WordError for the first word that is not an argument, or sets a value again
 */
export function argumentsFrom(words: readonly string[]): string {
  const tree: Tree = new Map();
  for (const [index, word] of words.entries()) {
    const [path, value] = splitWord(word) ?? [];
    if (path === undefined || value === undefined) {
      throw new WordError(
        index,
        `invalid argument ${word}: expected key=value, or one JSON object`,
      );
    }
    if (!plant(tree, path.split("."), jsonOf(value))) {
      throw new WordError(
        index,
        `${word} sets a value that another argument sets too; remove one`,
      );
    }
  }
  return spell(tree);
}

/** Adds a value; returns false if there is one already. */
function plant(tree: Tree, [key, ...path]: string[], value: string): boolean {
  const there = tree.get(key!);
  if (path.length === 0 && there === undefined) {
    tree.set(key!, value);
    return true;
  }
  if (path.length === 0 || typeof there === "string") return false;
  const branch: Tree = there ?? new Map();
  tree.set(key!, branch);
  return plant(branch, path, value);
}

function spell(tree: Tree): string {
  const members = [...tree].map(([key, value]) =>
    `${JSON.stringify(key)}:${typeof value === "string" ? value : spell(value)}`
  );
  return `{${members.join(",")}}`;
}

/** Returns whether a text is JSON. */
export function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch (error) {
    if (error instanceof SyntaxError) return false;
    throw error;
  }
}
