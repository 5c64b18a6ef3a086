/**
 * The places of replies: a slot for each pending in-band command of a client.
 *
 * @module
 */

import type { Id, Reply } from "../wire/message.ts";

/**
 * The most pending in-band commands of one client.
 *
 * The limits are QEMU's (`QMP_REQ_QUEUE_LEN_MAX`, measured). With `oob`, QEMU stops reading when
 * one command runs and eight wait. Without `oob`, it stops when one runs.
 */
export const WAITING_LIMIT = { inBand: 1, withOob: 9 } as const;

/** A function that returns a local reply in its turn; `undefined` if `Monitor.fill` supplies it later. */
export type LocalAnswer = (ticket: Ticket) => Reply | undefined;

/** A place in the order of replies. */
export interface Slot {
  /** The id for the reply. */
  readonly id: Id;
  /** The reply, or a function that returns it in its turn; `undefined` while the reply is pending. */
  answer: Reply | LocalAnswer | undefined;
}

/** The place of a pending command's reply. */
export type Ticket = Slot | { readonly id: Id; readonly oob: true };

/** Returns the reply in a slot, or `undefined` if it is pending. */
export function replyIn(slot: Slot): Reply | undefined {
  const { answer } = slot;
  if (typeof answer !== "function") return answer;
  slot.answer = undefined;
  return answer(slot) ?? filled(slot);
}

/** Returns the reply that a slot received during the call of its answer. */
function filled({ answer }: Slot): Reply | undefined {
  return typeof answer === "function" ? undefined : answer;
}
