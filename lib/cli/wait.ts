/**
 * `qmpmux wait`: until QEMU answers, an event comes, or the machine has a status.
 *
 * @module
 */

import { type ExitStatus, Failure } from "../rim/failure.ts";
import { say } from "../rim/log.ts";
import { print } from "../rim/output.ts";
import { BusyMonitor, NoMonitor, Session } from "../rim/session.ts";
import { type Address, UsageError } from "../terms/address.ts";
import { noGreeting } from "./busy.ts";
import { beforeDeadline } from "./deadline.ts";
import { choose } from "./events.ts";
import { readFlags, secondsOf, socketOf } from "./flags.ts";
import { showHelp } from "./help.ts";

/** Between two tries to reach a monitor that is not there yet. */
const RETRY_MS = 100;

/** A machine that is paused and migrates becomes `postmigrate` without an event, for one. */
const ASK_AGAIN_MS = 1000;

/** The longest answer to `query-status` that is read; QEMU's has some 80 characters. */
const ANSWER_LENGTH_LIMIT = 65536;

/**
 * Runs `qmpmux wait`.
 *
 * @throws UsageError, Failure
 */
export async function runWait(args: string[]): Promise<ExitStatus> {
  const given = readFlags("wait", args);
  if (given.help) return showHelp("wait");
  const event = given.one("event");
  const status = given.one("status");
  if (event !== undefined && status !== undefined) {
    throw new UsageError("wait: --event and --status exclude each other; give one");
  }
  const timeout = given.one("timeout");
  const address = socketOf("wait", given);
  const seconds = timeout === undefined ? undefined : secondsOf("wait", "timeout", timeout);
  // Why it waits still.
  let obstacle: string | undefined;
  const ended = await beforeDeadline(seconds, async () => {
    using session = await patiently(address, (failure) => obstacle = failure?.message);
    obstacle = "";
    if (event !== undefined) await untilEvent(session, event);
    else if (status !== undefined) await untilStatus(session, status);
    return 0;
  });
  if (ended === 124 && obstacle !== "") say(`wait: ${obstacle ?? noGreeting(address).message}`);
  return ended;
}

/**
 * Connects as soon as somebody listens; what answers otherwise is an error at once.
 *
 * @param told is told why it is not connected, or that it is and waits for the greeting, or may not yet
 */
async function patiently(
  address: Address,
  told: (failure: Failure | undefined) => void,
): Promise<Session> {
  for (;;) {
    try {
      return await Session.open(address, () => told(undefined));
    } catch (error) {
      if (!(error instanceof NoMonitor)) throw error;
      told(error instanceof BusyMonitor ? undefined : error);
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

async function untilEvent(session: Session, glob: string): Promise<void> {
  const filter = await choose(session, [glob]);
  for (;;) {
    const event = await session.event();
    if (event === undefined) throw new Failure(1, `wait: QEMU went before an event ${glob} came`);
    if (filter.passes(event.name)) return print(event.text);
  }
}

/** Asks again after every event, and now and then: some changes are told by none. */
async function untilStatus(session: Session, status: string): Promise<void> {
  for (;;) {
    const answer = await session.execute("query-status");
    if ("desc" in answer) throw new Failure(1, `wait: query-status: ${answer.desc}`);
    if (statusIn(answer.value) === status) return;
    if (!await session.quiet(ASK_AGAIN_MS)) {
      throw new Failure(1, `wait: QEMU went before it was ${status}`);
    }
  }
}

/** The status in what `query-status` returned; @throws Failure where there is none */
function statusIn(value: string): string {
  const { status } = value.length > ANSWER_LENGTH_LIMIT ? {} : Object(JSON.parse(value));
  if (typeof status === "string") return status;
  throw new Failure(1, "wait: query-status returned no status; name a monitor of QEMU");
}
