/**
 * The words of a line, with their places.
 *
 * Quotes are those of a POSIX shell, so that a line for `qmpmux exec` can be used here too. A value that
 * begins with `{` or `[` is JSON up to its end, and needs no quotes.
 *
 * @module
 */

/** A word. */
export interface Word {
  /** The text without quotes. */
  readonly text: string;
  /** The place of its first character in the line. */
  readonly from: number;
  /** The place behind its last character. */
  readonly to: number;
  /** Whether it has a quote or a bracket that is not closed. */
  readonly isOpen: boolean;
}

/** An error in a line. */
export class LineError extends Error {
  /** Its kind. */
  override name = "LineError";
  /** The place of the error in the line, from 0. */
  readonly at: number;

  /** Creates an error at a place. */
  constructor(at: number, message: string) {
    super(message);
    this.at = at;
  }
}

/** Returns the words of a line; the last may be open. */
export function wordsOf(line: string): readonly Word[] {
  const words: Word[] = [];
  let at = 0;
  for (;;) {
    while (isBlank(line[at])) at++;
    if (at >= line.length) return words;
    const word = wordAt(line, at);
    words.push(word);
    at = word.to;
  }
}

/**
 * Returns the words of a line.
 *
 * @throws LineError if a quote or a bracket is not closed
 */
export function closedWordsOf(line: string): readonly Word[] {
  const words = wordsOf(line);
  const last = words.at(-1);
  if (last?.isOpen) {
    const at = openingIn(line, last);
    throw new LineError(at, `the ${line[at]} is not closed`);
  }
  return words;
}

function isBlank(char: string | undefined): boolean {
  return char === " " || char === "\t";
}

/** Returns the word that begins at a place. */
function wordAt(line: string, from: number): Word {
  let [text, at] = ["", from];
  while (at < line.length && !isBlank(line[at])) {
    const char = line[at]!;
    // JSON begins a word, or a value behind the first = of a word.
    if ((char === "{" || char === "[") && (text === "" || /^[^=]+=$/.test(text))) {
      const end = jsonEnd(line, at);
      if (end === undefined) {
        return { text: text + line.slice(at), from, to: line.length, isOpen: true };
      }
      text += line.slice(at, end);
      at = end;
    } else if (char === "'" || char === '"') {
      const [inner, end] = quoted(line, at);
      text += inner;
      if (end === undefined) return { text, from, to: line.length, isOpen: true };
      at = end;
    } else if (char === "\\" && at + 1 < line.length) {
      text += line[at + 1]!;
      at += 2;
    } else {
      text += char;
      at++;
    }
  }
  return { text, from, to: at, isOpen: false };
}

/** Returns the text between quotes and the place behind them; the place is `undefined` if they are open. */
function quoted(line: string, from: number): readonly [text: string, end: number | undefined] {
  const quote = line[from]!;
  let text = "";
  for (let at = from + 1; at < line.length; at++) {
    const char = line[at]!;
    if (char === quote) return [text, at + 1];
    const isEscaping = quote === '"' && char === "\\" && /["\\$`]/.test(line[at + 1] ?? "");
    text += isEscaping ? line[++at]! : char;
  }
  return [text, undefined];
}

/** Returns the place behind the JSON that begins at a bracket; `undefined` if it has no end. */
function jsonEnd(line: string, from: number): number | undefined {
  let [depth, isString] = [0, false];
  for (let at = from; at < line.length; at++) {
    const char = line[at]!;
    if (isString) {
      if (char === "\\") at++;
      else if (char === '"') isString = false;
    } else if (char === '"') isString = true;
    else if (char === "{" || char === "[") depth++;
    else if ((char === "}" || char === "]") && --depth === 0) return at + 1;
  }
  return undefined;
}

/** Returns the place of the quote or bracket that is open in a word. */
function openingIn(line: string, word: Word): number {
  for (let at = word.from; at < word.to; at++) {
    const char = line[at]!;
    if (char === "\\") at++;
    else if (char === "{" || char === "[") return at;
    else if (char === "'" || char === '"') {
      const [, end] = quoted(line, at);
      if (end === undefined) return at;
      at = end - 1;
    }
  }
  return word.from;
}
