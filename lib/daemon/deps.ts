/**
 * The parts of a machine that its clients and its link to QEMU share.
 *
 * @module
 */

import type { Mux } from "../hub/mux.ts";
import type { Clock } from "../platform/clock.ts";
import type { Log } from "../platform/log.ts";
import type { ReplyBudget } from "../platform/reply_budget.ts";
import type { Turns } from "../platform/turns.ts";
import type { FdBudget } from "./fd_budget.ts";
import type { InternalErrors, LimitLog } from "./limit_log.ts";

/** The shared parts of a machine. */
export interface Deps {
  /** Routes commands, replies and events. */
  readonly mux: Mux;
  /** Receives the lines of the log. */
  readonly log: Log;
  /** Counts and logs limits that were reached. */
  readonly limitLog: LimitLog;
  /** Reports internal errors. */
  readonly errors: InternalErrors;
  /** Measures time. */
  readonly clock: Clock;
  /** Runs tasks in later turns of the event loop. */
  readonly turns: Turns;
  /** Asks for ticks, because something may be due. They end when nothing needs the time any more. */
  awake(): void;
}

/** The parts of a machine that all clients share. */
export interface ClientDeps extends Deps {
  /** Limits the replies that all clients leave unread. */
  readonly budget?: ReplyBudget;
  /** Limits the descriptors of all clients that wait for their commands. */
  readonly fds?: FdBudget;
}
