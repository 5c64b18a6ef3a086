/**
 * The help texts, generated from the command table.
 *
 * @module
 */

import { print } from "../platform/output.ts";
import { LIMIT_NAMES, type LimitRow, LIMITS } from "../policy/limits.ts";
import { OPTION_NAMES, type OptionRow, OPTIONS } from "../config/options.ts";
import type { Given } from "./flags.ts";
import {
  ADDRESSES,
  type Flag,
  GLOBAL_FLAGS,
  isSubcommand,
  type Subcommand,
  type SubcommandName,
  SUBCOMMANDS,
  SUMMARY,
  unknownSubcommand,
} from "./command_table.ts";

/** The width of prose. */
const WIDTH = 80;

/** The width of tables. */
const TABLE_WIDTH = 100;

/** The width of the widest term that has its meaning on the same line. */
const TERM_LIMIT = 24;

/** A term and its meaning. */
type Row = readonly [term: string, meaning: string];

/** Returns the output of `qmpmux --help`. */
export function overviewText(): string {
  const usage = Object.entries(SUBCOMMANDS).flatMap(([name, { usage }]) =>
    usage.map((words) => `  qmpmux ${name} ${words}`.trimEnd())
  );
  return parts(
    `qmpmux: ${SUMMARY}`,
    `Usage:\n${usage.join("\n")}`,
    columns(Object.entries(SUBCOMMANDS).map(([name, { summary }]) => [name, summary])),
    columns(GLOBAL_FLAGS.map(({ name, short, help }) => [`-${short}, --${name}`, help])),
  );
}

/** Returns the output of `qmpmux NAME --help`. */
export function helpText(name: SubcommandName): string {
  const { usage, about, flags, notes = [] }: Subcommand = SUBCOMMANDS[name];
  const heads = usage.map((words, i) =>
    `${i === 0 ? "Usage:" : "      "} qmpmux ${name} ${words}`.trimEnd()
  );
  const rows = Object.entries(flags).map(([flag, row]): Row => [flagText(flag, row), told(row)]);
  const listener = Object.values(flags).find(({ kind }) => kind === "listener");
  return parts(
    heads.join("\n"),
    ...about.map((text) => filled(text)),
    columns([...rows, ["-h, --help", "print this help"]]),
    ...notes.map((text) => filled(text)),
    ...(listener === undefined ? [] : listenerTopics(listener)),
  );
}

/** Prints the help of a subcommand; returns the exit status. */
export function showHelp(name: SubcommandName): 0 {
  print(helpText(name).trimEnd());
  return 0;
}

/**
 * Runs `qmpmux help`.
 *
 * @throws UsageError
 */
export function runHelp({ operands: [name] }: Given): 0 {
  if (name !== undefined) {
    if (!isSubcommand(name)) throw unknownSubcommand(name);
    return showHelp(name);
  }
  print(overviewText().trimEnd());
  return 0;
}

/** Returns a flag with its letter and the placeholder for its value, if it has them. */
export function flagText(name: string, { value, short }: Flag): string {
  const both = short === undefined ? `--${name}` : `-${short}, --${name}`;
  return value === undefined ? both : `${both} ${value}`;
}

/** Returns the placeholder for the value of a limit. */
export function limitValue({ unit }: LimitRow): string {
  return unit === "bytes" ? "BYTES" : unit === "seconds" ? "S" : "N";
}

/** Returns the default of a limit as text. */
export function limitInitial({ initial }: LimitRow): string {
  return initial === 0 ? "off" : String(initial);
}

/** Returns the addresses, the options and the limits of a listener. */
function listenerTopics({ options }: Flag): string[] {
  const names = OPTION_NAMES.filter((name) => options?.includes(name) ?? true);
  const topics = [
    `An address ADDR is one of:\n${columns(ADDRESSES)}`,
    `Options of a listener:\n${
      columns(names.map((name) => [`${name}=${OPTIONS[name].value}`, told(OPTIONS[name])]))
    }`,
  ];
  if (options !== undefined) return topics;
  const limits = LIMIT_NAMES.map((name): Row => {
    const row: LimitRow = LIMITS[name];
    return [`${name}=${limitValue(row)}`, `${row.help} (${limitInitial(row)})`];
  });
  return [
    ...topics,
    `Limits of a listener (BYTES may be written 64K, 1M or 1G):\n${columns(limits)}`,
  ];
}

/** Returns the help of a flag or an option, with its default in brackets. */
function told({ help, initial, variable }: Flag | OptionRow & { variable?: string }): string {
  const otherwise = initial ?? variable;
  return otherwise === undefined ? help : `${help} (${otherwise})`;
}

function columns(rows: readonly Row[]): string {
  const widths = rows.map(([term]) => term.length).filter((width) => width <= TERM_LIMIT);
  const width = Math.max(...widths);
  const indent = " ".repeat(width + 4);
  return rows.map(([term, meaning]) => {
    const lines = filled(meaning, TABLE_WIDTH - indent.length).replaceAll("\n", `\n${indent}`);
    return term.length > width
      ? `  ${term}\n${indent}${lines}`
      : `  ${term.padEnd(width)}  ${lines}`;
  }).join("\n");
}

/** Breaks a paragraph into lines. */
function filled(text: string, width = WIDTH): string {
  const lines = [""];
  for (const word of text.split(" ")) {
    const line = lines.at(-1)!;
    if (line === "") lines[lines.length - 1] = word;
    else if (line.length + 1 + word.length <= width) lines[lines.length - 1] = `${line} ${word}`;
    else lines.push(word);
  }
  return lines.join("\n");
}

function parts(...texts: readonly string[]): string {
  return `${texts.join("\n\n")}\n`;
}
