/**
 * Replies and events for a shell: as JSON on one line, safe for a terminal, with the digits of the monitor.
 *
 * @module
 */

import { QmpError } from "../client/errors.ts";
import type { ExecuteOptions } from "../client/options.ts";
import type { Qmp } from "../client/qmp.ts";
import { Failure } from "../platform/failure.ts";
import { readJsonObject } from "../wire/json_text.ts";

const ENCODER = new TextEncoder();

/** The most characters of an error; a long list of errors in a file has a hundredth of that. */
const ERROR_LENGTH_LIMIT = 1 << 20;

/** An error reply. */
export interface ErrorReply {
  /** The error class. */
  readonly errorClass: string;
  /** The text of the error; escape it before printing it to a terminal. */
  readonly desc: string;
}

/** The reply to a command: the value as JSON on one line of printable ASCII, or the error. */
export type SessionReply = { readonly value: string } | ErrorReply;

/**
 * Runs a command.
 *
 * @param args the arguments as JSON text
 * @throws Failure if the reply is not JSON; the errors of the client, except QmpError
 */
export async function replyTo(
  qmp: Qmp,
  name: string,
  args?: string,
  options?: ExecuteOptions,
): Promise<SessionReply> {
  let text: string;
  try {
    text = await qmp.executeText(name, args, options);
  } catch (error) {
    // It is QEMU's error, found before the command was sent.
    if (error instanceof SyntaxError) return { errorClass: "GenericError", desc: error.message };
    if (!(error instanceof QmpError)) throw error;
    const { errorClass, desc } = error;
    const length = errorClass.length + desc.length;
    if (length <= ERROR_LENGTH_LIMIT) return { errorClass, desc };
    throw new Failure(1, `invalid reply to ${name}: the error has ${length} characters`);
  }
  const read = readJsonObject(ENCODER.encode(text));
  if ("wrong" in read) throw new Failure(1, `invalid reply to ${name}: not JSON: ${read.wrong}`);
  return { value: read.members.get("return")! };
}

/** Returns the value of a reply as JSON on one line; @throws Failure if it is an error */
export function valueOf(command: string, reply: SessionReply): string {
  if ("value" in reply) return reply.value;
  throw new Failure(statusOfError(reply), `${command}: ${reply.errorClass}: ${reply.desc}`);
}

/** Returns a message as JSON on one line of printable ASCII; @throws Failure if it is not JSON */
export function onOneLine(text: string): string {
  const read = readJsonObject(ENCODER.encode(text));
  if ("text" in read) return read.text;
  throw new Failure(1, `invalid message: not JSON: ${read.wrong}`);
}

/** The form of the error with which qmpmux refuses a command because of a role. */
const REFUSED_BY_ROLE = /^The command .+ has been refused: role /s;

/** Returns 77 if a role refuses the command, and 1 for any other error. */
export function statusOfError({ errorClass, desc }: ErrorReply): 1 | 77 {
  return errorClass === "CommandNotFound" && REFUSED_BY_ROLE.test(desc) ? 77 : 1;
}
