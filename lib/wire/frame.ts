/**
 * QEMU's framing: splits a stream of bytes into whole values.
 *
 * A value ends where its brackets balance, not at a line end. Malformed values, and values
 * beyond QEMU's limits, cause QEMU's error text at the byte where QEMU reports the error.
 *
 * @module
 */

import { CLASSIC, type Grammar } from "./grammar.ts";
import * as token from "./lexer.ts";
import { Lexer } from "./lexer.ts";
import { type Frame, Normalizer, SYNTAX_TEXT_BYTES } from "./normalizer.ts";
import { shown } from "./text.ts";

export type { Frame } from "./normalizer.ts";
export type { Offsets } from "./scan.ts";

/** Malformed input. */
export interface Damage {
  /** The `desc` of QEMU's error. */
  readonly damage: string;
  /** The number of bytes that were read of it, without white space, if they were counted. */
  readonly length?: number;
}

/** The deepest nesting of a value in QEMU (measured; `MAX_NESTING`). */
export const NESTING_LIMIT = 1024;
/** The most tokens of a value in QEMU (measured; `MAX_TOKEN_COUNT`). */
export const TOKEN_COUNT_LIMIT = 2 << 20;

/** The error for a value with too many bytes, by QEMU's `MAX_TOKEN_SIZE` or a lower limit. */
export const TOO_LONG = "JSON token size limit exceeded";

/** A splitter of one client's stream. Call `load` with a chunk, then `next` until it returns `undefined`. */
export class FrameSplitter {
  readonly #grammar: Grammar;
  readonly #lexer = new Lexer();
  readonly #normalizer: Normalizer;
  #limit = token.TOKEN_BYTES_LIMIT;

  // The state of the value being read.
  #braces = 0;
  #squares = 0;
  #tokens = 0;
  #tokenBytes = 0;
  #wrong: string | undefined;
  /** Whether the error of the present value was returned; the rest of the value is skipped. */
  #skipping = false;

  /**
   * Creates a splitter at the beginning of a stream.
   *
   * @param grammar the grammar that the errors follow
   */
  constructor(grammar: Grammar = CLASSIC) {
    this.#grammar = grammar;
    this.#normalizer = new Normalizer(this.#lexer, grammar);
  }

  /**
   * The most bytes of a value's tokens, up to QEMU's own 64 MiB.
   *
   * At a lower limit the rest of the value is skipped until its brackets balance. QEMU reads the
   * rest as new input, so text inside the value could become a command.
   */
  set limit(bytes: number) {
    this.#limit = Math.min(bytes, token.TOKEN_BYTES_LIMIT);
    this.#lexer.limit = this.#limit;
  }

  /**
   * Loads the next chunk; call it only after `next` has returned `undefined`.
   *
   * The buffer of the earlier chunk may be reused then.
   */
  load(chunk: Uint8Array): void {
    this.#lexer.load(chunk);
  }

  /** Returns the next value or error, or `undefined` if it needs more bytes. */
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
      const wrong = this.#normalizer.take(kind);
      if (wrong !== undefined) {
        this.#wrong = this.#syntax(wrong);
        if (this.#grammar.isPositioned) return this.#told(this.#wrong);
      }
    }
    if (this.#open) return undefined;
    return this.#wrong === undefined ? this.#whole() : this.#dropped(this.#wrong);
  }

  /** Whether the value's brackets are still open. QEMU then reads more tokens before it parses it. */
  get #open(): boolean {
    const braces = this.#braces;
    const squares = this.#squares;
    return (braces > 0 || squares > 0) && braces >= 0 && squares >= 0;
  }

  #syntax(text: string): string {
    const at = this.#grammar.isPositioned ? `${this.#lexer.line}:${this.#lexer.column}: ` : "";
    return `${at}JSON parse error, ${text}`;
  }

  /** Drops the present value because of stray bytes; returns the error unless one was already returned for it. */
  #stray(): Damage | undefined {
    if (this.#skipping && this.#grammar.isPositioned) {
      this.#reset();
      return undefined;
    }
    const { bytes, start, end } = this.#lexer;
    if (!this.#grammar.isPositioned) {
      return this.#dropped(this.#syntax(`stray '${shown(bytes, start, end)}'`));
    }
    const room = SYNTAX_TEXT_BYTES - 1 - "stray '".length;
    const nul = bytes.subarray(start, end).indexOf(0);
    const length = nul < 0 ? end - start : nul;
    const quote = length < room ? "'" : "";
    const text = shown(bytes, start, start + Math.min(length, room));
    return this.#dropped(this.#syntax(`stray '${text}${quote}`));
  }

  /** Drops a value that is too long; at a limit lower than QEMU's, the rest of it is skipped. */
  #tooLong(kind: number): Damage {
    if (this.#limit === token.TOKEN_BYTES_LIMIT) return this.#past("token size");
    if (kind !== token.OVERSIZE && !this.#open) return this.#dropped(TOO_LONG);
    this.#skipping = true;
    this.#normalizer.forget();
    return this.#damage(TOO_LONG);
  }

  #past(limit: string): Damage {
    const damage = `JSON ${limit} limit exceeded`;
    return this.#grammar.isPositioned ? this.#told(damage) : this.#dropped(damage);
  }

  /** Returns an error at once, and skips the rest of the value if brackets are open. */
  #told(damage: string): Damage {
    if (!this.#open) return this.#dropped(damage);
    this.#skipping = true;
    return this.#damage(damage);
  }

  #dropped(text: string): Damage {
    const damage = this.#damage(text);
    this.#reset();
    return damage;
  }

  #damage(damage: string): Damage {
    return { damage, length: this.#tokenBytes };
  }

  #whole(): Frame {
    const frame = this.#normalizer.frame();
    this.#reset();
    return frame;
  }

  #reset(): void {
    this.#braces =
      this.#squares =
      this.#tokens =
      this.#tokenBytes =
        0;
    this.#wrong = undefined;
    this.#skipping = false;
    this.#normalizer.forget();
  }
}

/**
 * Reads the single value of a trusted text.
 *
 * @throws Error when the text is not exactly one value
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
