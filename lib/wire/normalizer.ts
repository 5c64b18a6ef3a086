/**
 * The parser of tokens, which makes QEMU's checks and normalizes the value.
 *
 * The normalized text has double quotes, no white space and no duplicate keys, so that every
 * JSON parser reads the same value. Numbers and escapes are unchanged.
 *
 * @module
 */

import type { Grammar } from "./grammar.ts";
import * as token from "./lexer.ts";
import type { Lexer } from "./lexer.ts";
import { KeyTable } from "./keys.ts";
import { Output } from "./output.ts";
import type { Offsets } from "./scan.ts";
import { respellString } from "./spelling.ts";
import { asciiText, isPlain, wrongString } from "./text.ts";

/** A whole normalized value: valid JSON with double quotes, no white space and no duplicate keys. */
export interface Frame {
  /** The normalized text. */
  readonly bytes: Uint8Array;
  /** Whether it is an object. */
  readonly isObject: boolean;
  /** The offsets in `bytes` of the members of an object, in the client's order. */
  readonly offsets: Offsets;
}

/** The size of QEMU's buffer for the text of a syntax error, NUL included. */
export const SYNTAX_TEXT_BYTES = 1024;

/** The tokens that the parser expects next. */
const VALUE = 0;
const VALUE_OR_END = 1;
const KEY = 2;
const KEY_OR_END = 3;
const COLON = 4;
const PAIR_END = 5;
const ITEM_END = 6;

/** An object or array that has not ended yet. */
interface Container {
  /** The tokens that the parser expected when it began. */
  readonly within: number;
  /** The number of an object, from 1; 0 for an array. */
  readonly object: number;
  /** The beginning and the end, in the normalized text, of the key of the present member. */
  keyStart: number;
  keyEnd: number;
}

const OPEN_BRACE = 0x7b;
const LONGEST_KEYWORD = 5;
const KEYWORDS = new Set(["true", "false", "null"]);
const PUNCTUATION: Record<number, number> = {
  [token.LEFT_BRACE]: 0x7b,
  [token.RIGHT_BRACE]: 0x7d,
  [token.LEFT_SQUARE]: 0x5b,
  [token.RIGHT_SQUARE]: 0x5d,
  [token.COLON]: 0x3a,
  [token.COMMA]: 0x2c,
};

const NO_OFFSETS: Offsets = [];

/** A parser of a lexer's tokens. */
export class Normalizer {
  readonly #lexer: Lexer;
  readonly #grammar: Grammar;

  // The state of the parser.
  #awaits = VALUE;
  #containers: Container[] = [];

  // The normalized text.
  readonly #out = new Output(256);
  #offsets: number[] = [];
  #valueStart = 0;
  readonly #keys = new KeyTable();
  #objects = 0;

  /**
   * Creates a parser before the first token of a value.
   *
   * @param lexer the lexer whose present token `take` adds
   * @param grammar the grammar that selects the error texts
   */
  constructor(lexer: Lexer, grammar: Grammar) {
    this.#lexer = lexer;
    this.#grammar = grammar;
  }

  /** Adds the lexer's present token to the value; returns QEMU's error text if it does not fit. */
  take(kind: number): string | undefined {
    const { texts } = this.#grammar;
    switch (this.#awaits) {
      case VALUE_OR_END:
        if (kind === token.RIGHT_SQUARE) return this.#close(kind);
        return this.#value(kind, texts.value);
      case VALUE:
        return this.#value(kind, texts.value);
      case KEY_OR_END:
        if (kind === token.RIGHT_BRACE) return this.#close(kind);
        return this.#key(kind);
      case KEY:
        return this.#key(kind);
      case COLON:
        if (kind !== token.COLON) return texts.colon;
        this.#punctuate(kind);
        this.#awaits = VALUE;
        if (this.#containers.length === 1) this.#valueStart = this.#out.length;
        return undefined;
      case PAIR_END:
        if (kind === token.RIGHT_BRACE) return this.#close(kind);
        if (kind !== token.COMMA) return texts.objectSeparator;
        this.#punctuate(kind);
        this.#awaits = KEY;
        return undefined;
      default:
        if (kind === token.RIGHT_SQUARE) return this.#close(kind);
        if (kind !== token.COMMA) return texts.arraySeparator;
        this.#punctuate(kind);
        this.#awaits = VALUE;
        return undefined;
    }
  }

  /** Returns the value added since the last `forget`. Call it only when the value is complete. */
  frame(): Frame {
    const offsets = this.#offsets.length > 0 ? this.#offsets : NO_OFFSETS;
    const bytes = this.#out.bytes.slice();
    return { bytes, isObject: bytes[0] === OPEN_BRACE, offsets };
  }

  /** Drops the present value. */
  forget(): void {
    this.#awaits = VALUE;
    this.#containers.length = 0;
    this.#out.clear();
    this.#objects = 0;
    this.#keys.clear();
    if (this.#offsets.length > 0) this.#offsets = [];
  }

  #key(kind: number): string | undefined {
    if (kind !== token.STRING) {
      if (this.#grammar.isPositioned) return this.#grammar.texts.key;
      // The classic parser accepts any value as a key and reports the error after the value.
      this.#awaits = KEY;
      return this.#value(kind, this.#grammar.texts.key);
    }
    const container = this.#containers.at(-1)!;
    container.keyStart = this.#out.length;
    const wrong = this.#string();
    if (wrong !== undefined) return wrong;
    container.keyEnd = this.#out.length;
    this.#awaits = COLON;
    return undefined;
  }

  #value(kind: number, otherwise: string): string | undefined {
    switch (kind) {
      case token.LEFT_BRACE:
        return this.#openUp(kind, KEY_OR_END);
      case token.LEFT_SQUARE:
        return this.#openUp(kind, VALUE_OR_END);
      case token.INTEGER:
      case token.FLOAT:
        break;
      case token.KEYWORD: {
        const { bytes, start, end } = this.#lexer;
        const word = asciiText(bytes, start, Math.min(end, start + SYNTAX_TEXT_BYTES));
        if (end - start > LONGEST_KEYWORD || !KEYWORDS.has(word)) {
          return `invalid keyword '${word}'`.slice(0, SYNTAX_TEXT_BYTES - 1);
        }
        break;
      }
      case token.STRING: {
        const wrong = this.#string();
        return wrong === undefined ? this.#finished() : wrong;
      }
      default:
        return otherwise;
    }
    this.#write();
    return this.#finished();
  }

  #openUp(kind: number, awaits: number): undefined {
    const object = kind === token.LEFT_BRACE ? ++this.#objects : 0;
    this.#containers.push({ within: this.#awaits, object, keyStart: 0, keyEnd: 0 });
    this.#punctuate(kind);
    this.#awaits = awaits;
  }

  #close(kind: number): string | undefined {
    this.#punctuate(kind);
    this.#awaits = this.#containers.pop()!.within;
    return this.#finished();
  }

  /** Adds a complete value to its container; returns QEMU's error text if it does not fit. */
  #finished(): string | undefined {
    const { texts } = this.#grammar;
    const depth = this.#containers.length;
    if (depth === 0) return undefined;
    const { object, keyStart, keyEnd } = this.#containers[depth - 1]!;
    if (object === 0) {
      this.#awaits = ITEM_END;
      return undefined;
    }
    if (this.#awaits === KEY) return texts.keyNotString;
    if (!this.#keys.add(object, this.#out.buffer, keyStart, keyEnd)) return texts.duplicateKey;
    if (depth === 1) this.#offsets.push(keyStart, this.#valueStart, this.#out.length);
    this.#awaits = PAIR_END;
    return undefined;
  }

  #punctuate(kind: number): void {
    this.#out.put(PUNCTUATION[kind]!);
  }

  /** Writes the present token, a string; returns QEMU's error text if it is malformed. */
  #string(): string | undefined {
    const { bytes, start, end } = this.#lexer;
    if (isPlain(bytes, start, end)) {
      this.#write();
      return undefined;
    }
    const wrong = wrongString(bytes, start, end);
    if (wrong !== undefined) return wrong;
    // A `"` becomes at most two bytes, a two-byte NUL six.
    this.#out.within(
      3 * (end - start),
      (out, at) => respellString(bytes, start, end, out, at),
    );
    return undefined;
  }

  /** Copies the present token. */
  #write(): void {
    const { bytes, start, end } = this.#lexer;
    this.#out.copy(bytes, start, end);
  }
}
