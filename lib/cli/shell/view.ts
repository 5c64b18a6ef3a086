/**
 * The output of the shell: what a person sees on a terminal, and what a program reads.
 *
 * @module
 */

import type { Paint } from "./paint.ts";

/** The output. */
export interface View {
  /** Prints lines that are safe for a terminal, above the line that is being typed. */
  print(text: string): void;
  /** Prints an error. */
  complain(text: string): void;
  /** Shows the progress of work in the place of the prompt; an empty text removes it. */
  progress(text: string): void;
  /** The width in characters. */
  readonly columns: number;
  /** The column in which the line that runs begins on the terminal. */
  readonly lineColumn: number;
  /** Whether a person looks at it: values are laid out and cut. */
  readonly isTerminal: boolean;
  /** Colours text, or leaves it as it is. */
  readonly paint: Paint;
}
