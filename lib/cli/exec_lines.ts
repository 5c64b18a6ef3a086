/**
 * `qmpmux exec -`: runs the commands on stdin in one session, and prints a reply for each.
 *
 * @module
 */

import { ConnectionLost, ProtocolError } from "../client/errors.ts";
import type { Qmp } from "../client/qmp.ts";
import { type ExitStatus, Failure } from "../platform/failure.ts";
import { stdinLines } from "../platform/input.ts";
import { print } from "../platform/output.ts";
import { UsageError } from "../policy/usage_error.ts";
import { errorReply, returnReply, withId } from "../wire/reply.ts";
import { shortened } from "../wire/shortened.ts";
import { type Attempt, inSession } from "./deadline.ts";
import { commandOn, LINE_MIB_LIMIT, type LineCommand } from "./line_command.ts";
import { replyTo } from "./replies.ts";

const DECODER = new TextDecoder();

/** The most commands in flight; a monitor of QEMU runs one at a time. */
const IN_FLIGHT_LIMIT = 64;

/** The end of the connection before that of stdin. */
const LOST = Symbol("lost");

/** The most characters of a command's name in a message. */
const SHOWN_LENGTH = 60;

/**
 * Runs commands until the end of stdin, many at a time, and prints the replies in the order of the lines.
 *
 * @param attempt the monitor, and the timeout of the whole session
 * @returns 0 if every command returned a value, otherwise 1
 * @throws UsageError for a line that is not a command, after the replies to the lines before it;
 *   Failure as {@linkcode inSession}, or if stdin cannot be read
 */
export async function execLines(
  { address, seconds }: Pick<Attempt, "address" | "seconds">,
): Promise<ExitStatus> {
  const session = new LineSession();
  const late = (): string => session.late(seconds);
  return await inSession(
    { command: "exec", address, seconds, late },
    (qmp) => session.run(qmp),
  );
}

/** A command, for messages. */
export interface Asked {
  /** Its name. */
  readonly name: string;
  /** The number of its line. */
  readonly line: number;
}

/** A command whose reply is not printed yet. */
interface Waiting extends Asked {
  /** Resolves when its reply is printed, or its end is known; it never rejects. */
  readonly done: Promise<void>;
}

/** A reply as QEMU writes it, or the error that stands for it. */
type Outcome = { readonly text: string; readonly isError: boolean } | { readonly error: unknown };

/** The commands of stdin and their replies. */
class LineSession {
  #status: ExitStatus = 0;
  /** The commands whose replies are not printed, in the order of their lines. */
  readonly #waiting: Waiting[] = [];
  /** The commands that got no reply before the connection ended. */
  readonly #lost: Asked[] = [];
  /** Rejects if a reply is invalid or cannot be printed. */
  readonly #failure = Promise.withResolvers<never>();
  #hasFailed = false;
  /** Whether no further command is sent. */
  #isEnding = false;
  /** The last command that returned a value. */
  #last: string | undefined;

  /** Runs the commands; returns or throws as {@linkcode execLines}. */
  async run(qmp: Qmp): Promise<ExitStatus> {
    this.#failure.promise.catch(() => {});
    const closed = qmp.closed.then((): typeof LOST => LOST);
    const end = await Promise.race([this.#read(qmp), closed, this.#failure.promise]);
    this.#isEnding = true;
    await Promise.race([this.#waiting.at(-1)?.done, this.#failure.promise]);
    // QEMU closes the connection after `quit`; nothing is lost then.
    const isLoss = this.#lost.length > 0 || end === LOST && this.#last !== "quit";
    if (isLoss) throw lossOf((await qmp.closed)!, this.#lost);
    if (end instanceof Error) throw end;
    return this.#status;
  }

  /** Returns the message for a timeout. */
  late(seconds: number | undefined): string {
    const [first, ...more] = this.#waiting;
    if (first === undefined) {
      return `stdin did not end within ${seconds} s; no command is in flight`;
    }
    return `no reply within ${seconds} s to ${listed(this.#waiting)}; ` +
      `${more.length > 0 ? "they" : "it"} may still run`;
  }

  /** Sends the commands on stdin; returns the problem that ended them before the end of stdin. */
  async #read(qmp: Qmp): Promise<UsageError | Failure | undefined> {
    let number = 0;
    try {
      for await (const line of stdinLines(LINE_MIB_LIMIT << 20)) {
        const command = commandOn(line, ++number);
        if (command === undefined) continue;
        if (this.#waiting.length === IN_FLIGHT_LIMIT) await this.#waiting[0]!.done;
        if (this.#isEnding) break;
        this.#ask(qmp, command, number);
      }
    } catch (error) {
      if (error instanceof UsageError || error instanceof Failure) return error;
      throw error;
    }
    return undefined;
  }

  #ask(qmp: Qmp, command: LineCommand, line: number): void {
    const asked = { name: command.name, line };
    const done = this.#settle(asked, outcomeOf(qmp, command), this.#waiting.at(-1)?.done);
    this.#waiting.push({ ...asked, done });
  }

  /** Prints a reply when those before it are printed. */
  async #settle(asked: Asked, reply: Promise<Outcome>, before?: Promise<void>): Promise<void> {
    await before;
    const outcome = await reply;
    if (this.#hasFailed) return;
    try {
      if ("error" in outcome) {
        const { error } = outcome;
        if (!(error instanceof ConnectionLost || error instanceof ProtocolError)) throw error;
        this.#lost.push(asked);
      } else {
        print(outcome.text);
        if (outcome.isError) this.#status = 1;
        else this.#last = asked.name;
      }
      this.#waiting.shift();
    } catch (error) {
      this.#hasFailed = true;
      this.#failure.reject(error);
    }
  }
}

/** Runs a command; returns the reply with its id. */
async function outcomeOf(qmp: Qmp, { name, args, id }: LineCommand): Promise<Outcome> {
  try {
    const answer = await replyTo(qmp, name, args);
    const isError = "desc" in answer;
    const reply = isError ? errorReply(answer.errorClass, answer.desc) : returnReply(answer.value);
    return { text: DECODER.decode(withId(reply, id)).trimEnd(), isError };
  } catch (error) {
    return { error };
  }
}

/** Returns the error for the end of a connection; it names the commands that got no reply. */
export function lossOf(error: Error, lost: readonly Asked[]): ConnectionLost | ProtocolError {
  const isClosed = error instanceof ConnectionLost;
  // A command that was not sent waits behind those that were.
  const sent = lost.slice(0, isClosed ? error.inFlight.length : lost.length);
  const unsent = lost.slice(sent.length);
  const parts: string[] = [];
  if (sent.length > 0) {
    const whose = sent.length > 1 ? "their effects are" : "its effect is";
    parts.push(`${listed(sent)} got no reply, and ${whose} unknown`);
  }
  if (unsent.length > 0) {
    parts.push(`${listed(unsent)} ${unsent.length > 1 ? "were" : "was"} not sent`);
  }
  const text = parts.length > 0
    ? `${error.message}: ${parts.join("; ")}`
    : `${error.message} while no command was in flight`;
  return isClosed ? new ConnectionLost(text, error.inFlight) : new ProtocolError(text);
}

/** Returns commands with their lines as text; a run of commands with one name is one entry. */
function listed(commands: readonly Asked[]): string {
  const runs: { name: string; first: number; last: number }[] = [];
  for (const { name, line } of commands) {
    const run = runs.at(-1);
    if (run?.name === name) run.last = line;
    else runs.push({ name, first: line, last: line });
  }
  return runs.map(({ name, first, last }) => {
    const lines = first === last ? `line ${first}` : `lines ${first} to ${last}`;
    return `${shortened(name, SHOWN_LENGTH)} (${lines})`;
  }).join(", ");
}
