/**
 * The log, on stderr.
 *
 * It reports on qmpmux and its clients, never on the contents of commands.
 *
 * @module
 */

import type { SettingValues } from "../config/settings.ts";
import { printable } from "../wire/printable.ts";

/** The format of the log: lines of text, JSON, or lines with the journal's priorities. */
export type LogFormat = Exclude<SettingValues["log-format"], undefined>;

/** A log; a line is one sentence without an end of line. */
export interface Log {
  /** Logs what an operator expects: few lines, at the start and at changes. */
  info(line: string): void;
  /** Logs what an operator should look at. */
  warn(line: string): void;
  /** Returns a log whose lines name a VM. */
  withVm(vm: string): Log;
}

const ENCODER = new TextEncoder();

/** A level: its number, as in sd-daemon(3), and its name. */
interface Level {
  readonly priority: number;
  readonly name: string;
}

const INFO: Level = { priority: 6, name: "info" };
const WARNING: Level = { priority: 4, name: "warning" };

/** The formats. */
const FORMS: Readonly<Record<LogFormat, (line: string, level: Level, vm?: string) => string>> = {
  text: (line, _, vm) => `qmpmux: ${withName(line, vm)}`,
  journal: (line, { priority }, vm) => `<${priority}>${withName(line, vm)}`,
  json: (message, { name: level }, vm) =>
    JSON.stringify({ time: new Date().toISOString(), level, vm, message }),
};

function withName(line: string, vm?: string): string {
  return vm === undefined ? line : `${vm}: ${line}`;
}

/** A log of lines of text that begin with the program's name. */
export const stderrLog: Log = openLog("text");

/** Opens a log in a format; its lines name a VM if one is given. */
export function openLog(format: LogFormat, vm?: string): Log {
  const form = FORMS[format];
  return {
    info: (line) => write(form(line, INFO, vm)),
    warn: (line) => write(form(line, WARNING, vm)),
    withVm: (vm) => openLog(format, vm),
  };
}

/**
 * Returns the default format.
 *
 * @param journalStream the variable JOURNAL_STREAM: systemd sets it if the journal reads stderr
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

/** Whether the last line was written in part. */
let torn = false;

/** Writes a line to stderr, with control characters escaped. */
function write(line: string): void {
  const bytes = ENCODER.encode(torn ? `\n${printable(line)}\n` : `${printable(line)}\n`);
  try {
    for (let sent = 0; sent < bytes.length;) {
      sent += Deno.stderr.writeSync(bytes.subarray(sent));
      torn = sent < bytes.length;
    }
  } catch (error) {
    if (!isSystemError(error)) throw error;
    // A closed stderr or a full disk must not disconnect the clients.
  }
}

/** Returns whether an error is the system's. */
function isSystemError(error: unknown): boolean {
  return error instanceof Deno.errors.BrokenPipe ||
    error instanceof Error && /\(os error \d+\)/.test(error.message);
}
