/**
 * A value, token by token: checked as QEMU's parser would, and spelled anew.
 *
 * The new spelling has no white space, double quotes and no key twice, so that
 * what goes on is surely one value to everybody. Numbers and escapes are kept.
 *
 * @module
 */

import type { Grammar } from "./grammar.ts";
import * as token from "./lexer.ts";
import type { Lexer } from "./lexer.ts";
import { KeyTable } from "./keys.ts";
import type { Offsets } from "./scan.ts";
import { asciiText, isPlain, respellString, wrongString } from "./text.ts";

/** A whole value, re-spelled: valid JSON, no white space, double quotes, no key twice. */
export interface Frame {
  /** The new spelling. */
  readonly bytes: Uint8Array;
  /** Is it an object? Else it has no members. */
  readonly isObject: boolean;
  /** The members of an object in the order they came, as offsets into `bytes`. */
  readonly offsets: Offsets;
}

/** QEMU formats the text of a syntax error into a buffer of this many bytes, NUL included. */
export const SYNTAX_TEXT_BYTES = 1024;

/** What the parser awaits. */
const VALUE = 0;
const VALUE_OR_END = 1;
const KEY = 2;
const KEY_OR_END = 3;
const COLON = 4;
const PAIR_END = 5;
const ITEM_END = 6;

/** An object or array that is still open. */
interface Container {
  /** What its parent awaited when it began. */
  readonly within: number;
  /** The number of an object, from 1; 0 for an array. */
  readonly object: number;
  /** Where the key whose value is being read begins in the new spelling, and where it ends. */
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

/** Reads one value after the other from a lexer's tokens. */
export class Normalizer {
  readonly #lexer: Lexer;
  readonly #grammar: Grammar;

  // The parser.
  #awaits = VALUE;
  #containers: Container[] = [];

  // The new spelling.
  #out = new Uint8Array(256);
  #written = 0;
  #offsets: number[] = [];
  #valueStart = 0;
  readonly #keys = new KeyTable();
  #objects = 0;

  /**
   * Nothing has been read of a value yet.
   *
   * @param lexer has the token that is to be taken
   * @param grammar whose errors are told
   */
  constructor(lexer: Lexer, grammar: Grammar) {
    this.#lexer = lexer;
    this.#grammar = grammar;
  }

  /** Takes the lexer's present token into the value; returns what is wrong with it in QEMU's words. */
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
        if (this.#containers.length === 1) this.#valueStart = this.#written;
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

  /** The value that has been taken since the last `forget`; to be called only where it is whole. */
  frame(): Frame {
    const offsets = this.#offsets.length > 0 ? this.#offsets : NO_OFFSETS;
    const bytes = this.#out.slice(0, this.#written);
    return { bytes, isObject: bytes[0] === OPEN_BRACE, offsets };
  }

  /** Forgets what has been read of a value. */
  forget(): void {
    this.#awaits = VALUE;
    this.#containers.length = 0;
    this.#written = 0;
    this.#objects = 0;
    this.#keys.clear();
    if (this.#offsets.length > 0) this.#offsets = [];
    // A large value's buffer is not kept for the next one.
    if (this.#out.length > 65536) this.#out = new Uint8Array(256);
  }

  #key(kind: number): string | undefined {
    if (kind !== token.STRING) {
      if (this.#grammar.keysAreStrings) return this.#grammar.texts.key;
      // The classic parser reads any value as a key and complains afterwards.
      this.#awaits = KEY;
      return this.#value(kind, this.#grammar.texts.key);
    }
    const container = this.#containers.at(-1)!;
    container.keyStart = this.#written;
    const wrong = this.#string();
    if (wrong !== undefined) return wrong;
    container.keyEnd = this.#written;
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

  /** Hands a value that has ended to its container; returns what is wrong with it there. */
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
    if (!this.#keys.add(object, this.#out, keyStart, keyEnd)) return texts.duplicateKey;
    if (depth === 1) this.#offsets.push(keyStart, this.#valueStart, this.#written);
    this.#awaits = PAIR_END;
    return undefined;
  }

  #punctuate(kind: number): void {
    this.#room(1);
    this.#out[this.#written++] = PUNCTUATION[kind]!;
  }

  /** Writes the present token, a string; returns what is wrong with it. */
  #string(): string | undefined {
    const { bytes, start, end } = this.#lexer;
    if (isPlain(bytes, start, end)) {
      this.#write();
      return undefined;
    }
    const wrong = wrongString(bytes, start, end);
    if (wrong !== undefined) return wrong;
    // At worst each `"` becomes two bytes, each two-byte NUL six.
    this.#room(3 * (end - start));
    this.#written = respellString(bytes, start, end, this.#out, this.#written);
    return undefined;
  }

  /** Writes the present token as it is. */
  #write(): void {
    const { bytes, start, end } = this.#lexer;
    const length = end - start;
    this.#room(length);
    if (length > 64) this.#out.set(bytes.subarray(start, end), this.#written);
    else {
      const out = this.#out;
      for (let from = start, to = this.#written; from < end;) out[to++] = bytes[from++]!;
    }
    this.#written += length;
  }

  #room(length: number): void {
    const needed = this.#written + length;
    if (needed <= this.#out.length) return;
    const grown = new Uint8Array(needed * 2);
    grown.set(this.#out.subarray(0, this.#written));
    this.#out = grown;
  }
}
