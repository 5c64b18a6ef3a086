/**
 * Lines for whoever runs qmpmux, on stderr.
 *
 * They tell of qmpmux and its clients, never of what is in a command.
 *
 * @module
 */

import type { SettingValues } from "../config/settings.ts";

/** The form of the log: lines of text, JSON, or lines with the journal's priorities. */
export type LogFormat = Exclude<SettingValues["log-format"], undefined>;

/** Where lines go; each is one sentence without an end of line. */
export interface Log {
  /** What an operator expects to see: few lines, at the start and at changes. */
  info(line: string): void;
  /** What an operator should look at. */
  warn(line: string): void;
}

const ENCODER = new TextEncoder();

/** A level: its number, as sd-daemon(3) has them, and its name. */
interface Level {
  readonly priority: number;
  readonly name: string;
}

const INFO: Level = { priority: 6, name: "info" };
const WARNING: Level = { priority: 4, name: "warning" };

/** How a line looks in each form. */
const FORMS: Readonly<Record<LogFormat, (line: string, level: Level) => string>> = {
  text: (line) => `qmpmux: ${line}`,
  journal: (line, { priority }) => `<${priority}>${line}`,
  json: (message, { name: level }) =>
    JSON.stringify({ time: new Date().toISOString(), level, message }),
};

/** Writes lines of text, behind the program's name. */
export const stderrLog: Log = openLog("text");

/** A log in a form. */
export function openLog(format: LogFormat): Log {
  const form = FORMS[format];
  return {
    info: (line) => write(form(line, INFO)),
    warn: (line) => write(form(line, WARNING)),
  };
}

/**
 * The form to choose where none is chosen.
 *
 * @param journalStream the variable JOURNAL_STREAM, by which systemd says that the journal reads stderr
 */
export function formatFor(
  journalStream: string | undefined,
  isTerminal: boolean = Deno.stderr.isTerminal(),
): LogFormat {
  return journalStream && !isTerminal ? "journal" : "text";
}

/** Writes one line of text. */
export function say(line: string): void {
  stderrLog.info(line);
}

/** Does what was written last lack its end? */
let torn = false;

/** Writes a line to stderr; control characters are shown, not sent. */
function write(line: string): void {
  const bytes = ENCODER.encode(torn ? `\n${printable(line)}\n` : `${printable(line)}\n`);
  try {
    for (let sent = 0; sent < bytes.length;) {
      sent += Deno.stderr.writeSync(bytes.subarray(sent));
      torn = sent < bytes.length;
    }
  } catch (error) {
    if (!isSystemError(error)) throw error;
    // A log that nobody reads any more, or whose disk is full, is no reason to end the clients.
  }
}

/**
 * Characters that a terminal obeys, or that nobody sees: controls (C0, C1), line and paragraph
 * separators, changes of direction, characters without width, tags, and halves of a pair.
 */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu;

/** Returns somebody else's text for a terminal: what it would obey, or what nobody sees, is escaped. */
export function printable(text: string): string {
  return text.replace(UNSEEN, escaped);
}

/** Is it the system that will not take it? */
function isSystemError(error: unknown): boolean {
  return error instanceof Deno.errors.BrokenPipe ||
    error instanceof Error && /\(os error \d+\)/.test(error.message);
}

/** A character as JSON escapes it, also where JSON itself would not. */
function escaped(char: string): string {
  const text = JSON.stringify(char).slice(1, -1);
  if (text !== char) return text;
  const units = Array.from({ length: char.length }, (_, i) => char.charCodeAt(i));
  return units.map((unit) => `\\u${unit.toString(16).padStart(4, "0")}`).join("");
}
