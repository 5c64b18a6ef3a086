/**
 * Completion of the line that is typed, from the schema and the names at the monitor.
 *
 * @module
 */

import { pathsFrom } from "../../platform/paths.ts";
import type { Completion } from "../../platform/line_editor.ts";
import { EVENT_NAMES } from "../../policy/event_filter.ts";
import { splitWord } from "../argument_words.ts";
import type { Candidate } from "../completion.ts";
import { argumentsFor } from "../completion_arguments.ts";
import { givenIn } from "./argument_check.ts";
import { humanCommands } from "./human_names.ts";
import { deviceProperties, liveNames } from "./live_names.ts";
import { OWN_COMMANDS } from "./own_commands.ts";
import type { Session } from "./session.ts";
import { type Word, wordsOf } from "./words.ts";

/** The candidates for the last word of a line. */
export interface Candidates {
  /** The begun word as it is typed. */
  readonly begun: string;
  /** The words that can replace it, as text without quotes, each with its help. */
  readonly words: readonly Candidate[];
  /** Whether the words are inserted as they are, without quotes. */
  readonly isRaw?: true;
}

/** The words that may begin a line, besides the names of commands. */
const FIRST_WORDS: readonly Candidate[] = [["hmp", "the human monitor"]];

/** The ID of a job, as an argument. */
const JOB = { command: "job-cancel", path: "id", begun: "", given: new Map() };

/** Characters that need no quotes. */
const PLAIN = /^[\w.,:;/@%^+=~[\]-]*$/;

/** Returns the candidates for the end of a line. */
export async function candidatesFor(session: Session, before: string): Promise<Candidates> {
  const [, human] = /^\s*hmp\s+(.*)$/s.exec(before) ?? [];
  const isOwn = before.trimStart().startsWith("\\");
  if (human !== undefined || session.language === "hmp" && !isOwn) {
    return await humanCandidates(session, (human ?? before).trimStart());
  }
  const own = /^\s*\\(\w*)(\s+)?(.*)$/s.exec(before);
  if (own !== null) return await ownCandidates(session, own[1]!, own[2] !== undefined, own[3]!);
  const words = wordsOf(before);
  const last = /\s$/.test(before) && !words.at(-1)?.isOpen ? undefined : words.at(-1);
  const earlier = last === undefined ? words : words.slice(0, -1);
  const begun = last === undefined ? "" : before.slice(last.from);
  const text = last?.text ?? "";
  const [first, ...given] = earlier;
  const found = first === undefined
    ? await commandCandidates(session)
    : await argumentCandidates(session, first.text, given, text);
  return { begun, words: beginning(found, text) };
}

/** Returns what a tab inserts; `undefined` if the candidates are to be listed. */
export function completionOf({ begun, words, isRaw }: Candidates): Completion | undefined {
  const [first, ...others] = words.map(([word]) => word);
  if (first === undefined) return { begun, text: undefined };
  let common = first;
  for (const each of others) {
    while (!each.startsWith(common)) common = common.slice(0, -1);
  }
  const isWhole = others.length === 0 && !/[=./]$/.test(common);
  const text = `${isRaw ? common : escaped(common)}${isWhole ? " " : ""}`;
  return text === begun ? undefined : { begun, text };
}

/** Returns a text with backslashes before characters that need quotes. */
function escaped(text: string): string {
  return PLAIN.test(text) ? text : text.replace(/[^\w.,:;/@%^+=~[\]-]/g, "\\$&");
}

function beginning(found: readonly Candidate[], text: string): readonly Candidate[] {
  return found.filter(([word]) => word.startsWith(text));
}

async function commandCandidates(session: Session): Promise<readonly Candidate[]> {
  const { commands } = await session.present();
  const isAction = session.actions !== undefined;
  return [...commands.map((name): Candidate => [name]), ...(isAction ? [] : FIRST_WORDS)];
}

async function argumentCandidates(
  session: Session,
  command: string,
  earlier: readonly Word[],
  text: string,
): Promise<readonly Candidate[]> {
  if (text.startsWith("{") || earlier.some((word) => word.text.startsWith("{"))) return [];
  const { rows } = await session.present();
  const given = earlier.map((word) => word.text);
  const found = argumentsFor(rows, command, given, text);
  const values = givenIn(given);
  const driver = values.get("driver");
  const [path, begun] = splitWord(text) ?? [];
  if (path !== undefined && begun !== undefined) {
    if (found.length > 0) return found;
    const names = await liveNames(session, { command, path, begun, given: values });
    return names.map((name): Candidate => [`${path}=${name}`]);
  }
  if (command !== "device_add" || driver === undefined) return found;
  const known = new Set(found.map(([word]) => word));
  const properties = (await deviceProperties(session, driver))
    .map(([name, type]): Candidate => [`${name}=`, type])
    .filter(([word]) => !known.has(word) && !values.has(word.slice(0, -1)))
    // QEMU's internal properties are offered when they are asked for.
    .filter(([word]) => !word.startsWith("x-") || text.startsWith("x"));
  return [...found, ...properties];
}

/** Returns the candidates for a line of the human monitor: its commands, and those of `info`. */
async function humanCandidates(session: Session, line: string): Promise<Candidates> {
  const [, info, begun] = /^(info\s+)?(\S*)$/s.exec(line) ?? [];
  if (begun === undefined) return { begun: "", words: [] };
  const found = await humanCommands(session, info === undefined ? "" : "info");
  const back: readonly Candidate[] = session.language === "hmp" ? [["qmp", "back to QMP"]] : [];
  return { begun, words: beginning([...found, ...back], begun), isRaw: true };
}

/** Returns the candidates for a command of the shell, or what follows its name. */
async function ownCandidates(
  session: Session,
  name: string,
  hasRest: boolean,
  rest: string,
): Promise<Candidates> {
  if (!hasRest) {
    const rows = Object.entries(OWN_COMMANDS)
      .map(([each, { help }]): Candidate => [`\\${each}`, help]);
    return { begun: `\\${name}`, words: beginning(rows, `\\${name}`), isRaw: true };
  }
  const of = (words: readonly string[]): Candidates => {
    const begun = /\S*$/.exec(rest)![0];
    const found = words.map((word): Candidate => [word]);
    return { begun, words: beginning(found, begun), isRaw: true };
  };
  switch (name) {
    case "json":
    case "time":
      return of(["on", "off"]);
    case "help": {
      const { commands, schema } = await session.present();
      return of([...commands, ...schema?.events.keys() ?? []]);
    }
    case "events": {
      const { schema } = await session.present();
      return of(["off", ...schema?.events.keys() ?? EVENT_NAMES]);
    }
    case "job":
      return of(await liveNames(session, JOB));
    case "save":
      return of(files(rest));
    case "watch": {
      const [, line] = /^\S+\s+(.*)$/s.exec(rest) ?? [];
      return line === undefined ? of([]) : await candidatesFor(session, line);
    }
    default:
      return of([]);
  }
}

/** Returns the files that begin with a text; none if their directory cannot be read. */
function files(begun: string): readonly string[] {
  try {
    return pathsFrom(begun, false);
  } catch (error) {
    if (error instanceof Error) return [];
    throw error;
  }
}
