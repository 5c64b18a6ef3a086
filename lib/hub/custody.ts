/**
 * Descriptors on their way to QEMU: with their own command, alone, and for their own client.
 *
 * QEMU keeps what has come until a command takes it, looks at it with each byte
 * it reads, and takes it in another thread. So one command that takes a
 * descriptor is there at a time, and behind one that brings some goes nothing.
 *
 * @module
 */

import type { Monitor } from "../session/monitor.ts";
import { Belongings, type Ending, NOTHING_CAME } from "../sharing/belongings.ts";
import { takesDescriptor, takesSurely } from "../sharing/mentions.ts";
import type { Leave } from "../sharing/scheduler.ts";
import type { Command, Reply } from "../wire/message.ts";
import type { Cargo } from "../wire/peer.ts";

/** A command that may have to do with descriptors. */
export interface Bearer {
  /** The command. */
  readonly command: Command;
  /** Does it overtake? */
  readonly oob: boolean;
  /** Whose it is; nobody's, where it concerns none. */
  readonly party: Monitor | undefined;
  /** What goes along. */
  readonly cargo: Cargo | undefined;
}

/** What a command of a client takes along of what waits for one; it is the caller's then. */
export function cargoFor(monitor: Monitor, command: Command): Cargo | undefined {
  const takes = !command.oob && takesDescriptor(command) && takesSurely(command);
  return takes ? monitor.takeCargo() : undefined;
}

/** Who may send what, as far as descriptors go. */
export class Custody {
  readonly #belongings = new Belongings<Monitor>();
  /** Commands at QEMU that had to do with descriptors when they went. */
  readonly #tracked = new Set<Bearer>();
  /** The one of them that takes a descriptor. */
  #taking: Bearer | undefined;
  /** May QEMU have kept what a command should have taken? */
  #strayed = false;

  /** Has a command gone that descriptors went along with? Nothing may follow before its answer. */
  get laden(): boolean {
    return this.#taking?.cargo !== undefined;
  }

  /** May a command go now? `busy`: others are at QEMU. */
  leave({ command, cargo }: Bearer, busy: boolean): Leave {
    if (this.#taking !== undefined && takesDescriptor(command)) return false;
    if (this.#belongings.mustWait(command)) return false;
    // It goes alone, so that it runs at once.
    return cargo !== undefined && busy ? "hold" : true;
  }

  /**
   * A command is about to go.
   *
   * @returns why it must not, in the words of an error; then nothing is noted
   */
  goes(bearer: Bearer): string | undefined {
    const { command, oob, party, cargo } = bearer;
    if (party === undefined || !this.#belongings.concerns(command)) return undefined;
    const taking = !oob && takesDescriptor(command);
    if (taking && cargo === undefined && this.#strayed && takesSurely(command)) return NOTHING_CAME;
    const objection = this.#belongings.objection(party, command);
    if (objection !== undefined) return objection;
    this.#belongings.sent(party, command);
    this.#tracked.add(bearer);
    if (taking) this.#taking = bearer;
    return undefined;
  }

  /** QEMU has answered a command. */
  settled(bearer: Bearer, reply: Reply): void {
    if (!this.#tracked.delete(bearer)) return;
    const { command, party, cargo } = bearer;
    if (this.#taking === bearer) this.#taking = undefined;
    // Where its handler did not run, what came along waits for the next that asks.
    if (cargo) this.#strayed = reply.kind === "error";
    if (party) this.#belongings.settled(party, command, reply);
  }

  /** What ends that which a client that has left leaves at QEMU; to be asked whenever less is under way. */
  leftovers(party: Monitor): Command[] {
    return this.#belongings.leftovers(party);
  }

  /** What ends that which clients have left in sets, and which is used no more; to be asked then, too. */
  freed(): readonly Ending<Monitor>[] {
    return this.#belongings.freed();
  }

  /** QEMU is gone, and all it had. */
  clear(): void {
    this.#belongings.clear();
    this.#tracked.clear();
    this.#taking = undefined;
    this.#strayed = false;
  }
}
