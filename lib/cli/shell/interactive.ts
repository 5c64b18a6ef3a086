/**
 * The shell on a terminal: reads lines while results and events are printed above them.
 *
 * @module
 */

import type { Qmp } from "../../client/qmp.ts";
import { type Completion, LineEditor, type LineReader } from "../../platform/line_editor.ts";
import type { ExitStatus } from "../../platform/failure.ts";
import { type Paint, painted, plain } from "./paint.ts";
import { Session } from "./session.ts";
import type { View } from "./view.ts";

/** The shell on a terminal. */
export class Interactive implements LineReader, View {
  /** The output is a terminal. */
  readonly isTerminal = true;
  /** The colours. */
  readonly paint: Paint;
  readonly #session: Session;
  readonly #editor: LineEditor;
  readonly #end = Promise.withResolvers<void>();
  /** The lines that were typed while one was running. */
  readonly #waiting: string[] = [];
  /** The last prompt. */
  #prompted = "";
  /** Gives up waiting for the line that runs. */
  #running: AbortController | undefined;

  /**
   * Creates the shell.
   *
   * @param isColored whether it uses colours
   */
  constructor(qmp: Qmp, isColored: boolean) {
    this.paint = isColored ? painted : plain;
    this.#session = new Session(qmp, this);
    this.#editor = new LineEditor(this, []);
  }

  /** The width of the terminal. */
  get columns(): number {
    return this.#editor.columns;
  }

  /** Reads and runs lines until the user leaves. */
  async run(): Promise<ExitStatus> {
    this.#session.events(["*"]);
    this.#prompt();
    await this.#end.promise;
    this.#running?.abort();
    this.#editor.close();
    return 0;
  }

  /** Prints lines above the one that is typed. */
  print(text: string): void {
    this.#editor.print(text);
  }

  /** Prints an error. */
  complain(text: string): void {
    this.#editor.print(this.paint("error", text));
  }

  /** Takes a line. */
  line(text: string): void {
    this.#waiting.push(text);
    if (this.#running === undefined) this.#work();
  }

  /** Completes the text before the cursor. */
  // deno-lint-ignore require-await -- To come.
  async complete(_before: string): Promise<Completion | undefined> {
    return undefined;
  }

  /** Returns the hint behind a line. */
  hint(_line: string): string {
    return "";
  }

  /** Gives up waiting, or forgets the typed line. */
  interrupted(typed: string): void {
    this.#waiting.length = 0;
    if (this.#running !== undefined) return this.#running.abort();
    if (typed === "" && this.#session.actions !== undefined) {
      this.#session.actions = undefined;
      this.print("the transaction is dropped");
    }
    this.#editor.clear();
    this.#prompt();
  }

  /** Ends the shell. */
  ended(): void {
    this.#end.resolve();
  }

  /** Runs the lines that wait. */
  async #work(): Promise<void> {
    this.#running = new AbortController();
    this.#editor.prompt("");
    try {
      for (let line = this.#waiting.shift(); line !== undefined; line = this.#waiting.shift()) {
        if (this.#running.signal.aborted) this.#running = new AbortController();
        const outcome = await this.#session.run(line, this.#running.signal);
        if (outcome === "left") return this.#end.resolve();
      }
    } catch (error) {
      this.#end.reject(error);
    } finally {
      this.#running = undefined;
    }
    this.#prompt();
  }

  /** The column in which a line begins, behind the prompt. */
  get lineColumn(): number {
    return this.#prompted.length + 1;
  }

  #prompt(): void {
    const { language, actions } = this.#session;
    this.#prompted = actions !== undefined ? `${actions.length + 1}>` : `${language}>`;
    this.#editor.prompt(`${this.paint("prompt", this.#prompted)} `);
  }
}
