/**
 * The gate for descriptors. It makes sure that each command gets the descriptors sent with it.
 *
 * QEMU reads and runs commands in two threads. Bytes that one thread reads could touch the
 * descriptors that the other is about to take. So only one command that takes a descriptor is in
 * flight at a time, and nothing is sent after a command that carries descriptors until QEMU has
 * replied to it.
 *
 * @module
 */

import type { Monitor } from "../session/monitor.ts";
import { FdRegistry, NOTHING_CAME } from "../sharing/fd_registry.ts";
import { type Cleanup, takesDescriptor, takesSurely } from "../sharing/fd_commands.ts";
import type { Leave } from "../sharing/scheduler.ts";
import type { Command, Reply } from "../wire/message.ts";
import type { Fds } from "../wire/peer.ts";

/** A request as the gate sees it. */
export interface FdRequest {
  /** The command. */
  readonly command: Command;
  /** Whether it is out-of-band. */
  readonly oob: boolean;
  /** The client that asked first; `undefined` if the command concerns no descriptors. */
  readonly owner: Monitor | undefined;
  /** The descriptors to send with it. */
  readonly fds: Fds | undefined;
}

/** Takes the descriptors that a client has passed for a command; the caller then owns them. */
export function fdsFor(monitor: Monitor, command: Command): Fds | undefined {
  const takes = !command.oob && takesDescriptor(command) && takesSurely(command);
  const fds = takes ? monitor.takeFds() : undefined;
  fds?.keepFirst?.();
  return fds;
}

/**
 * Returns whether the listener of a client may lack `fds=on`: QEMU has replied that no descriptor
 * came with a command, and the listener neither accepts descriptors nor can see whether any came.
 */
export function noFdCame({ command, owner }: FdRequest, { kind, bytes }: Reply): boolean {
  if (kind === "return" || owner === undefined || !takesDescriptor(command)) return false;
  if (owner.grant.passes || owner.peer.identity !== undefined) return false;
  return new TextDecoder().decode(bytes).includes(`"desc": "${NOTHING_CAME}"`);
}

/** Decides whether requests may be sent, as far as descriptors are concerned. */
export class FdGate {
  readonly #registry = new FdRegistry<Monitor>();
  /** The requests in flight that concern descriptors. */
  readonly #tracked = new Set<FdRequest>();
  /** The request in flight that takes a descriptor. */
  #taking: FdRequest | undefined;
  /** Whether QEMU may still hold a descriptor that its command did not take. */
  #strayed = false;

  /** Begins a connection to QEMU; `secret` is as in {@linkcode FdRegistry.arrived}. */
  arrived(secret: string): void {
    this.#registry.arrived(secret);
  }

  /** Returns a message of QEMU's with the names that clients have chosen. */
  withOwnNames(message: Uint8Array): Uint8Array {
    return this.#registry.withOwnNames(message);
  }

  /** Whether a command with descriptors is in flight: nothing may be sent before its reply. */
  get hasFds(): boolean {
    return this.#taking?.fds !== undefined;
  }

  /** Returns whether a request may be sent now; `busy` if others are in flight. */
  leave({ command, fds }: FdRequest, busy: boolean): Leave {
    if (this.#taking !== undefined && takesDescriptor(command)) return false;
    // A command with descriptors is sent alone, so that it runs at once.
    return fds !== undefined && busy ? "hold" : true;
  }

  /**
   * Registers a request that is about to be sent.
   *
   * @returns its bytes for QEMU; or an error text if it must not be sent, and is not registered
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

  /** Updates the state with QEMU's reply to a request. */
  settled(request: FdRequest, reply: Reply): void {
    if (!this.#tracked.delete(request)) return;
    const { command, owner, fds } = request;
    if (this.#taking === request) this.#taking = undefined;
    // If its handler did not run, QEMU keeps its descriptors for the next command that takes one.
    if (fds) this.#strayed = reply.kind === "error";
    if (owner) this.#registry.settled(owner, command, reply);
  }

  /** Returns commands that close a departed client's leftovers at QEMU. Call it again after every reply. */
  leftovers(owner: Monitor): Command[] {
    return this.#registry.leftovers(owner);
  }

  /** Returns further commands that clean up. Call it when QEMU is ready and after every reply. */
  freed(): readonly Cleanup<Monitor>[] {
    return this.#registry.freed();
  }

  /** Resets the gate when QEMU has disconnected. */
  clear(): void {
    this.#registry.clear();
    this.#tracked.clear();
    this.#taking = undefined;
    this.#strayed = false;
  }
}
