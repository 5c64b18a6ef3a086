/**
 * The connection to QEMU, as expected: negotiation, silence, and its end.
 *
 * @module
 */

import { STALL_TIME } from "./actions.ts";
import { Broken } from "./broken.ts";
import type { Exec, Said, SimulatedQemu } from "./qemu.ts";

/** The connection to QEMU, and the time by which its silence is measured. */
export class Link {
  now = 0;
  /** Whether a QEMU that owes no reply is probed too. */
  probesWhenIdle = false;
  /** Whether the session is negotiated. */
  ready = false;
  /** Whether the last connected QEMU offered oob. */
  offersOob = false;
  /** The command whose reply was malformed. */
  unreadable: Exec | undefined;
  readonly #qemu: SimulatedQemu;
  #nonce = "";
  #greeted = false;
  #negotiating = false;
  #mustClose = false;
  #closed = false;
  #heardAt = 0;
  /** Whether QEMU has been probed since its last message. */
  #probed = false;
  #stalled = false;
  /** Whether QEMU has sent a message since the clock was last checked. */
  #spoke = true;
  /** The time of that check. */
  #silentSince = 0;

  constructor(qemu: SimulatedQemu) {
    this.#qemu = qemu;
  }

  /** Begins a connection. */
  arrive(nonce: string): void {
    this.#nonce = nonce;
    this.#greeted = this.#negotiating = this.ready = false;
    this.#mustClose = this.#closed = false;
    this.#heardAt = this.now;
  }

  /** Checks a text that is sent to QEMU before the session is negotiated. */
  negotiates(text: string): void {
    const enable = this.#qemu.oob ? ',"arguments":{"enable":["oob"]}' : "";
    const expected = `{"execute":"qmp_capabilities"${enable},"id":${this.#nonce}}`;
    if (!this.#greeted || this.#negotiating || text !== expected) {
      throw new Broken("loss", `QEMU was sent ${text} before the negotiation was complete`);
    }
    this.#negotiating = true;
  }

  /** Records that the negotiation has succeeded. */
  negotiated(): void {
    this.ready = true;
    this.offersOob = this.#qemu.oob;
    this.#negotiating = false;
  }

  /** Records a message from QEMU that qmpmux is about to read. */
  heard({ kind, exec }: Said): void {
    this.#heardAt = this.now;
    this.#probed = false;
    this.#spoke = true;
    switch (kind) {
      case "greeting":
        // Another greeting during the negotiation is harmless: only the reply counts.
        if (this.ready) this.#mustClose = true;
        this.#greeted = true;
        return;
      case "refused":
      case "junk":
        this.#mustClose = true;
        return;
      case "hostile":
        // Before the negotiation is complete everything is ignored.
        if (this.ready) this.#mustClose = true;
        return;
      case "unreadable":
        this.#mustClose = true;
        // A QEMU whose greeting is pretty has pretty replies: a plain reply matches no command.
        if (!this.#qemu.pretty) this.unreadable = exec;
        return;
    }
  }

  /** Checks that qmpmux has closed the connection if the message requires it. */
  heardDone(): void {
    if (this.#mustClose && !this.#closed) {
      throw new Broken(
        "one fault, one peer",
        "a message that is not QMP did not close the connection to QEMU",
      );
    }
  }

  /** Checks that qmpmux may probe QEMU now, with `text`. */
  probe(text: string, commandText: string, owes: boolean): void {
    if (!owes && !this.probesWhenIdle) {
      throw new Broken("stall", `a QEMU that owes no reply was sent ${text}`);
    }
    const silence = this.now - this.#heardAt;
    const isProbe = commandText === '{"exec-oob":"query-yank"}';
    if (!isProbe || this.#probed || silence < STALL_TIME / 2) {
      throw new Broken("none twice", `QEMU was sent a command that no client sent: ${text}`);
    }
    this.#probed = true;
  }

  /** Notes that QEMU owes a reply from now on, and owed none before. */
  begins(): void {
    if (!this.probesWhenIdle) this.#spoke = true;
  }

  /** Checks that a silent QEMU that owes a reply has been probed, and counts as stalled in the end. */
  tickDone(hasFds: boolean, owes: boolean): void {
    if (!this.ready || !this.#qemu.oob) return;
    if (!owes && !this.probesWhenIdle) this.#spoke = true;
    if (this.#spoke) this.#silentSince = this.now;
    this.#spoke = false;
    const silence = this.now - this.#silentSince;
    // Nothing may follow a command with descriptors.
    if (!this.#probed && hasFds) return;
    if (silence >= STALL_TIME / 2 && !this.#probed) {
      throw new Broken("stall", `QEMU has been silent for ${silence} s and was not probed`);
    }
    if (silence >= STALL_TIME && !this.#stalled) {
      throw new Broken(
        "stall",
        `QEMU has been silent for ${silence} s and does not count as stalled`,
      );
    }
  }

  /** Checks a notice that QEMU has stalled, or that it answers again. */
  notice(stalled: boolean): void {
    if (stalled === this.#stalled) throw new Broken("stall", `reported twice: ${stalled}`);
    if (stalled && !this.#probed) {
      throw new Broken("stall", "QEMU counts as stalled, but was not probed");
    }
    if (stalled && this.now - this.#heardAt < STALL_TIME) {
      throw new Broken("stall", "QEMU counts as stalled, but has just sent a message");
    }
    this.#stalled = stalled;
  }

  /** Checks that qmpmux may close the connection. */
  closed(): void {
    if (!this.#mustClose) {
      throw new Broken("one fault, one peer", "the connection to QEMU was closed without a reason");
    }
    this.#closed = true;
  }

  /** Ends the connection. */
  lost(): void {
    this.ready = this.#negotiating = this.#greeted = false;
    this.#probed = this.#stalled = false;
    this.#spoke = true;
    this.#mustClose = false;
    this.unreadable = undefined;
    this.#heardAt = this.now;
  }
}
