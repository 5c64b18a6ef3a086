/**
 * The answers of a QEMU that follows a script: which commands come, in which order, and what each gets.
 *
 * @module
 */

import { parseExact, stringifyExact } from "../client/exact_json.ts";
import { argumentsText, type Command } from "../wire/message.ts";
import { printable } from "../wire/printable.ts";
import { errorReply } from "../wire/reply.ts";
import { shortened } from "../wire/shortened.ts";
import {
  type Answer,
  type Answerer,
  type FakeEvent,
  plainAnswer,
  valueReply,
  withFaults,
} from "./answer.ts";
import { readAction } from "./fault.ts";
import { checkList, checkMembers } from "./known_members.ts";
import { isSame } from "./same.ts";

/** An entry of a script: a command that is expected, and what it gets. */
export interface ScriptEntry {
  /** The name of the command. */
  readonly execute: string;
  /** Its arguments, in any order; without them any are taken. */
  readonly arguments?: object;
  /** The value that it returns, `{}` by default; integers beyond 2⁵³ are bigints. */
  readonly return?: unknown;
  /** The error that it gets instead; its class is `GenericError` by default. */
  readonly error?: { readonly class?: string; readonly desc: string };
  /** The events before the reply. */
  readonly before?: readonly FakeEvent[];
  /** The events after the reply. */
  readonly after?: readonly FakeEvent[];
  /** A fault, such as `delay 200ms` or `cut after 10 bytes`. */
  readonly fault?: string;
}

/** The members of an entry. */
const MEMBERS = ["execute", "arguments", "return", "error", "before", "after", "fault"];

/** The most characters of a command in an error. */
const SHOWN_LENGTH = 200;

/** The answers of a script. */
export class Script implements Answerer {
  /** The commands that the script did not expect, each as a sentence. */
  readonly mismatches: string[] = [];
  readonly #entries: readonly { readonly entry: ScriptEntry; readonly answer: Answer }[];
  #next = 0;

  /**
   * Creates a script.
   *
   * @throws TypeError if it is not a list of entries; SyntaxError if the fault of an entry is not one
   */
  constructor(entries: readonly ScriptEntry[]) {
    checkList("the script", entries);
    for (const [index, entry] of entries.entries()) {
      checkEntry(entry, `entry ${index} of the script`);
    }
    this.#entries = entries.map((entry) => ({ entry, answer: answerOf(entry) }));
  }

  /** Returns the expected commands that have not come, each as a sentence. */
  missing(): readonly string[] {
    return this.#entries.slice(this.#next)
      .map(({ entry }) => `Expected command ${textOf(entry)} has not come`);
  }

  /** Returns the answer of the next entry if it expects this command, else an error that names both. */
  answer(command: Command): Answer {
    const next = this.#entries[this.#next];
    if (next !== undefined && expects(next.entry, command)) {
      this.#next++;
      return next.answer;
    }
    const expected = next === undefined ? "nothing more" : textOf(next.entry);
    const found = shown(command.name, argumentsText(command));
    const desc = `Unexpected command ${found}: the script expects ${expected}`;
    this.mismatches.push(desc);
    return plainAnswer(errorReply("GenericError", desc));
  }
}

function checkEntry(entry: ScriptEntry, what: string): void {
  checkMembers(what, entry, MEMBERS);
  const { execute, error, before = [], after = [] } = entry;
  if (typeof execute !== "string") throw new TypeError(`${what} has no command as "execute"`);
  checkList(`"before" in ${what}`, before);
  checkList(`"after" in ${what}`, after);
  if (error === undefined) return;
  checkMembers(`"error" in ${what}`, error, ["class", "desc"]);
  if (typeof error.desc !== "string") {
    throw new TypeError(`"error" in ${what} has no text as "desc"`);
  }
}

function answerOf(entry: ScriptEntry): Answer {
  const { error, before = [], after = [], fault } = entry;
  const reply = error === undefined
    ? valueReply(entry.return ?? {})
    : errorReply(error.class ?? "GenericError", error.desc);
  const answer = { ...plainAnswer(reply), before, after };
  return fault === undefined ? answer : withFaults(answer, [readAction(fault)]);
}

function expects({ execute, arguments: args }: ScriptEntry, command: Command): boolean {
  if (execute !== command.name) return false;
  if (args === undefined) return true;
  return isSame(parseExact(stringifyExact(args)), parseExact(argumentsText(command)));
}

/** Returns an entry's command as text. */
function textOf({ execute, arguments: args = {} }: ScriptEntry): string {
  return shown(execute, stringifyExact(args));
}

function shown(name: string, args: string): string {
  const text = args === "{}" ? name : `${name} ${args}`;
  return printable(shortened(text, SHOWN_LENGTH));
}
