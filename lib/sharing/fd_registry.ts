/**
 * The registry of QEMU's descriptors and their owners: names, sets and numbers together.
 *
 * QEMU sees all clients as one monitor, with one table of names. The registry separates the
 * clients, as if each had its own monitor at QEMU.
 *
 * @module
 */

import type { Command, Reply } from "../wire/message.ts";
import { FdNames, notFound } from "./fd_names.ts";
import { type Cleanup, isAboutDescriptors } from "./fd_commands.ts";
import { type FdReference, referencesIn, TOO_MANY } from "./fd_references.ts";
import { FdSets } from "./fd_sets.ts";

/** QEMU's error for a command without a descriptor. */
export const NOTHING_CAME = "No file descriptor supplied via SCM_RIGHTS";

/** Our error for a string that could hide a reference to another client's descriptor. */
export const UNREADABLE: string =
  "While other clients have passed file descriptors, 'json:' may be only at the beginning of a file " +
  "name, and 'guestfwd' must not contain 'fd='; write the block device as an object, " +
  "or refer to a chardev by its id";

/** QEMU's names and sets, and the clients that own them. */
export class FdRegistry<Owner> {
  readonly #names = new FdNames<Owner>();
  readonly #sets = new FdSets<Owner>();

  /** Begins a connection to QEMU; for `secret` see {@linkcode FdNames.arrived}. */
  arrived(secret: string): void {
    this.#names.arrived(secret);
  }

  /** Returns a message of QEMU without the tags in names. */
  withOwnNames(message: Uint8Array): Uint8Array {
    return this.#names.withOwnNames(message);
  }

  /** Returns whether a command may refer to descriptors; most commands cannot. */
  concerns(command: Command): boolean {
    if (isAboutDescriptors(command)) return true;
    return command.argumentBytes !== undefined && !(this.#names.empty && this.#sets.empty);
  }

  /**
   * Registers the descriptors that a command gives and uses, before it is sent.
   *
   * @returns the command's bytes for QEMU, with tags in the names that need them; or the text of an
   *   error if the command must not be sent, in which case nothing is registered
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
   * Processes QEMU's reply to a command.
   *
   * @throws UnexpectedMessage if QEMU cannot send such a reply to this command
   */
  settled(owner: Owner, command: Command, reply: Reply): void {
    this.#names.settled(command, reply.kind === "return");
    this.#sets.settled(owner, command, reply);
  }

  /**
   * Returns the commands that close a departed client's descriptors. Returns each command only once.
   *
   * It omits names that a command in flight gives or uses; call it again after the reply. It also
   * omits descriptors in a set that is in use; `freed` returns these later.
   */
  leftovers(owner: Owner): Command[] {
    return [...this.#names.leftovers(owner), ...this.#sets.leftovers(owner)];
  }

  /**
   * Returns further commands that close descriptors. Returns each command only once.
   *
   * They close descriptors of departed clients in sets that are no longer in use, doubted names
   * beyond the limit, and names of an earlier connection. Call it when QEMU is ready and after
   * every reply.
   */
  freed(): readonly Cleanup<Owner>[] {
    return [...this.#sets.freed(), ...this.#names.excess()];
  }

  /** Forgets the owners when the connection to QEMU is lost. */
  clear(): void {
    this.#names.clear();
    this.#sets.clear();
  }

  /** Returns the text of an error if a command must not be sent to QEMU. */
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

  /** Returns the first number that may be that of another client's descriptor. */
  #foreignNumber(owner: Owner, references: readonly FdReference[]): string | undefined {
    const numbers = references.filter(({ isNumber }) => isNumber);
    if (numbers.length === 0) return undefined;
    if (!this.#hasOthers(owner)) return undefined;
    const own = this.#sets.numbersOf(owner);
    return numbers.find(({ text }) => !own.has(text))?.text;
  }
}
