/**
 * The commands of the human monitor, from its own help.
 *
 * @module
 */

import { printable } from "../../wire/printable.ts";
import { NAMES_LIMIT } from "../completion_names.ts";
import type { Candidate } from "../completion.ts";
import { type Asked, askedValue } from "./live_names.ts";

/** A line of the help: the names of a command, its arguments, and its purpose. */
const ROW = /^(?:info )?([\w|?-]{1,64})\s(.*?)--\s+(.*)$/;

/** The most characters of the help for a command. */
const HELP_LENGTH = 256;

/**
 * Returns the commands of the human monitor, or those of `info`, each with its arguments and purpose.
 *
 * @param topic empty, or `info`
 * @returns none if the monitor refuses the help, or does not answer in time
 */
export async function humanCommands(
  monitor: Asked,
  topic: "" | "info",
): Promise<readonly Candidate[]> {
  const line = `help ${topic}`.trim();
  const text = await askedValue(monitor, "human-monitor-command", { "command-line": line });
  return String(text ?? "").split(/\r?\n/).slice(0, NAMES_LIMIT).flatMap((row): Candidate[] => {
    const [, names, args = "", help = ""] = ROW.exec(row) ?? [];
    const explained = printable(`${args.trim()}  ${help}`.trim().slice(0, HELP_LENGTH));
    return (names?.split("|") ?? []).filter(Boolean).map((name) => [name, explained]);
  });
}
