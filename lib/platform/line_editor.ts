/**
 * The line that a user types on a terminal: editing, history, completion, and what is printed meanwhile.
 *
 * `node:readline` edits the line. It is hidden while a text is printed above it, and drawn again below.
 *
 * @module
 */

import process from "node:process";
import { createInterface, type Interface } from "node:readline";

/** The width of a terminal that does not tell its own. */
const USUAL_COLUMNS = 80;
/** The height of such a terminal. */
const USUAL_ROWS = 24;

/** The signals that end the editing; otherwise the terminal would stay as readline needs it. */
const ENDING: readonly Deno.Signal[] = ["SIGTERM", "SIGHUP"];

/** The most lines that are kept to be recalled. */
export const HISTORY_LIMIT = 1000;

/** The answer to a tab. */
export interface Completion {
  /** The end of the typed text that is replaced. */
  readonly begun: string;
  /** The text in its place; `undefined` if there is nothing to insert. */
  readonly text: string | undefined;
}

/** The user of a line editor. */
export interface LineReader {
  /** Takes a line. */
  line(text: string): void;
  /** Completes the text before the cursor. */
  complete(before: string): Promise<Completion | undefined>;
  /** Returns what may follow a line, to be shown behind it; printable, on one line. */
  hint(line: string): string;
  /** Called on Ctrl-C, with the text that was typed. */
  interrupted(typed: string): void;
  /** Called once: on Ctrl-D, or when the terminal is gone. */
  ended(): void;
}

/** The private part of readline's interface that is used: it has no way to print above the line. */
interface Drawn {
  prevRows: number;
}

/** The line editor of the terminal at stdin and stdout. */
export class LineEditor {
  readonly #lines: Interface;
  readonly #reader: LineReader;
  #isEnded = false;
  #isClosed = false;
  #hasHint = false;
  #isShown = false;

  /**
   * Creates the editor.
   *
   * @param history earlier lines, the newest first
   */
  constructor(reader: LineReader, history: readonly string[]) {
    this.#reader = reader;
    const { stdin, stdout } = process;
    // Before readline gets a key, the hint is removed: it would stay behind a line that ends.
    stdin.on("keypress", () => this.#removeHint());
    this.#lines = createInterface({
      input: stdin,
      output: stdout,
      terminal: true,
      history: [...history],
      historySize: HISTORY_LIMIT,
      removeHistoryDuplicates: true,
      completer: (line: string, done: (error: null, found: [string[], string]) => void) => {
        this.#complete(line).then((found) => {
          done(null, found);
          this.hint();
        });
      },
    });
    stdin.on("keypress", () => this.hint());
    // Readline draws the line again, without the hint.
    stdout.on("resize", () => this.hint());
    this.#lines.on("line", (line) => this.#reader.line(line));
    this.#lines.on("SIGINT", () => this.#reader.interrupted(this.#lines.line));
    // A program without permission to signal itself cannot stop.
    this.#lines.on("SIGTSTP", () => {});
    this.#lines.on("close", () => this.#end());
    // They are handled until the program exits: a terminal that goes away sends two.
    for (const signal of ENDING) Deno.addSignalListener(signal, () => this.#end());
    // A terminal that has gone away fails with EIO.
    for (const stream of [stdin, stdout]) stream.on("error", () => this.#end());
  }

  get #drawn(): Drawn {
    return this.#lines as unknown as Drawn;
  }

  /** The width of the terminal in characters. */
  get columns(): number {
    return process.stdout.columns || USUAL_COLUMNS;
  }

  /** The height of the terminal in lines. */
  get rows(): number {
    return process.stdout.rows || USUAL_ROWS;
  }

  /** Shows a prompt, with what has been typed behind it. */
  prompt(text: string): void {
    if (this.#isEnded) return;
    this.#hide();
    this.#lines.setPrompt(text);
    this.#show();
  }

  /** Prints lines above the one that is being typed. */
  print(text: string): void {
    if (this.#isEnded) return;
    this.#hide();
    process.stdout.write(`${text}\n`);
    this.#show();
  }

  /** Forgets what has been typed. */
  clear(): void {
    if (this.#isEnded) return;
    this.#lines.write(null, { ctrl: true, name: "e" });
    this.#lines.write(null, { ctrl: true, name: "u" });
  }

  /** Ends the editing, and gives the terminal back. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#isEnded = true;
    // The last line stays, and the next program begins below it.
    if (this.#isShown) process.stdout.write("\n");
    this.#lines.close();
  }

  /** Removes the prompt and the typed text from the terminal. */
  #hide(): void {
    this.#hasHint = false;
    if (!this.#isShown) return;
    const { rows } = this.#lines.getCursorPos();
    process.stdout.write(`${rows > 0 ? `\x1b[${rows}A` : ""}\r\x1b[J`);
    this.#drawn.prevRows = 0;
  }

  #show(): void {
    this.#isShown = true;
    this.#lines.prompt(true);
    this.hint();
  }

  #removeHint(): void {
    if (!this.#hasHint) return;
    this.#hasHint = false;
    process.stdout.write("\x1b[K");
  }

  /** Writes the hint behind the line, if the cursor is there and the row has room. */
  hint(): void {
    if (this.#isEnded || !this.#isShown) return;
    const { line, cursor } = this.#lines;
    if (cursor !== line.length) return;
    const room = this.columns - this.#lines.getCursorPos().cols - 2;
    const text = this.#reader.hint(line).slice(0, Math.max(0, room));
    if (text === "") return;
    this.#hasHint = true;
    process.stdout.write(`\x1b[K\x1b[2m${text}\x1b[0m\x1b[${text.length}D`);
  }

  async #complete(before: string): Promise<[string[], string]> {
    const found = await this.#reader.complete(before);
    if (found?.text === undefined) return [[], before];
    return [[found.text], found.begun];
  }

  #end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#reader.ended();
  }
}
