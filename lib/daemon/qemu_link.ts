/**
 * One QEMU after the other: dialled, heard out, judged, and told of.
 *
 * @module
 */

import type { Mux } from "../hub/mux.ts";
import { addressText } from "../policy/address.ts";
import type { ServeSettings } from "../config/settings.ts";
import { isUnmeasured, NEWEST_MEASURED } from "../wire/grammar.ts";
import type { Greeting } from "../wire/message.ts";
import type { Libc } from "../platform/libc.ts";
import { STEADY } from "../platform/clock.ts";
import { Failure } from "../platform/failure.ts";
import type { InternalErrors } from "./internal_errors.ts";
import type { Log } from "../platform/log.ts";
import { dial, Pauses, Qemu } from "./qemu.ts";
import { TURNS } from "../platform/turns.ts";

/** What a succession works with. */
export interface QemuLinkDeps {
  /** Talks to them. */
  readonly mux: Mux;
  /** Are told of errors of ours. */
  readonly errors: InternalErrors;
  /** Is told what is worth knowing. */
  readonly log: Log;
  /** Told when it is time to end. */
  readonly stop: AbortSignal;
  /** Told when it is time to end at once. */
  readonly atOnce: AbortSignal;
  /** What holds at this moment. */
  settings(): ServeSettings;
  /** Owns what goes on. */
  keep(promise: Promise<void>): void;
  /** Is told when one has gone. */
  gone(): void;
}

/** A session that lasts this long is followed by the next without a pause. */
const LASTING_SECONDS = 1;

const SILENCE = "QEMU sent no greeting";
const UNFINISHED = "QEMU has greeted, but does not finish the negotiation";

/** The QEMUs that come and go at one address. */
export class QemuLink {
  readonly #deps: QemuLinkDeps;
  /** Told when draining has come to its end. */
  readonly #idle = Promise.withResolvers<void>();
  /** Has one ever been ready? */
  #served = false;
  /** Is the present one? */
  #ready = false;
  /** Its version, while it is. */
  #version: string | undefined;
  /** Does it leave questions unanswered? */
  #stalled = false;
  /** Why the last one that did not become ready went, as it was logged. */
  #told = "";
  /** Versions whose grammar is a guess, each told once. */
  readonly #warnedOf = new Set<string>();

  /** None has been dialled yet. */
  constructor(deps: QemuLinkDeps) {
    this.#deps = deps;
  }

  /** How it stands, for people. */
  get statusText(): string {
    if (this.#version !== undefined) {
      return this.#stalled
        ? `QEMU ${this.#version} does not answer`
        : `connected to QEMU ${this.#version}`;
    }
    return this.#served ? "QEMU away" : "listening, QEMU not there yet";
  }

  /** The hub has ended its negotiation with one; tells whether it is the first. */
  ready({ version }: Greeting): boolean {
    const { log } = this.#deps;
    const first = !this.#served;
    this.#served = this.#ready = true;
    this.#version = version.join(".");
    log.info(`connected to QEMU ${this.#version} at ${this.#address}`);
    const [major, minor] = version;
    if (isUnmeasured(major, minor) && !this.#warnedOf.has(this.#version)) {
      this.#warnedOf.add(this.#version);
      const newest = NEWEST_MEASURED.join(".");
      log.warn(
        `QEMU ${this.#version} is newer than any that was measured: what is no JSON is answered ` +
          `as QEMU ${newest} does`,
      );
    }
    return first;
  }

  /** The present one has left its last question unanswered for too long, or answers again. */
  stalled(stalled: boolean): void {
    const { log, settings } = this.#deps;
    this.#stalled = stalled;
    if (stalled) {
      const { "stall-timeout": time } = settings();
      log.warn(`${this.#address}: QEMU does not answer: stalled for ${time} s`);
    } else log.info(`${this.#address}: QEMU answers again`);
  }

  /** While draining: the last command under way has been answered. */
  idle(): void {
    this.#idle.resolve();
  }

  /**
   * Serves them until it is time to end, or the one that was to be served has gone.
   *
   * @param libc makes connections that take descriptors along, and tells QEMU's process
   * @throws Failure where what answers is no QEMU
   */
  async run(libc: Libc | undefined): Promise<void> {
    const { errors, stop } = this.#deps;
    const pauses = new Pauses();
    for (;;) {
      try {
        if (await this.#session(pauses, libc) === "end") return;
      } catch (error) {
        if (error instanceof Failure) throw error;
        errors.report("qemu", error);
        await pauses.take(stop);
      }
    }
  }

  /** Serves one QEMU, from dialling it to its end. */
  async #session(pauses: Pauses, libc: Libc | undefined): Promise<"end" | "next"> {
    const { mux, errors, log, stop, settings, gone } = this.#deps;
    const socket = await dial(settings().qemu, pauses, log, stop, libc);
    if (socket === undefined) return "end";
    const messageLimit = settings()["max-message"];
    const qemu = new Qemu(socket, { mux, errors, turns: TURNS, messageLimit });
    this.#ready = this.#stalled = false;
    const began = STEADY.now();
    const reason = await this.#runSession(qemu);
    const ready = this.#ready;
    this.#version = undefined;
    gone();
    if (stop.aborted) return "end";
    if (!this.#served) this.#checkFirst(qemu, reason);
    if (ready || reason !== this.#told) {
      const line = `${this.#address}: ${qemu.detail ?? reason}`;
      if (qemu.detail === undefined) log.info(line);
      else log.warn(line);
    }
    this.#told = ready ? "" : reason;
    if (ready && settings().once) return "end";
    // One that breaks off again and again is not dialled without a pause.
    if (ready && STEADY.now() - began > LASTING_SECONDS) pauses.reset();
    else await pauses.take(stop);
    return "next";
  }

  get #address(): string {
    return addressText(this.#deps.settings().qemu);
  }

  /** @throws Failure where what answered is no QEMU; one that just went away is waited for */
  #checkFirst(qemu: Qemu, reason: string): void {
    if (qemu.damage !== undefined) {
      throw new Failure(
        69,
        `${this.#address} is no QMP server: it said ${JSON.stringify(qemu.damage)}; ` +
          "name a socket that QEMU was given with -qmp",
      );
    }
    if (reason === SILENCE) {
      const { "greeting-timeout": time } = this.#deps.settings();
      throw new Failure(
        69,
        `${this.#address} sent no QMP greeting within ${time} s: it is not a monitor (the socket ` +
          "of a guest agent gives no greeting), or another client holds QEMU's monitor, which " +
          "serves one at a time; end that client",
      );
    }
  }

  /** Lets QEMU talk until it goes, is told to go, or does not even greet; gives the reason. */
  async #runSession(qemu: Qemu): Promise<string> {
    const { stop, settings, keep } = this.#deps;
    const silence = setTimeout(() => {
      if (!this.#ready) qemu.close(qemu.heard ? UNFINISHED : SILENCE);
    }, settings()["greeting-timeout"] * 1000);
    const drain = (): void => keep(this.#drain(qemu));
    stop.addEventListener("abort", drain);
    try {
      if (stop.aborted) drain();
      return await qemu.run();
    } finally {
      clearTimeout(silence);
      stop.removeEventListener("abort", drain);
    }
  }

  /** Lets what is under way finish, then hangs up. */
  async #drain(qemu: Qemu): Promise<void> {
    const { mux, atOnce, settings } = this.#deps;
    const late = (): void => this.#idle.resolve();
    const timer = setTimeout(late, settings()["drain-timeout"] * 1000);
    atOnce.addEventListener("abort", late);
    if (atOnce.aborted) late();
    mux.drain();
    await this.#idle.promise;
    clearTimeout(timer);
    atOnce.removeEventListener("abort", late);
    qemu.close("qmpmux is ending");
  }
}
