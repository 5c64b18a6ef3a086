/**
 * A reply with faults, on a connection to a fake QEMU.
 *
 * @module
 */

import { EventName } from "../policy/event_filter.ts";
import type { Reply } from "../wire/message.ts";
import { eventMessage } from "../wire/reply.ts";
import { type FakeEvent, plainAnswer, withFaults } from "./answer.ts";
import type { PendingCommand } from "./fake_connection.ts";
import type { FaultAction } from "./fault.ts";

/** The parts of a fake QEMU that faults need. */
export interface FaultyQemu {
  /** Calls back once after seconds. */
  after(seconds: number, run: () => void): void;
  /** Returns the seconds since 1970. */
  timeOfDay(): number;
  /** Closes all connections. */
  restart(): void;
}

/** Sends a reply as faults have it: later, with events around it, as an error, in part, or not at all. */
export function sendFaulty(
  pending: PendingCommand,
  reply: Reply,
  actions: readonly FaultAction[],
  qemu: FaultyQemu,
): void {
  const answer = withFaults(plainAnswer(reply), actions);
  const { connection } = pending;
  const emit = ({ name, data = {} }: FakeEvent): void => {
    const now = qemu.timeOfDay();
    const seconds = Math.floor(now);
    const timestamp = { seconds, microseconds: Math.floor((now - seconds) * 1e6) };
    connection.sendEvent(new EventName(name), eventMessage(name, timestamp, data));
  };
  const send = (): void => {
    if (connection.isClosed) return pending.abandon();
    answer.before.forEach(emit);
    const { end } = answer;
    if (end.kind === "cut") connection.cutAfter(end.bytes);
    if (end.kind === "none" || end.kind === "cut" || end.kind === "quit") {
      pending.reply(answer.reply);
    } else pending.abandon();
    answer.after.forEach(emit);
    if (end.kind === "restart") qemu.restart();
    else if (end.kind !== "none" && end.kind !== "silent") void connection.finish();
  };
  if (answer.delay > 0) qemu.after(answer.delay / 1000, send);
  else send();
}
