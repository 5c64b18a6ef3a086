/**
 * A line on the terminal at stderr that is written anew as it changes.
 *
 * @module
 */

import { printable } from "../wire/printable.ts";

/** The width of a terminal that does not tell its own. */
const USUAL_COLUMNS = 80;

/** Returns the width of the terminal at stderr in characters; `undefined` if stderr is no terminal. */
export function terminalColumns(): number | undefined {
  if (!Deno.stderr.isTerminal()) return undefined;
  try {
    return Deno.consoleSize().columns || USUAL_COLUMNS;
  } catch {
    return USUAL_COLUMNS;
  }
}

/** A line on the terminal at stderr. Only carriage returns and spaces are used, which any terminal knows. */
export class TerminalLine {
  #length = 0;

  /** Writes a text over the line, with control characters escaped. */
  draw(text: string): void {
    const shown = printable(text);
    write(`\r${shown.padEnd(this.#length)}`);
    this.#length = shown.length;
  }

  /** Ends the line, if it was begun. */
  end(): void {
    if (this.#length > 0) write("\n");
    this.#length = 0;
  }
}

/** Writes a text; a terminal that has gone away does not matter. */
function write(text: string): void {
  const bytes = new TextEncoder().encode(text);
  try {
    for (let sent = 0; sent < bytes.length;) sent += Deno.stderr.writeSync(bytes.subarray(sent));
  } catch (error) {
    const isSystems = error instanceof Error && /\(os error \d+\)/.test(error.message);
    if (!isSystems) throw error;
  }
}
