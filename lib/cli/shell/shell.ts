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
import type { Interactive } from "./interactive.ts";

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
    await using qmp = await connected(address, () => {});
    const { runScript } = await import("./script.ts");
    return await runScript(qmp, keepsGoing);
  }
  const loading = import("./interactive.ts");
  const shell: { there?: Interactive } = {};
  const greeted = (): void => void shell.there?.connectedAgain();
  await using qmp = await connected(address, greeted, { reconnect: true });
  const { Interactive } = await loading;
  shell.there = new Interactive(qmp, !Deno.env.get("NO_COLOR"), historyPath());
  return await shell.there.run();
}

/** Returns the file with the history; `undefined` to keep none. */
function historyPath(): string | undefined {
  const named = Deno.env.get("QMPMUX_HISTORY");
  if (named !== undefined) return named || undefined;
  const home = Deno.env.get("HOME");
  const state = Deno.env.get("XDG_STATE_HOME") || (home && `${home}/.local/state`);
  return state && `${state}/qmpmux/history`;
}

/** Connects and negotiates; @throws Failure */
async function connected(
  address: Address,
  greeted: () => void,
  options: ConnectOptions = {},
): Promise<Qmp> {
  try {
    const qmp = await opened(address, greeted, { timeout: CONNECT_MS, ...options });
    await dropFfi();
    return qmp;
  } catch (error) {
    throw error instanceof TimeoutError ? noGreeting(address) : error;
  }
}
