/**
 * The shell on a terminal: reads lines while results and events are printed above them.
 *
 * @module
 */

import type { Qmp } from "../../client/qmp.ts";
import { type ExitStatus, Failure } from "../../platform/failure.ts";
import { HistoryFile } from "../../platform/history_file.ts";
import {
  type Completion,
  HISTORY_LIMIT,
  LineEditor,
  type LineReader,
} from "../../platform/line_editor.ts";
import { printable } from "../../wire/printable.ts";
import { type Paint, painted, plain } from "./paint.ts";
import { Session } from "./session.ts";
import type { View } from "./view.ts";

/** The functions that help with a line. */
type Aids = typeof import("./aids.ts");

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
  #history: HistoryFile | undefined;
  /** The lines of earlier sessions, the newest first. */
  #earlier: readonly string[] = [];
  /** The last prompt. */
  #prompted = "";
  /** The functions that help with a line, once they are loaded. */
  #loaded: Aids | undefined;
  /** Gives up waiting for the line that runs. */
  #running: AbortController | undefined;

  /**
   * Creates the shell.
   *
   * @param isColored whether it uses colours
   * @param historyPath the file with earlier lines; `undefined` to keep none
   */
  constructor(qmp: Qmp, isColored: boolean, historyPath: string | undefined) {
    this.paint = isColored ? painted : plain;
    this.#session = new Session(qmp, this);
    const problem = this.#openHistory(historyPath);
    this.#editor = new LineEditor(this, this.#earlier);
    if (problem !== undefined) this.complain(problem);
  }

  /** Opens the history; returns the reason why it cannot be kept. */
  #openHistory(path: string | undefined): string | undefined {
    if (path === undefined) return undefined;
    try {
      this.#history = new HistoryFile(path);
      this.#earlier = this.#history.read(HISTORY_LIMIT);
      return undefined;
    } catch (error) {
      if (error instanceof Failure) return error.message;
      throw error;
    }
  }

  /** Keeps a line, without secrets. */
  async #remember(line: string, isHuman: boolean): Promise<void> {
    if (this.#history === undefined) return;
    const kept = (await this.#aids()).keptLine(line, isHuman);
    if (kept === undefined) return;
    try {
      this.#history?.add(kept);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      this.#history = undefined;
      this.complain(error.message);
    }
  }

  /** The width of the terminal. */
  get columns(): number {
    return this.#editor.columns;
  }

  /** Reads and runs lines until the user leaves. */
  async run(): Promise<ExitStatus> {
    this.#session.events(["*"]);
    this.#prompt();
    this.#prepare();
    try {
      await this.#end.promise;
      return 0;
    } finally {
      this.#running?.abort();
      this.#editor.close();
    }
  }

  /** Prints lines above the one that is typed. */
  print(text: string): void {
    this.#editor.print(text);
  }

  /** Prints an error. */
  complain(text: string): void {
    this.#editor.print(this.paint("error", text));
  }

  /** Shows the progress of work in the place of the prompt. */
  progress(text: string): void {
    this.#editor.prompt(text === "" ? "" : `${printable(text)} `);
  }

  /** Takes a line. */
  line(text: string): void {
    this.#remember(text, this.#session.language === "hmp");
    this.#waiting.push(text);
    if (this.#running === undefined) this.#work();
  }

  /** Completes the text before the cursor. */
  async complete(before: string): Promise<Completion | undefined> {
    const aids = await this.#aids();
    const found = await aids.candidatesFor(this.#session, before);
    const completion = aids.completionOf(found);
    if (completion === undefined) {
      this.print(aids.listOf(found.words, found.begun, this.columns, this.#editor.rows));
    }
    return completion;
  }

  /** Returns the hint behind a line. */
  hint(line: string): string {
    const { language, known } = this.#session;
    const isWanted = language === "qmp" && this.#running === undefined;
    return isWanted && this.#loaded ? this.#loaded.hintFor(known.schema, line) : "";
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

  /** Notes that the monitor has greeted again: another QEMU may have taken the place of the last. */
  async connectedAgain(): Promise<void> {
    this.#session.forget();
    if (await this.#session.learned()) this.print(this.paint("dim", "-- connected again"));
  }

  /** Loads what the first prompt does not need, before it is needed. */
  async #prepare(): Promise<void> {
    await Promise.all([this.#aids(), this.#session.learned()]);
    this.#editor.hint();
  }

  /** Returns the functions that help with a line. */
  async #aids(): Promise<Aids> {
    return this.#loaded ??= await import("./aids.ts");
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
