/**
 * A search for ASCII words in bytes, without decoding them.
 *
 * At each byte one table tells whether a word may be there. The table has the rarest letter of each
 * word, so that most bytes cost one look.
 *
 * @module
 */

/** The letters and signs of a text such as QEMU's messages, the rarest first; other signs are rarer. */
const BY_RARITY = 'zqjxwkvgfybhupdmclonsratie-"';

const COLON = 0x3a;
/** The index of a colon in the table. */
const COLON_INDEX = 255;
const QUOTE = 0x22;
const SPACE = 0x20;

/** The bit in which the two cases of a letter differ. */
const CASE = 0x20;

/** A word, and the place of the letter that is looked for. */
interface Word {
  readonly codes: readonly number[];
  readonly place: number;
}

/** The form of a colon that separates a name and its value, and is not looked for. */
export type Separator =
  /** The colon follows a quotation mark, as in a normalized frame. */
  | '":'
  /** A space follows the colon, as QEMU prints it. */
  | ": ";

/** A search for any of some words, in any case. A colon that is not a separator is one of them. */
export class WordSearch {
  readonly #isAfterQuote: boolean;
  /** For each byte, the index of its words; 0 if it has none. */
  readonly #index = new Uint8Array(256);
  readonly #words: Word[][] = [[]];

  /** Creates a search for words of ASCII signs and small letters. */
  constructor(words: readonly string[], separator: Separator) {
    this.#isAfterQuote = separator === '":';
    for (const text of words) {
      const place = rarestOf(text);
      const codes = Array.from(text, (_, at) => text.charCodeAt(at) | CASE);
      this.#add(text.charCodeAt(place), { codes, place });
    }
    this.#index[COLON] = COLON_INDEX;
  }

  #add(code: number, word: Word): void {
    const known = this.#index[code]!;
    if (known > 0) {
      this.#words[known]!.push(word);
      return;
    }
    const index = this.#words.push([word]) - 1;
    this.#index[code] = index;
    const isLetter = code >= 0x61 && code <= 0x7a;
    if (isLetter) this.#index[code & ~CASE] = index;
  }

  /** Returns whether the bytes before `end` have a word. */
  finds(bytes: Uint8Array, end: number = bytes.length): boolean {
    const index = this.#index;
    for (let at = 0; at < end; at++) {
      const found = index[bytes[at]!]!;
      if (found !== 0 && this.#isAt(bytes, at, found)) return true;
    }
    return false;
  }

  #isAt(bytes: Uint8Array, at: number, index: number): boolean {
    if (index === COLON_INDEX) {
      return this.#isAfterQuote ? bytes[at - 1] !== QUOTE : bytes[at + 1] !== SPACE;
    }
    for (const { codes, place } of this.#words[index]!) {
      const from = at - place;
      let length = 0;
      // Beyond the bytes there is NaN or 0, which no word has.
      while (length < codes.length && (bytes[from + length]! | CASE) === codes[length]) length++;
      if (length === codes.length) return true;
    }
    return false;
  }
}

/** Returns the place of the rarest sign of a word. */
function rarestOf(text: string): number {
  const ranks = Array.from(text, (sign) => BY_RARITY.indexOf(sign));
  return ranks.indexOf(Math.min(...ranks));
}
