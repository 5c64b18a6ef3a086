/**
 * `qmpmux exec`: runs one command and prints the value; at many monitors if their path is a glob.
 *
 * @module
 */

import type { ExitStatus } from "../platform/failure.ts";
import { print } from "../platform/output.ts";
import { readTextFile } from "../platform/text_file.ts";
import { readJsonObject } from "../wire/json_text.ts";
import { shortened } from "../wire/shortened.ts";
import { isFile } from "../policy/address.ts";
import { hasWildcard } from "../policy/glob.ts";
import { UsageError } from "../policy/usage_error.ts";
import { argumentsFrom, isJson, WordError } from "./argument_words.ts";
import { attemptOf, inSession, unanswered } from "./deadline.ts";
import type { Given } from "./flags.ts";
import { replyTo, valueOf } from "./replies.ts";

/** The limit of a file of arguments; QEMU itself reads no longer command. */
const FILE_BYTES_LIMIT = 64 << 20;

/** The most characters of a command in an error. */
const SHOWN_LENGTH = 60;

/**
 * Runs `qmpmux exec`.
 *
 * @throws UsageError, Failure
 */
export async function runExec(given: Given): Promise<ExitStatus> {
  const [command, ...rest] = given.operands;
  const waiting = waitingIn(given);
  if (command === undefined && (waiting === undefined || waiting === "until")) {
    throw new UsageError("exec: the command is missing; see qmpmux exec --help");
  }
  if (command?.startsWith("{")) {
    throw new UsageError(
      `exec: invalid command ${shortened(command, SHOWN_LENGTH)}: expected a name; ` +
        "to run a line of JSON, write it to the stdin of exec -",
    );
  }
  const isLines = command === "-";
  if (isLines && rest.length > 0) {
    throw new UsageError(`exec: unexpected argument ${rest[0]} after -; leave it out`);
  }
  if (isLines && waiting !== undefined) {
    throw new UsageError(`exec: --${waiting} needs one command; name it in place of -`);
  }
  const argumentsText = readArguments(rest);
  const attempt = attemptOf("exec", given);
  const { address, seconds } = attempt;
  if (address.transport === "unix" && isFile(address) && hasWildcard(address.path)) {
    const needing = isLines ? "-" : waiting && `--${waiting}`;
    if (needing) throw new UsageError(`exec: ${needing} needs one socket; correct --socket`);
    const { execAtAll } = await import("./exec_many.ts");
    return await execAtAll(address.path, command!, argumentsText, seconds);
  }
  if (waiting === "until") {
    const { execUntil } = await import("./exec_until.ts");
    return await execUntil(given, attempt, command!, argumentsText);
  }
  if (waiting !== undefined) {
    const { execJob } = await import("./exec_job.ts");
    return await execJob(given, attempt, command, argumentsText);
  }
  if (isLines) return await (await import("./exec_lines.ts")).execLines(attempt);
  const late = (): string => unanswered(attempt.seconds);
  return await inSession(
    { command: "exec", ...attempt, late },
    async (qmp): Promise<ExitStatus> => {
      print(valueOf(command!, await replyTo(qmp, command!, argumentsText)));
      return 0;
    },
  );
}

/** The flags that make the command wait for more than its reply. */
const WAITING = ["until", "job", "migration"] as const;

/** Returns the flag on the command line that makes it wait; @throws UsageError if there are several */
function waitingIn(given: Given): typeof WAITING[number] | undefined {
  const [first, second] = WAITING.filter((flag) => given.has(flag) || given.all(flag).length > 0);
  if (second !== undefined) {
    throw new UsageError(`exec: --${first} and --${second} exclude each other; give one`);
  }
  if (first !== "until" && given.all("match").length > 0) {
    throw new UsageError("exec: --match needs --until EVENT; name the event");
  }
  return first;
}

/**
 * Returns arguments as JSON text.
 *
 * @param words one JSON object, one `@FILE` that has one, or any number of `key=value`; values keep
 *   their spelling, so that 64-bit integers lose no digits
 * @param command the subcommand, for messages
 * @throws UsageError; Failure if the file cannot be read
 */
export function readArguments(words: readonly string[], command = "exec"): string {
  const [first] = words;
  if (first === "@") throw new UsageError(`${command}: @ names no file; write @FILE`);
  const isInFile = first?.startsWith("@") === true;
  if (isInFile || first?.startsWith("{")) {
    if (words.length > 1) {
      const what = isInFile ? first : "JSON";
      throw new UsageError(
        `${command}: unexpected argument ${words[1]} after ${what}; leave it out`,
      );
    }
    if (isInFile) return argumentsIn(first!.slice(1), command);
    if (!isJson(first)) {
      throw new UsageError(
        `${command}: invalid argument ${first}: expected a JSON object, or key=value`,
      );
    }
    return first;
  }
  try {
    return argumentsFrom(words);
  } catch (error) {
    if (!(error instanceof WordError)) throw error;
    throw new UsageError(`${command}: ${error.message}`);
  }
}

/** Returns the arguments in a file, on one line. */
function argumentsIn(path: string, command: string): string {
  const text = readTextFile({
    path,
    command,
    flag: path === "-" ? "it (stdin is @/dev/stdin)" : "@FILE",
    limit: FILE_BYTES_LIMIT,
    status: 64,
    isReadOnce: true,
  });
  const read = readJsonObject(new TextEncoder().encode(text));
  if ("text" in read) return read.text;
  throw new UsageError(
    `${command}: ${path}: ${read.wrong}; expected one JSON object with the arguments`,
  );
}
