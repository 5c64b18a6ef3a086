/**
 * The owners of QEMU's descriptors: names, sets and numbers together.
 *
 * QEMU has one table of names and of sets for all that we send it. The registry
 * separates the clients, as if each had its own monitor at QEMU.
 *
 * @module
 */

import type { Command, Reply } from "../wire/message.ts";
import { FdNames, notFound } from "./fd_names.ts";
import { type Cleanup, isAboutDescriptors } from "./fd_commands.ts";
import { type FdReference, referencesIn, TOO_MANY } from "./fd_references.ts";
import { FdSets } from "./fd_sets.ts";

/** QEMU's error if a command came without its descriptor. */
export const NOTHING_CAME = "No file descriptor supplied via SCM_RIGHTS";

/** The text of our error for a string that could name another client's descriptor unseen. */
export const UNREADABLE: string =
  "While other clients have passed file descriptors, a file name may have 'json:' at its beginning " +
  "only, and a chardev in 'guestfwd' no 'fd='; write the block device as an object, or name a chardev";

/** QEMU's names and sets, and the clients that own them. */
export class FdRegistry<Owner> {
  readonly #names = new FdNames<Owner>();
  readonly #sets = new FdSets<Owner>();

  /** Begins a connection to QEMU; `secret` as {@linkcode FdNames.arrived} takes it. */
  arrived(secret: string): void {
    this.#names.arrived(secret);
  }

  /** Returns a message of QEMU's with the names that their owners have chosen. */
  withOwnNames(message: Uint8Array): Uint8Array {
    return this.#names.withOwnNames(message);
  }

  /** Returns whether a command may concern descriptors; most do not. */
  concerns(command: Command): boolean {
    if (isAboutDescriptors(command)) return true;
    return command.argumentBytes !== undefined && !(this.#names.empty && this.#sets.empty);
  }

  /**
   * Registers the descriptors that a command gives and uses, before it is sent.
   *
   * @returns its bytes for QEMU, with QEMU's names for the client's; or the text of the error if
   *   it must not be sent, and then nothing is registered
   */
  goes(owner: Owner, command: Command): Uint8Array | string {
    const references = referencesIn(command);
    if (references === undefined) return TOO_MANY;
    const { names, sets, mayHaveMore } = references;
    if (mayHaveMore && this.#hasOthers(owner)) return UNREADABLE;
    const objection = this.#objection(owner, command, names);
    if (objection !== undefined) return objection;
    const bytes = this.#names.goes(owner, command, names);
    this.#sets.sent(command, sets);
    return bytes;
  }

  /**
   * Takes note of QEMU's reply to a command.
   *
   * @throws UnexpectedMessage if QEMU does not reply to such a command like this
   */
  settled(owner: Owner, command: Command, reply: Reply): void {
    this.#names.settled(command, reply.kind === "return");
    this.#sets.settled(owner, command, reply);
  }

  /**
   * Returns the commands that close a departed client's leftovers at QEMU, each once.
   *
   * A name that a command in flight may give is left out: call it again after its reply. A set
   * that is in use stays until it is not, and is then among those of `freed`.
   */
  leftovers(owner: Owner): Command[] {
    return [...this.#names.leftovers(owner), ...this.#sets.leftovers(owner)];
  }

  /**
   * Returns further commands that clean up, each once: descriptors of departed clients in sets
   * that are no longer in use, doubted names past their limit, and the names of an earlier
   * connection. Call it when QEMU is ready and after every reply.
   */
  freed(): readonly Cleanup<Owner>[] {
    return [...this.#sets.freed(), ...this.#names.excess()];
  }

  /** Forgets the owners with a lost connection to QEMU. */
  clear(): void {
    this.#names.clear();
    this.#sets.clear();
  }

  /** Returns the text of the error if a command must not be sent to QEMU. */
  #objection(
    owner: Owner,
    command: Command,
    references: readonly FdReference[],
  ): string | undefined {
    const { name } = command;
    const changesSet = name === "add-fd" || name === "remove-fd";
    if (changesSet) return this.#sets.objection(owner, command);
    if (isAboutDescriptors(command)) return undefined;
    const foreign = this.#foreignNumber(owner, references);
    return foreign === undefined ? undefined : notFound(foreign);
  }

  /** Returns whether another client has passed descriptors. */
  #hasOthers(owner: Owner): boolean {
    return this.#names.hasOthers(owner) || this.#sets.hasOthers(owner);
  }

  /** Returns a number of QEMU's that may be that of another client's descriptor. */
  #foreignNumber(owner: Owner, references: readonly FdReference[]): string | undefined {
    const numbers = references.filter(({ isNumber }) => isNumber);
    if (numbers.length === 0) return undefined;
    if (!this.#hasOthers(owner)) return undefined;
    const own = this.#sets.numbersOf(owner);
    return numbers.find(({ text }) => !own.has(text))?.text;
  }
}
