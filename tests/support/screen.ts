/**
 * A terminal's screen: the text that a user sees after a program has written to it.
 *
 * It knows the sequences that `node:readline` and qmpmux use. Lines that scroll off the top are kept.
 *
 * @module
 */

/** A control sequence, a control character, or a character. */
// deno-lint-ignore no-control-regex -- The sequences begin with ESC.
const PART = /\x1b\[([\d;?]*)([A-Za-z])|\x1b.?|[\x00-\x1f]|[^\x00-\x1f]/gsu;

/** A screen. */
export class Screen {
  readonly #columns: number;
  readonly #rows: number;
  readonly #lines: string[][] = [[]];
  /** The line at the top of the screen. */
  #top = 0;
  #row = 0;
  #column = 0;
  /** The beginning of a sequence whose end has not come. */
  #begun = "";

  constructor(columns: number, rows: number) {
    this.#columns = columns;
    this.#rows = rows;
  }

  /** All lines, without spaces at their ends; the last is that of the cursor or below it. */
  get lines(): readonly string[] {
    const lines = this.#lines.map((line) => this.#text(line));
    while (lines.length > this.#row + 1 && lines.at(-1) === "") lines.pop();
    return lines;
  }

  /** The place of the cursor in its line. */
  get column(): number {
    return this.#column;
  }

  /** Writes what a program has sent. */
  write(text: string): void {
    const whole = this.#begun + text;
    // deno-lint-ignore no-control-regex -- As above.
    const [open = ""] = /\x1b(?:\[[\d;?]*)?$/.exec(whole) ?? [];
    this.#begun = open;
    for (const [part, codes, sign] of whole.slice(0, whole.length - open.length).matchAll(PART)) {
      if (sign !== undefined) this.#control(sign, Number.parseInt(codes!) || 0);
      else if (part === "\r") this.#column = 0;
      else if (part === "\n") this.#down();
      else if (part === "\b") this.#column = Math.max(0, this.#column - 1);
      else if (part >= " ") this.#put(part);
    }
  }

  #text(line: readonly string[]): string {
    return Array.from(line, (char) => char ?? " ").join("").trimEnd();
  }

  #put(char: string): void {
    if (this.#column === this.#columns) {
      this.#column = 0;
      this.#down();
    }
    this.#line[this.#column++] = char;
  }

  get #line(): string[] {
    return this.#lines[this.#row] ??= [];
  }

  #down(): void {
    this.#row++;
    this.#lines[this.#row] ??= [];
    this.#top = Math.max(this.#top, this.#row - this.#rows + 1);
  }

  #control(sign: string, count: number): void {
    switch (sign) {
      case "A":
        this.#row = Math.max(this.#top, this.#row - (count || 1));
        break;
      case "B":
        this.#row = Math.min(this.#top + this.#rows - 1, this.#row + (count || 1));
        break;
      case "C":
        this.#column = Math.min(this.#columns - 1, this.#column + (count || 1));
        break;
      case "D":
        this.#column = Math.max(0, Math.min(this.#column, this.#columns - 1) - (count || 1));
        break;
      case "G":
        this.#column = Math.max(0, (count || 1) - 1);
        break;
      case "J":
        this.#line.length = Math.min(this.#line.length, this.#column);
        this.#lines.length = this.#row + 1;
        break;
      case "K":
        this.#line.length = Math.min(this.#line.length, this.#column);
        break;
      case "m":
      case "h":
      case "l":
        break;
      default:
        throw new Error(`The screen does not know the sequence CSI ${count} ${sign}`);
    }
  }
}
