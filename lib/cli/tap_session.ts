/**
 * A session with the control socket that receives the lines of a recording as they are made.
 *
 * @module
 */

import { Failure } from "../platform/failure.ts";
import type { Qmp } from "../client/qmp.ts";
import { type Address, addressText } from "../policy/address.ts";
import { UsageError } from "../policy/usage_error.ts";
import { isNotFound } from "./admin.ts";
import { attemptOf, inSession } from "./deadline.ts";
import { endingWell } from "./events.ts";
import { controlOf, type Given } from "./flags.ts";
import { replyTo, statusOfError } from "./replies.ts";

/** The event whose data is a line. */
const TAP_EVENT = "__org.qmpmux_TAP";

/** The member with the line, as qmpmux writes it. */
const DATA = '"data": ';

/** The arguments of `__org.qmpmux_tap`: globs, and whether secrets are kept. */
export interface TapArguments {
  /** The VMs; all by default. */
  readonly vm?: readonly string[] | undefined;
  /** The clients; all by default. */
  readonly client?: readonly string[] | undefined;
  /** The commands; all by default. */
  readonly command?: readonly string[] | undefined;
  /** The events; none by default. */
  readonly events?: readonly string[] | undefined;
  /** Whether secrets are kept. */
  readonly secrets: boolean;
  /** Whether the lines are for people, and need not be whole. */
  readonly brief?: boolean;
}

/**
 * Receives lines until the connection ends.
 *
 * Lines are not queued here: while `take` works, nothing is read, and qmpmux counts what it drops.
 *
 * @param take is called with each line of text, the header first; it must not wait
 * @throws Failure, UsageError
 */
export async function tapLines(
  command: string,
  given: Given,
  args: TapArguments,
  take: (line: string) => void,
): Promise<void> {
  const attempt = attemptOf(command, given, controlFor);
  const late = (): string => `${attempt.seconds} s have passed`;
  await inSession({ command, ...attempt, late }, async (qmp) => {
    const events = qmp.events([TAP_EVENT], { limit: Infinity });
    await begin(command, qmp, args, attempt.address);
    for await (const { text } of endingWell(events)) {
      const at = text.indexOf(DATA);
      if (at < 0) throw otherForm(command, attempt.address);
      take(text.slice(at + DATA.length, -1));
    }
  });
}

async function begin(
  command: string,
  qmp: Qmp,
  args: TapArguments,
  address: Address,
): Promise<void> {
  const answer = await replyTo(qmp, "__org.qmpmux_tap", JSON.stringify(args));
  if ("value" in answer) return;
  if (isNotFound(answer)) throw otherForm(command, address);
  throw new Failure(statusOfError(answer), `${command}: ${answer.desc}`);
}

function controlFor(command: string, given: Given): Address {
  const address = controlOf(command, given);
  if (address !== undefined) return address;
  throw new UsageError(
    `${command}: no control socket is named; give --control ADDR or set QMPMUX_CONTROL`,
  );
}

function otherForm(command: string, address: Address): Failure {
  return new Failure(
    69,
    `${command}: ${addressText(address)} does not answer __org.qmpmux_tap; ` +
      "name a control socket of qmpmux of the same version",
  );
}
