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
import { FdRegistry, NOTHING_CAME } from "../sharing/fd_registry.ts";
import type { Ending } from "../sharing/own_command.ts";
import { takesDescriptor, takesSurely } from "../sharing/fd_references.ts";
import type { Leave } from "../sharing/scheduler.ts";
import type { Command, Reply } from "../wire/message.ts";
import type { Cargo } from "../wire/peer.ts";

/** A command that may have to do with descriptors. */
export interface FdRequest {
  /** The command. */
  readonly command: Command;
  /** Does it overtake? */
  readonly oob: boolean;
  /** Whose it is; nobody's, where it concerns none. */
  readonly owner: Monitor | undefined;
  /** What goes along. */
  readonly cargo: Cargo | undefined;
}

/** What a command of a client takes along of what waits for one; it is the caller's then. */
export function cargoFor(monitor: Monitor, command: Command): Cargo | undefined {
  const takes = !command.oob && takesDescriptor(command) && takesSurely(command);
  const cargo = takes ? monitor.takeCargo() : undefined;
  cargo?.keepFirst?.();
  return cargo;
}

/** Who may send what, as far as descriptors go. */
export class FdGate {
  readonly #registry = new FdRegistry<Monitor>();
  /** Commands at QEMU that had to do with descriptors when they went. */
  readonly #tracked = new Set<FdRequest>();
  /** The one of them that takes a descriptor. */
  #taking: FdRequest | undefined;
  /** May QEMU have kept what a command should have taken? */
  #strayed = false;

  /** A QEMU has come; `secret` as {@linkcode FdRegistry.arrived} takes it. */
  arrived(secret: string): void {
    this.#registry.arrived(secret);
  }

  /** A message of QEMU's, as clients may see it: with the names that they have chosen. */
  withOwnNames(message: Uint8Array): Uint8Array {
    return this.#registry.withOwnNames(message);
  }

  /** Has a command gone that descriptors went along with? Nothing may follow before its answer. */
  get hasFds(): boolean {
    return this.#taking?.cargo !== undefined;
  }

  /** May a command go now? `busy`: others are at QEMU. */
  leave({ command, cargo }: FdRequest, busy: boolean): Leave {
    if (this.#taking !== undefined && takesDescriptor(command)) return false;
    // It goes alone, so that it runs at once.
    return cargo !== undefined && busy ? "hold" : true;
  }

  /**
   * A command is about to go.
   *
   * @returns its bytes for QEMU; or why it must not go, in the words of an error, and then nothing
   *   is noted
   */
  goes(request: FdRequest): Uint8Array | string {
    const { command, oob, owner, cargo } = request;
    if (owner === undefined || !this.#registry.concerns(command)) return command.bytes;
    const taking = !oob && takesDescriptor(command);
    if (taking && cargo === undefined && this.#strayed && takesSurely(command)) return NOTHING_CAME;
    const bytes = this.#registry.goes(owner, command);
    if (typeof bytes === "string") return bytes;
    this.#tracked.add(request);
    if (taking) this.#taking = request;
    return bytes;
  }

  /** QEMU has answered a command. */
  settled(request: FdRequest, reply: Reply): void {
    if (!this.#tracked.delete(request)) return;
    const { command, owner, cargo } = request;
    if (this.#taking === request) this.#taking = undefined;
    // Where its handler did not run, what came along waits for the next that asks.
    if (cargo) this.#strayed = reply.kind === "error";
    if (owner) this.#registry.settled(owner, command, reply);
  }

  /** What ends that which a client that has left leaves at QEMU; to be asked whenever less is under way. */
  leftovers(owner: Monitor): Command[] {
    return this.#registry.leftovers(owner);
  }

  /** What ends that which clients have left in sets, and which is used no more; to be asked then, too. */
  freed(): readonly Ending<Monitor>[] {
    return this.#registry.freed();
  }

  /** QEMU is gone, and all it had. */
  clear(): void {
    this.#registry.clear();
    this.#tracked.clear();
    this.#taking = undefined;
    this.#strayed = false;
  }
}
