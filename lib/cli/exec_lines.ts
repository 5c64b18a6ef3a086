/**
 * `qmpmux exec -`: runs the commands on stdin in one session, and prints a reply for each.
 *
 * @module
 */

import type { Qmp } from "../client/qmp.ts";
import type { ExitStatus } from "../platform/failure.ts";
import { type InputLine, stdinLines } from "../platform/input.ts";
import { print } from "../platform/output.ts";
import { UsageError } from "../policy/usage_error.ts";
import { FrameSplitter } from "../wire/frame.ts";
import { readJsonObject } from "../wire/json_text.ts";
import { errorReply, returnReply, withId } from "../wire/reply.ts";
import { replyTo } from "./replies.ts";

const ENCODER = new TextEncoder();
const DECODER = new TextDecoder();

/** The most commands in flight; a monitor of QEMU runs one at a time. */
const IN_FLIGHT_LIMIT = 64;

/** The most MiB of a line; QEMU itself reads no longer command. */
const LINE_MIB_LIMIT = 64;

/** The members of a command. */
const MEMBERS: readonly string[] = ["execute", "arguments", "id"];

/** The remedy for a line that is not a command. */
const FORM = 'write {"execute": NAME, "arguments": {...}, "id": ID}';

/** A command on a line. */
interface LineCommand {
  readonly name: string;
  /** The arguments as JSON. */
  readonly args: string | undefined;
  /** The id as JSON. */
  readonly id: string | undefined;
}

/**
 * Runs commands until the end of stdin, many at a time, and prints the replies in the order of the lines.
 *
 * @returns 0 if every command returned a value, otherwise 1
 * @throws UsageError for a line that is not a command, after the replies to the lines before it; the
 *   errors of the client
 */
export async function execLines(qmp: Qmp): Promise<ExitStatus> {
  let status: ExitStatus = 0;
  const failed = Promise.withResolvers<never>();
  failed.promise.catch(() => {});
  const printed: Promise<void>[] = [];
  const run = (command: LineCommand): void => {
    const reply = textOf(qmp, command);
    const before = printed.at(-1);
    const next = (async () => {
      const { text, isError } = await reply;
      await before;
      print(text);
      if (isError) status = 1;
    })();
    next.catch(failed.reject);
    printed.push(next);
  };
  const lines = stdinLines(LINE_MIB_LIMIT << 20);
  let problem: UsageError | undefined;
  for (let number = 1; problem === undefined; number++) {
    if (printed.length === IN_FLIGHT_LIMIT) await printed.shift();
    const { done, value: line } = await Promise.race([lines.next(), failed.promise]);
    if (done) break;
    if (line !== "too long" && DECODER.decode(line).trim() === "") continue;
    const command = commandOn(line, number);
    if (command instanceof UsageError) problem = command;
    else run(command);
  }
  await printed.at(-1);
  if (problem !== undefined) throw problem;
  return status;
}

/** Reads the command on a line. */
function commandOn(line: InputLine, number: number): LineCommand | UsageError {
  const wrong = (reason: string, remedy = FORM): UsageError =>
    new UsageError(`exec: line ${number} of stdin: ${reason}; ${remedy}`);
  if (line === "too long") {
    return wrong(`it has more than ${LINE_MIB_LIMIT} MiB, which no QEMU reads`, "shorten it");
  }
  const read = readJsonObject(line);
  if ("wrong" in read) return wrong(read.wrong);
  const damage = damageIn(read.text);
  if (damage !== undefined) return wrong(`QEMU cannot read it: ${damage}`);
  const { members } = read;
  const name = members.get("execute");
  if (name === undefined) return wrong('it has no member "execute"');
  if (!name.startsWith('"')) return wrong('"execute" is not a string');
  const other = [...members.keys()].find((member) => !MEMBERS.includes(member));
  if (other !== undefined) return wrong(`unexpected member ${JSON.stringify(other)}`);
  const args = members.get("arguments");
  if (args !== undefined && !args.startsWith("{")) return wrong('"arguments" is not an object');
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

/** Runs a command; returns the reply with its id, as QEMU writes it. */
async function textOf(
  qmp: Qmp,
  { name, args, id }: LineCommand,
): Promise<{ text: string; isError: boolean }> {
  const answer = await replyTo(qmp, name, args);
  const isError = "desc" in answer;
  const reply = isError ? errorReply(answer.errorClass, answer.desc) : returnReply(answer.value);
  return { text: DECODER.decode(withId(reply, id)).trimEnd(), isError };
}
