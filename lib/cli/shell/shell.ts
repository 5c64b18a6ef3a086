/**
 * `qmpmux shell`: commands by hand, with completion, help and events; or those on stdin.
 *
 * @module
 */

import { TimeoutError } from "../../client/errors.ts";
import type { ConnectOptions } from "../../client/options.ts";
import type { Qmp } from "../../client/qmp.ts";
import type { ExitStatus } from "../../platform/failure.ts";
import { dropFfi } from "../../platform/runtime.ts";
import type { Address } from "../../policy/address.ts";
import { noGreeting, opened } from "../deadline.ts";
import { type Given, socketOf } from "../flags.ts";

/** The time for a monitor to greet and to answer the negotiation. */
const CONNECT_MS = 10_000;

/**
 * Runs `qmpmux shell`.
 *
 * @throws UsageError; Failure if no monitor answers
 */
export async function runShell(given: Given): Promise<ExitStatus> {
  const address = socketOf("shell", given);
  const keepsGoing = given.has("keep-going");
  if (!Deno.stdin.isTerminal() || !Deno.stdout.isTerminal()) {
    await using qmp = await connected(address, {});
    const { runScript } = await import("./script.ts");
    return await runScript(qmp, keepsGoing);
  }
  const loading = import("./interactive.ts");
  await using qmp = await connected(address, { reconnect: true });
  const { Interactive } = await loading;
  return await new Interactive(qmp, !Deno.env.get("NO_COLOR")).run();
}

/** Connects and negotiates; @throws Failure */
async function connected(address: Address, options: ConnectOptions): Promise<Qmp> {
  try {
    const qmp = await opened(address, () => {}, { timeout: CONNECT_MS, ...options });
    await dropFfi();
    return qmp;
  } catch (error) {
    throw error instanceof TimeoutError ? noGreeting(address) : error;
  }
}
