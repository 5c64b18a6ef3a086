/**
 * The checks after a step: whether every client is in the expected state.
 *
 * @module
 */

import { Broken } from "./broken.ts";
import { type Seat, shown } from "./seat.ts";

/** The numbers that qmpmux reports about itself. */
export interface Status {
  readonly waiting: number;
  readonly inFlight: number;
  readonly clients: number;
}

/** Checks that a client is in the expected state after a step. */
export function checkStep(seat: Seat, paused: boolean, hasFds: boolean): void {
  const { label, entries: [first], due, overtaking } = seat;
  if (seat.mustClose !== seat.closed) {
    throw new Broken("loss", `${label} has not been closed`);
  }
  // The loss of QEMU is the last that a client gets. Anything else ends with the connection.
  if (seat.farewell !== undefined) {
    throw new Broken("events", `${label} did not get ${seat.farewell}`);
  }
  if (due !== undefined && (!seat.closed || due.includes("QEMU_LOST"))) {
    throw new Broken("events", `${label} did not get ${due}`);
  }
  if (seat.closed) return;
  if (first && (first.answer !== undefined || first.exec !== undefined || first.refused)) {
    const what = first.answer === undefined ? first.command!.strict : shown(first.answer);
    throw new Broken("none lost", `${label} got no reply in its turn: ${what}`);
  }
  if (overtaking && (overtaking.answer ?? overtaking.exec)) {
    throw new Broken("none lost", `${label} got no reply out of turn`);
  }
  if (overtaking?.covered === false && !hasFds) {
    throw new Broken("none lost", `${label}'s command was delayed without a reason`);
  }
  if (paused !== seat.paused) {
    throw new Broken(
      "backpressure",
      `${label} must ${
        seat.paused ? "" : "not "
      }be paused: ${seat.entries.length} commands are pending`,
    );
  }
}

/** Checks that every client has been answered, and that qmpmux reports nothing pending. */
export function checkSettled(seats: readonly Seat[], status: Status): void {
  for (const { label, entries: [first], overtaking, closed } of seats) {
    const left = first ?? overtaking;
    if (left && !closed) {
      throw new Broken("none lost", `${label} never got a reply to ${left.command?.strict}`);
    }
  }
  if (status.waiting !== 0 || status.inFlight !== 0) {
    throw new Broken(
      "bounds",
      `${status.waiting} commands wait and ${status.inFlight} are at QEMU when all is done`,
    );
  }
  const there = seats.filter(({ closed }) => !closed).length;
  if (status.clients !== there) {
    throw new Broken("bounds", `${status.clients} clients are listed, not ${there}`);
  }
}

/** Checks the numbers of a client's pending commands that qmpmux reports. */
export function checkPending(seat: Seat, all: number, inFlight: number): void {
  const { label, pending } = seat;
  // At most as many have been sent to QEMU as possible.
  const sent = pending.filter(({ covered }) => covered).length;
  if (all !== pending.length || inFlight > sent) {
    const told = `${all} commands, ${inFlight} at QEMU`;
    throw new Broken(
      "bounds",
      `${label} has ${pending.length} pending, ${sent} sent, but qmpmux reports ${told}`,
    );
  }
}

/** Checks that no more commands wait in qmpmux than clients have pending, plus `more`. */
export function checkWaiting(seats: Iterable<Seat>, more: number, waiting: number): void {
  let asked = more;
  for (const { entries, overtaking } of seats) {
    asked += entries.length + (overtaking?.covered === false ? 1 : 0);
  }
  if (waiting > asked) {
    throw new Broken(
      "bounds",
      `${waiting} commands wait here, but clients have only ${asked} pending`,
    );
  }
}
