/**
 * JSON in lines for people: what fits on a line stands on one.
 *
 * The text is not decoded, so numbers keep their digits. It may have 20 MB; only the lines that are
 * wanted are made.
 *
 * @module
 */

import { stringEnd } from "../../wire/json_text.ts";
import { shortened } from "../../wire/shortened.ts";
import type { Kind, Paint } from "./paint.ts";

/** The most characters of a string or a number that is shown. */
const TOKEN_LENGTH = 4096;

/** A token: its text, and its kind if it is a value. */
interface Token {
  readonly text: string;
  readonly kind: Kind | undefined;
}

/** Yields the lines of a value, each with the text's own characters only: printable ASCII. */
export class JsonLayout {
  readonly #text: string;
  readonly #width: number;
  readonly #paint: Paint;
  #at = 0;

  /**
   * Creates the lines of a value.
   *
   * @param text JSON on one line of printable ASCII
   * @param width the columns of the terminal
   */
  constructor(text: string, width: number, paint: Paint) {
    this.#text = text;
    this.#width = width;
    this.#paint = paint;
  }

  /** Yields the lines. */
  *lines(): Generator<string> {
    this.#at = 0;
    yield* this.#value("", "", "");
  }

  /** The characters that are in the lines so far. */
  get taken(): number {
    return this.#at;
  }

  /**
   * Yields the lines of the value at the place, and moves behind it.
   *
   * @param head the painted text before it on its first line, of which `bare` is without colours
   */
  *#value(head: string, bare: string, indent: string): Generator<string> {
    const inline = this.#inline(this.#width - bare.length - 1);
    if (inline !== undefined) {
      yield head + inline + this.#comma();
      return;
    }
    const open = this.#next();
    if (open.kind !== undefined) {
      yield head + this.#shown(open) + this.#comma();
      return;
    }
    yield head + open.text;
    const inner = `${indent}  `;
    const isObject = open.text === "{";
    const close = isObject ? "}" : "]";
    while (this.#peek() !== close) {
      if (!isObject) {
        yield* this.#value(inner, inner, inner);
        continue;
      }
      const key = this.#next().text;
      this.#next();
      yield* this.#value(`${inner}${this.#paint("key", key)}: `, `${inner}${key}: `, inner);
    }
    this.#next();
    yield indent + close + this.#comma();
  }

  /** Returns the value at the place on one line, and moves behind it; `undefined` if it is longer. */
  #inline(room: number): string | undefined {
    const from = this.#at;
    let [line, length, depth] = ["", 0, 0];
    do {
      const token = this.#next();
      const isKey = token.kind === "string" && this.#peek() === ":";
      if (token.text === "{" || token.text === "[") depth++;
      if (token.text === "}" || token.text === "]") depth--;
      const space = token.kind === undefined && /[,:]/.test(token.text) ? " " : "";
      length += token.text.length + space.length;
      if (length > room) {
        this.#at = from;
        return undefined;
      }
      const kind = isKey ? "key" : token.kind;
      line += (kind === undefined ? token.text : this.#paint(kind, token.text)) + space;
    } while (depth > 0);
    return line;
  }

  #shown({ text, kind }: Token): string {
    return this.#paint(kind!, shortened(text, TOKEN_LENGTH));
  }

  /** Returns the comma behind a value, if there is one. */
  #comma(): string {
    if (this.#peek() !== ",") return "";
    this.#next();
    return ",";
  }

  /** Returns the next character that is not a space. */
  #peek(): string | undefined {
    while (this.#text[this.#at] === " ") this.#at++;
    return this.#text[this.#at];
  }

  #next(): Token {
    const first = this.#peek() ?? "";
    const from = this.#at;
    if (/[{}[\],:]/.test(first)) {
      this.#at++;
      return { text: first, kind: undefined };
    }
    if (first === '"') {
      this.#at = stringEnd(this.#text, from);
      return { text: this.#text.slice(from, this.#at), kind: "string" };
    }
    while (/[^\s{}[\],:]/.test(this.#text[this.#at] ?? " ")) this.#at++;
    const text = this.#text.slice(from, this.#at);
    return { text, kind: /^[-\d]/.test(text) ? "number" : "word" };
  }
}
