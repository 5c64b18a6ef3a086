/**
 * The comparison of a command with recorded ones.
 *
 * @module
 */

import { parseExact } from "../client/exact_json.ts";
import { nearest } from "../policy/suggestion.ts";
import { argumentsText, type Command } from "../wire/message.ts";
import { printable } from "../wire/printable.ts";
import { shortened } from "../wire/shortened.ts";
import type { RecordedCommand } from "./play.ts";
import { isSame } from "./same.ts";

/** The most characters of a command in a message for people. */
const SHOWN_LENGTH = 200;

/**
 * Returns whether a command is the recorded one: the same name, lane and arguments.
 *
 * @param mark the text that stands for what was removed; a string with it matches anything
 */
export function isRecorded(
  { command: recorded }: RecordedCommand,
  given: Command,
  mark: string | undefined,
): boolean {
  if (recorded.name !== given.name || recorded.oob !== given.oob) return false;
  const [expected, found] = [argumentsText(recorded), argumentsText(given)];
  if (expected === found) return true;
  return isSame(parseExact(expected), parseExact(found), mark);
}

/** Returns the difference of a command from all recorded ones, as the end of a sentence about it. */
export function mismatchOf(
  given: Command,
  recorded: readonly RecordedCommand[],
  mark: string | undefined,
): string {
  const beside = { ...given, oob: !given.oob };
  if (recorded.some((each) => isRecorded(each, beside, mark))) {
    return `is recorded only ${given.oob ? "in band" : "out of band"}`;
  }
  return recorded.some(({ command }) => command.name === given.name)
    ? "is not in the recording with these arguments"
    : "is not in the recording";
}

/**
 * Finds the recorded command that is nearest to another: of the same name with the most arguments in
 * common, or of the most similar name.
 */
export function nearestRecorded(
  given: Command,
  recorded: Iterable<RecordedCommand>,
): RecordedCommand | undefined {
  const first = new Map<string, RecordedCommand>();
  const args = Object.entries(parseExact(argumentsText(given)) as object);
  let best: RecordedCommand | undefined;
  let most = -1;
  for (const each of recorded) {
    const { command } = each;
    if (!first.has(command.name)) first.set(command.name, each);
    if (command.name !== given.name) continue;
    const others = parseExact(argumentsText(command)) as Readonly<Record<string, unknown>>;
    const common = args.filter(([key, value]) =>
      Object.hasOwn(others, key) && isSame(others[key], value)
    ).length;
    if (common > most) {
      [best, most] = [each, common];
    }
  }
  if (best !== undefined) return best;
  const name = nearest(given.name, [...first.keys()]);
  return name === undefined ? undefined : first.get(name);
}

/** Returns a command as text for people: its name, and its arguments if it has any. */
export function commandText(command: Command): string {
  const args = argumentsText(command);
  const text = args === "{}" ? command.name : `${command.name} ${args}`;
  return printable(shortened(text, SHOWN_LENGTH));
}
