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
import { asciiText, isPlain, readString, respellString, shown } from "./text.ts";

/** One member of a top-level object; offsets are into the frame's bytes. */
export interface Member {
  /** Decoded. */
  readonly key: string;
  /** Where the key's opening quote stands. */
  readonly keyStart: number;
  /** Where the value begins. */
  readonly start: number;
  /** Where the value ends, exclusive. */
  readonly end: number;
}

/** A whole value, re-spelled: valid JSON, no white space, double quotes, no key twice. */
export interface Frame {
  /** The new spelling. */
  readonly bytes: Uint8Array;
  /** Is it an object? Else it has no members. */
  readonly isObject: boolean;
  /** The members of an object, in the order they came. */
  readonly members: readonly Member[];
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
  /** The keys it has; an array has none. */
  readonly keys: Set<string> | undefined;
  /** The key whose value is being read. */
  key: string;
}

const KEYWORDS = new Set(["true", "false", "null"]);
const PUNCTUATION: Record<number, number> = {
  [token.LEFT_BRACE]: 0x7b,
  [token.RIGHT_BRACE]: 0x7d,
  [token.LEFT_SQUARE]: 0x5b,
  [token.RIGHT_SQUARE]: 0x5d,
  [token.COLON]: 0x3a,
  [token.COMMA]: 0x2c,
};

const NO_MEMBERS: readonly Member[] = [];

/** Reads one value after the other from a lexer's tokens. */
export class Speller {
  readonly #lexer: Lexer;
  readonly #grammar: Grammar;

  // The parser.
  #awaits = VALUE;
  #containers: Container[] = [];

  // The new spelling.
  #out = new Uint8Array(256);
  #written = 0;
  #members: Member[] = [];
  #keyStart = 0;
  #valueStart = 0;

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

  /** What has been taken since it was forgotten last, where that is a whole value. */
  frame(): Frame {
    const bytes = this.#out.slice(0, this.#written);
    const isObject = bytes[0] === PUNCTUATION[token.LEFT_BRACE];
    const members = this.#members.length > 0 ? this.#members : NO_MEMBERS;
    return { bytes, isObject, members };
  }

  /** Lets go of what has been read of a value. */
  forget(): void {
    this.#awaits = VALUE;
    this.#containers.length = 0;
    this.#written = 0;
    if (this.#members.length > 0) this.#members = [];
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
    const { bytes, start, end } = this.#lexer;
    let key: string;
    if (isPlain(bytes, start, end)) key = asciiText(bytes, start + 1, end - 1);
    else {
      const read = readString(bytes, start, end);
      if ("wrong" in read) return read.wrong;
      key = read.text;
    }
    const depth = this.#containers.length;
    if (depth === 1) this.#keyStart = this.#written;
    this.#write(kind);
    this.#containers[depth - 1]!.key = key;
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
        const word = shown(bytes, start, end);
        if (!KEYWORDS.has(word)) return `invalid keyword '${word}'`.slice(0, SYNTAX_TEXT_BYTES - 1);
        break;
      }
      case token.STRING: {
        const { bytes, start, end } = this.#lexer;
        if (isPlain(bytes, start, end)) break;
        const read = readString(bytes, start, end);
        if ("wrong" in read) return read.wrong;
        break;
      }
      default:
        return otherwise;
    }
    this.#write(kind);
    return this.#finished();
  }

  #openUp(kind: number, awaits: number): undefined {
    const keys = kind === token.LEFT_BRACE ? new Set<string>() : undefined;
    this.#containers.push({ within: this.#awaits, keys, key: "" });
    this.#punctuate(kind);
    this.#awaits = awaits;
  }

  #close(kind: number): string | undefined {
    this.#punctuate(kind);
    this.#awaits = this.#containers.pop()!.within;
    return this.#finished();
  }

  /** A value has ended; what its container makes of it. */
  #finished(): string | undefined {
    const { texts } = this.#grammar;
    const depth = this.#containers.length;
    if (depth === 0) return undefined;
    const { keys, key } = this.#containers[depth - 1]!;
    if (keys === undefined) {
      this.#awaits = ITEM_END;
      return undefined;
    }
    if (this.#awaits === KEY) return texts.keyNotString;
    if (keys.has(key)) return texts.duplicateKey;
    keys.add(key);
    if (depth === 1) {
      const keyStart = this.#keyStart;
      this.#members.push({ key, keyStart, start: this.#valueStart, end: this.#written });
    }
    this.#awaits = PAIR_END;
    return undefined;
  }

  #punctuate(kind: number): void {
    this.#room(1);
    this.#out[this.#written++] = PUNCTUATION[kind]!;
  }

  /** Writes the present token. */
  #write(kind: number): void {
    const { bytes, start, end } = this.#lexer;
    const length = end - start;
    if (kind === token.STRING && !isPlain(bytes, start, end)) {
      // At worst each `"` becomes two bytes, each two-byte NUL six.
      this.#room(3 * length);
      this.#written = respellString(bytes, start, end, this.#out, this.#written);
      return;
    }
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
