/**
 * The commands on the lines of `qmpmux exec -`.
 *
 * @module
 */

import type { InputLine } from "../platform/input.ts";
import { UsageError } from "../policy/usage_error.ts";
import { FrameSplitter } from "../wire/frame.ts";
import { readJsonObject } from "../wire/json_text.ts";

const ENCODER = new TextEncoder();
const DECODER = new TextDecoder();

/** The most MiB of a line; QEMU itself reads no longer command. */
export const LINE_MIB_LIMIT = 64;

/** The members of a command. */
const MEMBERS: readonly string[] = ["execute", "arguments", "id"];

/** The remedy for a line that is not a command. */
const FORM = 'write {"execute": NAME, "arguments": {...}, "id": ID}';

/** A command on a line. */
export interface LineCommand {
  /** The name. */
  readonly name: string;
  /** The arguments as JSON. */
  readonly args: string | undefined;
  /** The id as JSON. */
  readonly id: string | undefined;
}

/**
 * Reads the command on a line.
 *
 * @param number the number of the line, for messages
 * @returns `undefined` for a blank line
 * @throws UsageError if the line is not a command
 */
export function commandOn(line: InputLine, number: number): LineCommand | undefined {
  const wrong = (reason: string, remedy = FORM): UsageError =>
    new UsageError(`exec: line ${number} of stdin: ${reason}; ${remedy}`);
  if (line === "too long") {
    throw wrong(`it has more than ${LINE_MIB_LIMIT} MiB, which no QEMU reads`, "shorten it");
  }
  if (DECODER.decode(line).trim() === "") return undefined;
  const read = readJsonObject(line);
  // The line and column in a message of V8 count from the beginning of this line.
  if ("wrong" in read) throw wrong(read.wrong.replace(/ \(line \d+ column \d+\)$/, ""));
  const damage = damageIn(read.text);
  if (damage !== undefined) throw wrong(`QEMU cannot read it: ${damage}`);
  const { members } = read;
  const name = members.get("execute");
  if (name === undefined) throw wrong('it has no member "execute"');
  if (!name.startsWith('"')) throw wrong('"execute" is not a string');
  const other = [...members.keys()].find((member) => !MEMBERS.includes(member));
  if (other !== undefined) throw wrong(`unexpected member ${JSON.stringify(other)}`);
  const args = members.get("arguments");
  if (args !== undefined && !args.startsWith("{")) throw wrong('"arguments" is not an object');
  return { name: JSON.parse(name), args, id: members.get("id") };
}

/** Returns the error of QEMU's reader for a JSON object, such as a key that occurs twice, if it has one. */
function damageIn(text: string): string | undefined {
  const splitter = new FrameSplitter();
  splitter.load(ENCODER.encode(`${text}\n`));
  const found = splitter.next();
  return found === undefined || "damage" in found
    ? found?.damage ?? "it is not complete"
    : undefined;
}
