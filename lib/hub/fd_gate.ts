/**
 * Descriptors on their way to QEMU: with their own command, alone, and for their own client.
 *
 * QEMU keeps descriptors that have come until a command takes them, looks at them
 * with each byte it reads, and takes them in another thread. So one command that
 * takes a descriptor is at QEMU at a time, and nothing follows one that brings some.
 *
 * @module
 */

import type { Monitor } from "../session/monitor.ts";
import { FdRegistry, NOTHING_CAME } from "../sharing/fd_registry.ts";
import type { Ending } from "../sharing/own_command.ts";
import { takesDescriptor, takesSurely } from "../sharing/fd_references.ts";
import type { Leave } from "../sharing/scheduler.ts";
import type { Command, Reply } from "../wire/message.ts";
import type { Fds } from "../wire/peer.ts";

/** A command that may have to do with descriptors. */
export interface FdRequest {
  /** The command. */
  readonly command: Command;
  /** Whether it overtakes. */
  readonly oob: boolean;
  /** The client that asked it first; `undefined` where it concerns no descriptors. */
  readonly owner: Monitor | undefined;
  /** The descriptors that go along. */
  readonly fds: Fds | undefined;
}

/** The descriptors of a client that a command takes along; they are the caller's then. */
export function fdsFor(monitor: Monitor, command: Command): Fds | undefined {
  const takes = !command.oob && takesDescriptor(command) && takesSurely(command);
  const fds = takes ? monitor.takeFds() : undefined;
  fds?.keepFirst?.();
  return fds;
}

/**
 * Whether QEMU has told a client that it passed no descriptor, where its listener takes none and
 * cannot see whether it did: then the listener may lack `fds=on`.
 */
export function lacksFds({ command, owner }: FdRequest, { kind, bytes }: Reply): boolean {
  if (kind === "return" || owner === undefined || !takesDescriptor(command)) return false;
  if (owner.grant.passes || owner.peer.identity !== undefined) return false;
  return new TextDecoder().decode(bytes).includes(`"desc": "${NOTHING_CAME}"`);
}

/** Lets commands go to QEMU as far as descriptors are concerned. */
export class FdGate {
  readonly #registry = new FdRegistry<Monitor>();
  /** Commands at QEMU that had to do with descriptors when they went. */
  readonly #tracked = new Set<FdRequest>();
  /** The one of them that takes a descriptor. */
  #taking: FdRequest | undefined;
  /** Whether QEMU may have kept what a command should have taken. */
  #strayed = false;

  /** A QEMU has come; `secret` as {@linkcode FdRegistry.arrived} takes it. */
  arrived(secret: string): void {
    this.#registry.arrived(secret);
  }

  /** A message of QEMU's, as clients may see it: with the names that they have chosen. */
  withOwnNames(message: Uint8Array): Uint8Array {
    return this.#registry.withOwnNames(message);
  }

  /** Whether a command with descriptors is at QEMU: nothing may follow before its answer. */
  get hasFds(): boolean {
    return this.#taking?.fds !== undefined;
  }

  /** Whether a command may go now; `busy` where others are at QEMU. */
  leave({ command, fds }: FdRequest, busy: boolean): Leave {
    if (this.#taking !== undefined && takesDescriptor(command)) return false;
    // It goes alone, so that it runs at once.
    return fds !== undefined && busy ? "hold" : true;
  }

  /**
   * A command is about to go.
   *
   * @returns its bytes for QEMU; or why it must not go, in the words of an error, and then nothing
   *   is noted
   */
  goes(request: FdRequest): Uint8Array | string {
    const { command, oob, owner, fds } = request;
    if (owner === undefined || !this.#registry.concerns(command)) return command.bytes;
    const taking = !oob && takesDescriptor(command);
    if (taking && fds === undefined && this.#strayed && takesSurely(command)) return NOTHING_CAME;
    const bytes = this.#registry.goes(owner, command);
    if (typeof bytes === "string") return bytes;
    this.#tracked.add(request);
    if (taking) this.#taking = request;
    return bytes;
  }

  /** QEMU has answered a command. */
  settled(request: FdRequest, reply: Reply): void {
    if (!this.#tracked.delete(request)) return;
    const { command, owner, fds } = request;
    if (this.#taking === request) this.#taking = undefined;
    // Where its handler did not run, what came along waits for the next that asks.
    if (fds) this.#strayed = reply.kind === "error";
    if (owner) this.#registry.settled(owner, command, reply);
  }

  /** Gives commands that clean up what a departed client left at QEMU. Call it again after every reply. */
  leftovers(owner: Monitor): Command[] {
    return this.#registry.leftovers(owner);
  }

  /** Gives commands that clean up besides. Call it when QEMU is ready and after every reply. */
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
