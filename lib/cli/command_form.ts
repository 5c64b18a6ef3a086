/**
 * The forms of the command table: subcommands, flags and positional arguments.
 *
 * @module
 */

import type { CompletionKind } from "../config/value_kinds.ts";

/** One flag of a subcommand. */
export interface Flag {
  /** The placeholder for its value; a switch has none. */
  readonly value?: string | undefined;
  /** The possible values if they are few, or the usual values, for completion. */
  readonly words?: readonly string[] | undefined;
  /** The kind of value it takes. */
  readonly kind?: CompletionKind | undefined;
  /** For a listener: the options that it takes; without them it takes all, and all limits. */
  readonly options?: readonly string[];
  /** The default. */
  readonly initial?: string | number | undefined;
  /** Whether it may be repeated. */
  readonly many?: true;
  /** The letter of its short form. */
  readonly short?: string;
  /** The environment variable that is used if the flag is not given. */
  readonly variable?: string;
  /** The help. */
  readonly help: string;
}

/** One positional argument of a subcommand. */
export interface Operand {
  /** Its placeholder. */
  readonly value: string;
  /** The possible values if they are few. */
  readonly words?: readonly string[];
  /** The kind of value it is. */
  readonly kind?: CompletionKind;
  /** Whether it may be repeated. */
  readonly many?: true;
}

/** One subcommand. */
export interface Subcommand {
  /** The purpose, in half a line. */
  readonly summary: string;
  /** The usage without `qmpmux NAME`; one text for each form. */
  readonly usage: readonly string[];
  /** The description, in paragraphs. */
  readonly about: readonly string[];
  /** Its flags by their names. Every subcommand also has `--help` and `-h`. */
  readonly flags: Readonly<Record<string, Flag>>;
  /** The positional arguments. */
  readonly operands?: readonly Operand[];
  /** The text below the flags, in paragraphs. */
  readonly notes?: readonly string[];
}

/** Returns the flag for the address of a monitor. */
export function socketFlag(help: string): Flag {
  return { value: "ADDR", kind: "address", short: "s", variable: "QMPMUX_SOCKET", help };
}

/** The timeout of a one-shot command. */
export const TIMEOUT: Flag = { value: "S", help: "timeout in seconds; then exit with status 124" };
