/**
 * Bytes in, whole values out: QEMU's framing.
 *
 * A value ends where its brackets balance, not where a line ends. Each token is
 * checked as QEMU's parser would and written out again without white space and
 * in double quotes, so that what goes on is surely one value to everybody.
 *
 * @module
 */

import { CLASSIC, type Grammar } from "./grammar.ts";
import * as token from "./lexer.ts";
import { Lexer } from "./lexer.ts";
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

/** What is no value; `damage` is the `desc` that QEMU answers. */
export interface Damage {
  /** QEMU's text for it. */
  readonly damage: string;
}

/** QEMU's limits on one value (measured; its `MAX_NESTING`, `MAX_TOKEN_COUNT`, `MAX_TOKEN_SIZE`). */
export const NESTING_LIMIT = 1024;
/** A value may have this many tokens (QEMU: `2 << 20`, measured). */
export const TOKEN_COUNT_LIMIT = 2 << 20;

/** What is answered to a value of too many bytes, also at a limit of ours. */
export const TOO_LONG = "JSON token size limit exceeded";

/** QEMU formats the text of a syntax error into a buffer of this many bytes, NUL included. */
const SYNTAX_TEXT_BYTES = 1024;

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

/** Splits one client's stream; `load` a chunk, then take what is in it with `next`. */
export class FrameSplitter {
  readonly #grammar: Grammar;
  readonly #lexer = new Lexer();
  #limit = token.TOKEN_BYTES_LIMIT;

  // The value being read.
  #braces = 0;
  #squares = 0;
  #tokens = 0;
  #tokenBytes = 0;
  #wrong: string | undefined;
  /** An error has been told; the rest is skipped until brackets balance. */
  #skipping = false;

  // Its parser.
  #awaits = VALUE;
  #containers: Container[] = [];

  // Its new spelling.
  #out = new Uint8Array(256);
  #written = 0;
  #members: Member[] = [];
  #keyStart = 0;
  #valueStart = 0;

  /**
   * A splitter at the beginning of a stream.
   *
   * @param grammar whose errors the client is to hear
   */
  constructor(grammar: Grammar = CLASSIC) {
    this.#grammar = grammar;
  }

  /**
   * Bytes of tokens a value may have, at most QEMU's own 64 MiB.
   *
   * Past a lower limit the rest of the value is skipped, to where its brackets
   * balance: were it read as fresh input, as past QEMU's own, a text inside it
   * could become a command.
   */
  set limit(bytes: number) {
    this.#limit = Math.min(bytes, token.TOKEN_BYTES_LIMIT);
    this.#lexer.limit = this.#limit;
  }

  /** Gives it the next bytes; only after `next` has returned `undefined`. The chunk may be reused then. */
  load(chunk: Uint8Array): void {
    this.#lexer.load(chunk);
  }

  /** The next value or damage, or `undefined` when it needs more bytes. */
  next(): Frame | Damage | undefined {
    for (;;) {
      const kind = this.#lexer.next();
      if (kind === token.NONE) return undefined;
      const found = this.#take(kind);
      if (found !== undefined) return found;
    }
  }

  #take(kind: number): Frame | Damage | undefined {
    const lexer = this.#lexer;
    if (kind === token.LEFT_BRACE) this.#braces++;
    else if (kind === token.RIGHT_BRACE) this.#braces--;
    else if (kind === token.LEFT_SQUARE) this.#squares++;
    else if (kind === token.RIGHT_SQUARE) this.#squares--;
    else if (kind === token.STRAY) {
      return this.#stray();
    }

    if (this.#skipping) {
      if (!this.#open) this.#reset();
      return undefined;
    }

    const length = lexer.end - lexer.start;
    if (this.#tokenBytes + length + 1 > this.#limit) return this.#tooLong(kind);
    if (this.#tokens + 1 > TOKEN_COUNT_LIMIT) return this.#past("token count");
    if (this.#braces + this.#squares > NESTING_LIMIT) return this.#past("nesting depth");
    this.#tokens++;
    this.#tokenBytes += length;

    if (this.#wrong === undefined) {
      const wrong = this.#parse(kind);
      if (wrong !== undefined) {
        this.#wrong = this.#syntax(wrong);
        if (this.#grammar.atOnce) return this.#told(this.#wrong);
      }
    }
    if (this.#open) return undefined;
    return this.#wrong === undefined ? this.#whole() : this.#dropped(this.#wrong);
  }

  /** Must more tokens follow before QEMU looks at the value? */
  get #open(): boolean {
    const braces = this.#braces;
    const squares = this.#squares;
    return (braces > 0 || squares > 0) && braces >= 0 && squares >= 0;
  }

  #syntax(text: string): string {
    const at = this.#grammar.positions ? `${this.#lexer.line}:${this.#lexer.column}: ` : "";
    return `${at}JSON parse error, ${text}`;
  }

  /** Stray bytes end the value, whatever it was; unseen where its damage has been told. */
  #stray(): Damage | undefined {
    if (this.#skipping && this.#grammar.atOnce) {
      this.#reset();
      return undefined;
    }
    const { bytes, start, end } = this.#lexer;
    if (!this.#grammar.cutsStray) {
      return this.#dropped(this.#syntax(`stray '${shown(bytes, start, end)}'`));
    }
    const room = SYNTAX_TEXT_BYTES - 1 - "stray '".length;
    const nul = bytes.subarray(start, end).indexOf(0);
    const length = nul < 0 ? end - start : nul;
    const quote = length < room ? "'" : "";
    const text = shown(bytes, start, start + Math.min(length, room));
    return this.#dropped(this.#syntax(`stray '${text}${quote}`));
  }

  /** More bytes than the limit: the rest of this value, also of this token, is skipped at a limit of ours. */
  #tooLong(kind: number): Damage {
    if (this.#limit === token.TOKEN_BYTES_LIMIT) return this.#past("token size");
    if (kind !== token.OVERSIZE && !this.#open) return this.#dropped(TOO_LONG);
    this.#skipping = true;
    this.#forget();
    return { damage: TOO_LONG };
  }

  #past(limit: string): Damage {
    const damage = `JSON ${limit} limit exceeded`;
    return this.#grammar.atOnce ? this.#told(damage) : this.#dropped(damage);
  }

  /** Damage told at once: the rest of the value is skipped, unless it has ended here. */
  #told(damage: string): Damage {
    if (!this.#open) return this.#dropped(damage);
    this.#skipping = true;
    return { damage };
  }

  #dropped(damage: string): Damage {
    this.#reset();
    return { damage };
  }

  #whole(): Frame {
    const bytes = this.#out.slice(0, this.#written);
    const isObject = bytes[0] === PUNCTUATION[token.LEFT_BRACE];
    const members = this.#members.length > 0 ? this.#members : NO_MEMBERS;
    this.#reset();
    return { bytes, isObject, members };
  }

  #reset(): void {
    this.#braces =
      this.#squares =
      this.#tokens =
      this.#tokenBytes =
        0;
    this.#wrong = undefined;
    this.#skipping = false;
    this.#forget();
  }

  /** Lets go of what has been read of a value. */
  #forget(): void {
    this.#awaits = VALUE;
    this.#containers.length = 0;
    this.#written = 0;
    if (this.#members.length > 0) this.#members = [];
    // A large value's buffer is not kept for the next one.
    if (this.#out.length > 65536) this.#out = new Uint8Array(256);
  }

  /** Takes one token into the value; returns what is wrong with it in QEMU's words. */
  #parse(kind: number): string | undefined {
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

/**
 * The one value in a text of ours.
 *
 * @throws Error where it is not exactly one
 */
export function frameOf(text: string): Frame {
  const splitter = new FrameSplitter();
  splitter.load(new TextEncoder().encode(text));
  const frame = splitter.next();
  if (frame === undefined || "damage" in frame || splitter.next() !== undefined) {
    throw new Error(`Cannot frame ${text}`);
  }
  return frame;
}
