/**
 * The descriptors that clients pass: which are accepted, and the limit of their number.
 *
 * Each counts against qmpmux's limit of open files. Descriptors that are not accepted
 * are closed.
 *
 * @module
 */

import { Descriptors } from "../platform/descriptors.ts";
import type { Monitor } from "../session/monitor.ts";
import type { Fds } from "../wire/peer.ts";
import type { LimitLog } from "./limit_log.ts";

/** The limit of descriptors, of all clients, that wait for a command; one message has up to sixteen. */
export const FDS_IN_ALL = 1024;

/** The number of descriptors that have been received and not yet closed or sent. */
export class FdBudget {
  /** The number of descriptors held. */
  held = 0;

  /** Counts received descriptors; returns `false` if they exceed the limit. */
  admit(fds: Descriptors): boolean {
    const count = fds.numbers.length;
    if (this.held + count > FDS_IN_ALL) return false;
    this.held += count;
    fds.whenClosed((closed) => void (this.held -= closed));
    return true;
  }
}

/** Returns the received descriptors that are accepted from a client, and closes the others. */
export function takenFrom(
  { name, grant }: Monitor,
  fds: Fds,
  limitLog: LimitLog,
  budget: FdBudget | undefined,
): Fds | undefined {
  if (!grant.passes) {
    fds.close();
    limitLog.reached(
      "fds",
      grant.name,
      `client ${name} passed a file descriptor, which was closed: its listener accepts none; ` +
        "add fds=on to it",
    );
    return undefined;
  }
  if (!(fds instanceof Descriptors)) return fds;
  if (fds.closeOwnEnds() > 0) {
    limitLog.logged(
      `${grant.name}: an end of a connection to qmpmux was passed`,
      `client ${name} passed an end of a connection to qmpmux: it was closed`,
    );
  }
  if (fds.numbers.length === 0) return undefined;
  if (budget?.admit(fds) !== false) return fds;
  fds.close();
  limitLog.reached(
    "fds-in-all",
    grant.name,
    `client ${name} passed a file descriptor, which was closed: ${FDS_IN_ALL} of all clients are waiting already`,
  );
  return undefined;
}
