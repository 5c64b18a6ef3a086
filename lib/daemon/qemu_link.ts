/**
 * The link to QEMU: it connects, reconnects, and refuses peers that are not QEMU.
 *
 * @module
 */

import { addressText } from "../policy/address.ts";
import type { MachineSettings } from "../config/machines.ts";
import { isUnmeasured, NEWEST_MEASURED } from "../wire/grammar.ts";
import type { Greeting } from "../wire/message.ts";
import type { QemuEnding } from "../wire/peer.ts";
import type { Libc } from "../platform/libc.ts";
import { type SocketFile, socketFileAt } from "../platform/dial.ts";
import { Failure } from "../platform/failure.ts";
import type { Deps } from "./deps.ts";
import { dial, Pauses, Qemu } from "./qemu.ts";

/** The parts of a machine that the link uses. */
export interface QemuLinkDeps extends Deps {
  /** Aborted when no further connection may be made. */
  readonly stop: AbortSignal;
  /** Whether other VMs are served as well: what is wrong with one ends nothing, and its socket is watched. */
  readonly many: boolean;
  /** Returns the present settings. */
  settings(): MachineSettings;
  /** Called when QEMU has disconnected. */
  disconnected(): void;
}

/** The seconds of a session after which the next connection is tried without a pause. */
const LASTING_SECONDS = 1;

const SILENT: QemuEnding = { kind: "silent", text: "QEMU sent no greeting" };
const UNFINISHED: QemuEnding = {
  kind: "unfinished",
  text: "QEMU sent its greeting but did not complete the negotiation",
};

const REPLACED: QemuEnding = {
  kind: "closed",
  text: "another socket is in its place now",
  detail: "another socket is in the place of QEMU's; connecting to that one",
};

/** The connections to the QEMUs at one address, one after the other. */
export class QemuLink {
  readonly #deps: QemuLinkDeps;
  /** The present connection. */
  #qemu: Qemu | undefined;
  /** The socket file that it connected to, if it has one. */
  #file: SocketFile | undefined;
  /** Whether a QEMU has been ready. */
  served = false;
  /** Whether the present QEMU is ready. */
  #ready = false;
  /** The version of the QEMU that is ready. */
  #version: string | undefined;
  #stalled = false;
  /** The reason logged for the last QEMU that did not become ready. */
  #logged = "";
  /** The untested versions of QEMU for which a warning has been logged. */
  readonly #warnedOf = new Set<string>();
  readonly #pauses = new Pauses();

  /** Creates a link without a connection. */
  constructor(deps: QemuLinkDeps) {
    this.#deps = deps;
  }

  /** Whether a connection is open. */
  get connected(): boolean {
    return this.#qemu !== undefined;
  }

  /** Its state, for people. */
  get statusText(): string {
    if (this.#version !== undefined) {
      return this.#stalled
        ? `QEMU ${this.#version} does not answer`
        : `connected to QEMU ${this.#version}`;
    }
    return this.served ? "QEMU disconnected" : "listening, waiting for QEMU";
  }

  /** Notes that the hub has finished the negotiation with QEMU. */
  ready({ version }: Greeting): void {
    const { log } = this.#deps;
    this.served = this.#ready = true;
    this.#version = version.join(".");
    log.info(`connected to QEMU ${this.#version} at ${this.#address}`);
    const [major, minor] = version;
    if (isUnmeasured(major, minor) && !this.#warnedOf.has(this.#version)) {
      this.#warnedOf.add(this.#version);
      const newest = NEWEST_MEASURED.join(".");
      log.warn(
        `QEMU ${this.#version} is newer than any that was tested; malformed JSON is answered ` +
          `as QEMU ${newest} does`,
      );
    }
  }

  /** Notes that QEMU has stalled, or answers again. */
  stalled(stalled: boolean): void {
    const { log, settings } = this.#deps;
    this.#stalled = stalled;
    if (stalled) {
      const { "stall-timeout": time } = settings();
      log.warn(`${this.#address}: QEMU does not answer: stalled for ${time} s`);
    } else log.info(`${this.#address}: QEMU answers again`);
  }

  /** Connects to QEMU's present address now: it has changed, or QEMU may be there again. */
  redial(): void {
    this.#pauses.wake();
  }

  /** Connects again if another socket file has taken the place of the one that it connected to. */
  compare(): void {
    const present = this.connected ? socketFileAt(this.#deps.settings().qemu) : undefined;
    // A socket file that somebody has removed says nothing about the connection.
    if (present === undefined || this.#file === undefined || present === this.#file) return;
    this.close(REPLACED);
    this.redial();
  }

  /** Closes the present connection. */
  close(ending: QemuEnding): void {
    this.#qemu?.close(ending);
  }

  /**
   * Serves one QEMU after the other until `stop` is aborted; with `once`, only the first.
   *
   * @param libc makes connections that can pass descriptors, and identifies QEMU's process
   * @throws Failure if the peer is not QEMU
   */
  async run(libc: Libc | undefined): Promise<void> {
    const { errors, stop } = this.#deps;
    const pauses = this.#pauses;
    for (;;) {
      try {
        if (await this.#session(libc) === "end") return;
      } catch (error) {
        if (error instanceof Failure) throw error;
        errors.report("qemu", error);
        await pauses.take(stop);
      } finally {
        this.#qemu = undefined;
      }
    }
  }

  /** Serves one QEMU, from connecting to it to its end. */
  async #session(libc: Libc | undefined): Promise<"end" | "next"> {
    const { log, clock, stop, many, settings, disconnected } = this.#deps;
    const pauses = this.#pauses;
    const socket = await dial({
      address: () => settings().qemu,
      // A file that is replaced during the attempt counts as another one.
      attempts: (address) => this.#file = socketFileAt(address),
      pauses,
      log,
      stop,
      many,
      libc,
    });
    if (socket === undefined) return "end";
    if (stop.aborted) {
      socket.close();
      return "end";
    }
    const qemu = new Qemu(socket, { ...this.#deps, messageLimit: settings()["max-message"] });
    this.#qemu = qemu;
    this.#ready = this.#stalled = false;
    const began = clock.now();
    const ending = await this.#runSession(qemu);
    const reason = ending.text;
    const ready = this.#ready;
    this.#version = this.#qemu = undefined;
    disconnected();
    if (stop.aborted) return "end";
    if (!this.served && !this.#deps.many) this.#checkFirst(ending);
    if (ready || reason !== this.#logged) {
      const detail = "detail" in ending ? ending.detail : undefined;
      const line = `${this.#address}: ${detail ?? reason}`;
      if (detail === undefined) log.info(line);
      else log.warn(line);
    }
    this.#logged = ready ? "" : reason;
    if (ready && settings().once) return "end";
    // If QEMU disconnects again and again, the pauses between connections grow.
    if (ready && clock.now() - began > LASTING_SECONDS) pauses.reset();
    else await pauses.take(stop);
    return "next";
  }

  get #address(): string {
    return addressText(this.#deps.settings().qemu);
  }

  /** Checks how the first session ended; @throws Failure if the peer is not a QMP server */
  #checkFirst(ending: QemuEnding): void {
    if (ending.kind === "no-qmp") {
      throw new Failure(
        69,
        `${this.#address} is not a QMP server: it sent ${JSON.stringify(ending.said)}; ` +
          "use the socket given to QEMU with -qmp",
      );
    }
    if (ending.kind === "silent") {
      const { "greeting-timeout": time } = this.#deps.settings();
      throw new Failure(
        69,
        `${this.#address} sent no QMP greeting within ${time} s: it is not a monitor (the socket ` +
          "of a guest agent sends no greeting), or another client holds QEMU's monitor, which " +
          "serves one at a time; end that client",
      );
    }
  }

  /** Serves QEMU until it disconnects, is closed, or sends no greeting in time; returns the reason. */
  async #runSession(qemu: Qemu): Promise<QemuEnding> {
    const silence = setTimeout(() => {
      if (!this.#ready) qemu.close(qemu.heard ? UNFINISHED : SILENT);
    }, this.#deps.settings()["greeting-timeout"] * 1000);
    try {
      return await qemu.run();
    } finally {
      clearTimeout(silence);
    }
  }
}
