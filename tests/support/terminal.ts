/**
 * A program on a terminal: a test types, and looks at the screen.
 *
 * @module
 */

import { within } from "./deadline.ts";
import { Lines } from "./lines.ts";
import { Screen } from "./screen.ts";

const HELPER = new URL("terminal.py", import.meta.url).pathname;

/** Whether to skip tests that need a terminal; only the caller may choose that. */
export const WITHOUT_TERMINAL = (Deno.env.get("QMPMUX_TESTS_WITHOUT") ?? "").split(",").includes(
  "python3",
);

/** The size of a terminal, and the environment of the program. */
export interface TerminalOptions {
  readonly columns?: number;
  readonly rows?: number;
  readonly cwd?: string;
  /** The whole environment, without TERM; by default that of the test. */
  readonly env?: Readonly<Record<string, string>>;
}

/** A program on a terminal. */
export class TestTerminal implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #typing: WritableStreamDefaultWriter<Uint8Array>;
  readonly #heard: Lines;
  readonly #screen: Screen;
  #status: number | undefined;
  /** Everything that the program has written, as it came. */
  raw = "";

  /** Starts a program. */
  constructor(
    command: readonly string[],
    { columns = 80, rows = 24, cwd, env = Deno.env.toObject() }: TerminalOptions = {},
  ) {
    this.#child = new Deno.Command("python3", {
      args: [HELPER, String(columns), String(rows), ...command],
      ...(cwd === undefined ? {} : { cwd }),
      clearEnv: true,
      env: { ...env, TERM: "xterm" },
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.#typing = this.#child.stdin.getWriter();
    this.#heard = new Lines(this.#child.stdout);
    this.#screen = new Screen(columns || 80, rows || 24);
  }

  /** The lines on the screen, and those that have scrolled off it. */
  get lines(): readonly string[] {
    return this.#screen.lines;
  }

  /** The place of the cursor in its line. */
  get column(): number {
    return this.#screen.column;
  }

  /** Types a text; `\r` is Enter, `\t` Tab. */
  async type(text: string): Promise<void> {
    await this.#order({ type: text });
  }

  /** Changes the size of the terminal, not that of the screen here. */
  async resize(columns: number, rows: number): Promise<void> {
    await this.#order({ size: [columns, rows] });
  }

  /** Takes the terminal away. */
  async hangUp(): Promise<void> {
    await this.#order({ "hang up": true });
  }

  /** Waits until the screen is as a test wants it. */
  async until(what: string, isSo: (lines: readonly string[]) => boolean): Promise<void> {
    while (!isSo(this.lines)) {
      if (!await this.#hear(`${what} on the screen:\n${this.lines.join("\n")}\n`)) {
        throw new Error(`The program has ended without ${what}:\n${this.lines.join("\n")}`);
      }
    }
  }

  /** Waits until a text is on the screen. */
  async shows(text: string): Promise<void> {
    await this.until(text, (lines) => lines.some((line) => line.includes(text)));
  }

  /** Waits until the last line is a text. */
  async ends(text: string): Promise<void> {
    await this.until(`the last line ${text}`, (lines) => lines.at(-1) === text);
  }

  /** Waits for the end of the program; returns its status, negative after a signal. */
  async ended(): Promise<number> {
    while (await this.#hear("the end of the program"));
    return this.#status!;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#typing.close().catch(() => {});
    await this.#heard.rest();
    await within("the helper of the terminal to end", this.#child.status);
  }

  async #order(order: object): Promise<void> {
    await this.#typing.write(new TextEncoder().encode(`${JSON.stringify(order)}\n`));
  }

  /** Takes what the program writes next; returns false at its end. */
  async #hear(what: string): Promise<boolean> {
    if (this.#status !== undefined) return false;
    const line = await within(what, this.#heard.next(what));
    if (line === undefined) throw new Error("The helper of the terminal has ended");
    const said: string | { readonly status: number } = JSON.parse(line);
    if (typeof said === "string") {
      this.raw += said;
      this.#screen.write(said);
    } else this.#status = said.status;
    return true;
  }
}
