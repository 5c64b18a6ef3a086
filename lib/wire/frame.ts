/**
 * Bytes in, whole values out: QEMU's framing.
 *
 * A value ends where its brackets balance, not where a line ends. What is no
 * value is told in QEMU's words, where QEMU would tell it, and so is one past
 * its limits.
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

/** Splits one client's stream; `load` a chunk, then take what is in it with `next`. */
export class FrameSplitter {
  readonly #grammar: Grammar;
  readonly #lexer = new Lexer();
  readonly #normalizer: Normalizer;
  #limit = token.TOKEN_BYTES_LIMIT;

  // The value being read.
  #braces = 0;
  #squares = 0;
  #tokens = 0;
  #tokenBytes = 0;
  #wrong: string | undefined;
  /** An error has been told; the rest is skipped until brackets balance. */
  #skipping = false;

  /**
   * A splitter at the beginning of a stream.
   *
   * @param grammar whose errors the client is to hear
   */
  constructor(grammar: Grammar = CLASSIC) {
    this.#grammar = grammar;
    this.#normalizer = new Normalizer(this.#lexer, grammar);
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
      const wrong = this.#normalizer.take(kind);
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
    this.#normalizer.forget();
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
