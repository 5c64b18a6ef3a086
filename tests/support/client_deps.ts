/**
 * The dependencies of a `Client`, with defaults for those that a test does not use.
 *
 * @module
 */

import type { Mux } from "../../lib/hub/mux.ts";
import type { ClientDeps } from "../../lib/daemon/deps.ts";
import { CLOCK } from "../../lib/platform/clock.ts";
import { InternalErrors, LimitLog } from "../../lib/daemon/limit_log.ts";
import type { Log } from "../../lib/platform/log.ts";
import { TURNS } from "../../lib/platform/turns.ts";
import { FakeLog } from "./fake_log.ts";

/** Returns internal errors that fail the test in which they occur. */
export function strictErrors(): InternalErrors {
  const errors = new InternalErrors(new LimitLog(new FakeLog()), () => {});
  errors.report = (where, error): void => {
    throw new Error(`An internal error (${where})`, { cause: error });
  };
  return errors;
}

/** Returns the dependencies of a client of this hub. */
export function clientDeps(
  mux: Mux,
  log: Log = new FakeLog(),
  { limitLog = new LimitLog(log), clock = CLOCK, ...more }: Partial<ClientDeps> = {},
): ClientDeps {
  return {
    mux,
    log,
    limitLog,
    clock,
    errors: strictErrors(),
    turns: TURNS,
    awake: () => {},
    ...more,
  };
}
