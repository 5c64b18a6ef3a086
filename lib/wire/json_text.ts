/**
 * Untrusted JSON, checked and made safe for a terminal.
 *
 * One pass checks a message against JSON's grammar without building its value: a hostile
 * message takes time linear in its length. The result is one line of printable ASCII with
 * the same value.
 *
 * @module
 */

/** The deepest nesting that is read, which is QEMU's own limit. */
export const NESTING_LIMIT = 1024;

/** A JSON object as text. */
export interface JsonObject {
  /** The whole object on one line, in printable ASCII. */
  readonly text: string;
  /** The values of its members in the same form, by decoded name; of equal names the last counts. */
  readonly members: ReadonlyMap<string, string>;
}

/** The result for a text that is not a JSON object. */
export interface NotJson {
  /** A phrase that names the error and its place. */
  readonly wrong: string;
}

const DECODER = new TextDecoder("utf-8", { fatal: true });

/**
 * Reads one JSON object.
 *
 * Numbers keep their spelling. Characters of strings that are not printable ASCII become
 * `\uXXXX`; line ends between tokens are removed.
 *
 * @param bytes UTF-8; white space around the object is allowed
 */
export function readJsonObject(bytes: Uint8Array): JsonObject | NotJson {
  let source: string;
  try {
    source = DECODER.decode(bytes);
  } catch (error) {
    if (error instanceof TypeError) return { wrong: "invalid UTF-8" };
    throw error;
  }
  return new Reader(source).read();
}

const QUOTE = 0x22;
const PLUS = 0x2b;
const COMMA = 0x2c;
const MINUS = 0x2d;
const POINT = 0x2e;
const ZERO = 0x30;
const COLON = 0x3a;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const SPACE = 0x20;

const WORDS: readonly string[] = ["true", "false", "null"];
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;
const NOT_PRINTABLE = /[^\x20-\x7e]/g;

/** The length of the parts in which a string is escaped, so that no list of matches grows large. */
const PART_LENGTH = 65536;

/** The kind of token that may come next. */
type Next = "value" | "value or end" | "key" | "key or end" | "colon" | "comma or end" | "nothing";

/** A member of the outermost object while it is read. */
interface Member {
  readonly name: string;
  /** The place of its value in the output; `undefined` before the colon. */
  from: number | undefined;
  to: number;
}

class Reader {
  readonly #source: string;
  #at = 0;
  #next: Next = "value";
  /** The open containers, outermost first: true for an object. */
  readonly #open: boolean[] = [];
  readonly #members: Member[] = [];
  /** The output so far: some parts, and the source from `#copied` on. */
  readonly #parts: string[] = [];
  #length = 0;
  #copied = 0;

  constructor(source: string) {
    this.#source = source;
  }

  read(): JsonObject | NotJson {
    const source = this.#source;
    this.#skipSpace();
    if (source.charCodeAt(this.#at) !== OPEN_BRACE) return this.#wrong();
    while (this.#at < source.length) {
      if (!this.#take()) return this.#wrong();
      if (this.#open.length > NESTING_LIMIT) {
        return { wrong: `nested deeper than ${NESTING_LIMIT} levels` };
      }
      this.#skipSpace();
    }
    if (this.#next !== "nothing") return this.#wrong();
    this.#replace(this.#at, "");
    const text = this.#parts.join("");
    const members = this.#members.map(({ name, from, to }): [string, string] => [
      name,
      text.slice(from, to).trim(),
    ]);
    return { text, members: new Map(members) };
  }

  /** Takes one token; returns false when it is not allowed here. */
  #take(): boolean {
    const code = this.#source.charCodeAt(this.#at);
    switch (code) {
      case OPEN_BRACE:
      case OPEN_BRACKET:
        return this.#begin(code === OPEN_BRACE);
      case CLOSE_BRACE:
      case CLOSE_BRACKET:
        return this.#end(code === CLOSE_BRACE);
      case COLON:
        return this.#colon();
      case COMMA:
        return this.#comma();
      case QUOTE:
        return this.#string();
      default:
        return this.#takesValue() && this.#scalar(code);
    }
  }

  #begin(isObject: boolean): boolean {
    if (!this.#takesValue()) return false;
    this.#open.push(isObject);
    this.#next = isObject ? "key or end" : "value or end";
    this.#at++;
    return true;
  }

  #end(isObject: boolean): boolean {
    const mayEnd = this.#next === "comma or end" ||
      this.#next === (isObject ? "key or end" : "value or end");
    if (!mayEnd || this.#open.at(-1) !== isObject) return false;
    this.#endMember();
    this.#open.pop();
    this.#at++;
    this.#ended();
    return true;
  }

  #colon(): boolean {
    if (this.#next !== "colon") return false;
    this.#next = "value";
    this.#at++;
    if (this.#open.length === 1) this.#members.at(-1)!.from = this.#position;
    return true;
  }

  #comma(): boolean {
    if (this.#next !== "comma or end") return false;
    this.#endMember();
    this.#next = this.#open.at(-1) ? "key" : "value";
    this.#at++;
    return true;
  }

  #takesValue(): boolean {
    return this.#next === "value" || this.#next === "value or end";
  }

  /** Continues after a complete value. */
  #ended(): void {
    this.#next = this.#open.length === 0 ? "nothing" : "comma or end";
  }

  /** Ends a member of the outermost object, at a comma or its closing brace. */
  #endMember(): void {
    const member = this.#members.at(-1);
    if (this.#open.length === 1 && member !== undefined) member.to = this.#position;
  }

  /** The place in the output for the present place in the source. */
  get #position(): number {
    return this.#length + this.#at - this.#copied;
  }

  #scalar(first: number): boolean {
    const word = WORDS.find((each) => this.#source.startsWith(each, this.#at));
    if (word !== undefined) this.#at += word.length;
    else if (!this.#number(first)) return false;
    this.#ended();
    return true;
  }

  #number(first: number): boolean {
    if (first === MINUS) this.#at++;
    const isZero = this.#source.charCodeAt(this.#at) === ZERO;
    if (isZero) this.#at++;
    else if (!this.#digits()) return false;
    if (this.#source.charCodeAt(this.#at) === POINT) {
      this.#at++;
      if (!this.#digits()) return false;
    }
    if (/^[eE]$/.test(this.#source.charAt(this.#at))) {
      this.#at++;
      const sign = this.#source.charCodeAt(this.#at);
      if (sign === PLUS || sign === MINUS) this.#at++;
      if (!this.#digits()) return false;
    }
    return true;
  }

  /** Moves past digits; returns false when there are none. */
  #digits(): boolean {
    const from = this.#at;
    for (;;) {
      const code = this.#source.charCodeAt(this.#at);
      if (!(code >= ZERO && code < COLON)) return this.#at > from;
      this.#at++;
    }
  }

  #string(): boolean {
    const isKey = this.#next === "key" || this.#next === "key or end";
    if (!isKey && !this.#takesValue()) return false;
    const start = this.#at;
    if (!this.#stringEnd()) return false;
    const token = this.#source.slice(start, this.#at);
    if (token.search(NOT_PRINTABLE) >= 0) this.#replace(start, ascii(token));
    if (!isKey) {
      this.#ended();
      return true;
    }
    this.#next = "colon";
    if (this.#open.length === 1) {
      this.#members.push({ name: JSON.parse(token), from: undefined, to: 0 });
    }
    return true;
  }

  /** Moves past a string and returns true, or moves to its first malformed character. */
  #stringEnd(): boolean {
    const source = this.#source;
    for (this.#at++; this.#at < source.length; this.#at++) {
      const code = source.charCodeAt(this.#at);
      if (code === QUOTE) {
        this.#at++;
        return true;
      }
      if (code < SPACE) return false;
      if (code !== BACKSLASH) continue;
      ESCAPE.lastIndex = this.#at;
      const [escape] = ESCAPE.exec(source) ?? [];
      if (escape === undefined) return false;
      this.#at += escape.length - 1;
    }
    return false;
  }

  /** Moves past white space, and keeps one space of it at most. */
  #skipSpace(): void {
    const source = this.#source;
    const from = this.#at;
    while (isSpace(source.charCodeAt(this.#at))) this.#at++;
    const isOne = this.#at === from + 1 && source.charCodeAt(from) === SPACE;
    const isInside = this.#open.length > 0;
    if (this.#at === from || (isOne && isInside)) return;
    const before = source.charCodeAt(from - 1);
    const after = source.charCodeAt(this.#at);
    const isBeside = before === OPEN_BRACE || before === OPEN_BRACKET || after === CLOSE_BRACE ||
      after === CLOSE_BRACKET;
    this.#replace(from, isInside && !isBeside ? " " : "");
  }

  /** Replaces the source from a place to here with a text. */
  #replace(from: number, text: string): void {
    this.#parts.push(this.#source.slice(this.#copied, from), text);
    this.#length += from - this.#copied + text.length;
    this.#copied = this.#at;
  }

  #wrong(): NotJson {
    const { length } = this.#source;
    if (this.#at >= length) return { wrong: `it ends too early, after ${length} characters` };
    const char = String.fromCodePoint(this.#source.codePointAt(this.#at)!);
    return { wrong: `unexpected ${JSON.stringify(char)} at character ${this.#at + 1}` };
  }
}

function isSpace(code: number): boolean {
  return code === SPACE || code === 0x0a || code === 0x0d || code === 0x09;
}

/** Returns a string token in printable ASCII. */
function ascii(token: string): string {
  let text = "";
  for (let at = 0; at < token.length; at += PART_LENGTH) {
    text += token.slice(at, at + PART_LENGTH).replace(NOT_PRINTABLE, escaped);
  }
  return text;
}

function escaped(char: string): string {
  return `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
