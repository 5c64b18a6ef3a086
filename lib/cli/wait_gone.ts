/**
 * `qmpmux wait --gone`: waits until QEMU has ended.
 *
 * QEMU's own monitor closes its connection only when QEMU ends. A qmpmux closes connections for other
 * reasons too, but tells a client that asks whether QEMU has closed its monitor.
 *
 * @module
 */

import { ConnectError, ConnectionLost } from "../client/errors.ts";
import type { AttemptOptions } from "../client/options.ts";
import { connect, type Qmp } from "../client/qmp.ts";
import type { QmpEvent } from "../client/schema.ts";
import { withTimeout } from "../platform/clock.ts";
import { type ExitStatus, Failure } from "../platform/failure.ts";
import { connectedTo } from "../platform/monitor_holder.ts";
import { type Address, addressText } from "../policy/address.ts";
import { type Attempt, failureOf, noGreeting, unreachable } from "./deadline.ts";
import { LOST } from "./events.ts";
import { replyTo } from "./replies.ts";

/** The interval between two attempts to connect. */
const RETRY_MS = 100;

/** The time for a greeting, after which a qmpmux that has accepted the client has no QEMU. */
const SILENT_MS = 1000;

/** The time for a qmpmux that does not listen any more to listen again. */
const RESTART_MS = 5000;

/** The result of a wait that took too long. */
const LATE = Symbol("late");

/** The result of an attempt to connect without a session. */
type NoSession =
  /** Nothing listens at the address. */
  | "nothing"
  /** A qmpmux listens, and has no QEMU. */
  | "no QEMU"
  /** The attempt tells nothing. */
  | "unsure";

/**
 * Waits until QEMU has ended, or is not there.
 *
 * @throws Failure after the timeout, if the address is not a monitor's, or if nothing can tell
 */
export async function waitUntilGone(
  { address, seconds }: Pick<Attempt, "address" | "seconds">,
): Promise<ExitStatus> {
  const watch = new Watch(address);
  const gone = watch.untilGone();
  if (seconds === undefined) await gone;
  // Work that is still pending after the timeout is abandoned when the program exits.
  else if (await withTimeout(seconds * 1000, gone, LATE) === LATE) {
    const text = watch.isGreeted
      ? `QEMU has not ended within ${seconds} s`
      : noGreeting(address).message;
    throw new Failure(124, `wait: ${text}`);
  }
  return 0;
}

/** The watch of one QEMU. */
class Watch {
  /** Whether a monitor has greeted. */
  isGreeted = false;
  readonly #address: Address;
  /** Whether a qmpmux has served this client. */
  #isMux = false;

  constructor(address: Address) {
    this.#address = address;
  }

  async untilGone(): Promise<void> {
    let unheardSince: number | undefined;
    for (;;) {
      const found = await this.#attempt();
      if (found === "no QEMU" || found === "nothing" && !this.#isMux) return;
      if (found === "nothing") {
        unheardSince ??= performance.now();
        if (performance.now() - unheardSince >= RESTART_MS) throw this.#unknown();
      } else if (found !== "unsure") {
        unheardSince = undefined;
        await using qmp = found;
        if (await this.#isGoneAfter(qmp)) return;
      }
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }

  /** Connects, and waits for the greeting as long as that can come. */
  async #attempt(): Promise<Qmp | NoSession> {
    const attempt = new AbortController();
    let isGreeted = false;
    const greeted = (): void => void (this.isGreeted = isGreeted = true);
    const options: AttemptOptions = { timeout: Infinity, signal: attempt.signal, greeted };
    const connecting = connect(addressText(this.#address), options);
    try {
      for (;;) {
        const qmp = await withTimeout(SILENT_MS, connecting, LATE);
        if (qmp !== LATE) return qmp;
        if (isGreeted || !this.#isSilentMux()) continue;
        attempt.abort();
        await connecting.catch(() => {});
        return "no QEMU";
      }
    } catch (error) {
      return this.#noSession(error);
    }
  }

  /** Returns what the failure of an attempt tells; @throws Failure if another one would fail, too */
  #noSession(error: unknown): NoSession {
    if (error instanceof ConnectionLost) return "unsure";
    if (!(error instanceof ConnectError)) throw failureOf(error, this.#address);
    if (error.problem === "absent" || error.problem === "refused") return "nothing";
    if (error.problem === "busy") return "unsure";
    throw unreachable(this.#address, error);
  }

  /** Returns whether the program at the socket has accepted this client, is not QEMU, and stays silent. */
  #isSilentMux(): boolean {
    if (this.#address.transport !== "unix") return false;
    const { served, server = "" } = connectedTo(this.#address.path) ?? {};
    return served === true && !/\/qemu[^/]*$/.test(server);
  }

  /** Waits for the end of a session; returns whether QEMU has ended. */
  async #isGoneAfter(qmp: Qmp): Promise<boolean> {
    let isGone = false;
    const match = ({ data }: QmpEvent): boolean => {
      isGone = Object(data)["closed-by-qemu"] === true;
      return true;
    };
    const lost = qmp.waitFor(LOST, { match }).catch((error) => error);
    const filter = JSON.stringify({ enable: [LOST] });
    try {
      // Only a qmpmux has event filters.
      if ("value" in await replyTo(qmp, "__org.qmpmux_set-event-filter", filter)) {
        this.#isMux = true;
        await Promise.race([lost, qmp.closed]);
        return isGone;
      }
    } catch (error) {
      if (!(error instanceof ConnectionLost)) throw failureOf(error, this.#address);
      return isGone;
    }
    const reason = await qmp.closed;
    if (reason instanceof ConnectionLost) return true;
    throw failureOf(reason, this.#address);
  }

  #unknown(): Failure {
    return new Failure(
      69,
      `wait: qmpmux does not listen at ${
        addressText(this.#address)
      } any more, so that nothing tells ` +
        "whether QEMU has ended",
    );
  }
}
