/**
 * The owners of QEMU's descriptors: names, sets and numbers together.
 *
 * QEMU has one table of names and of sets for all that we send it. Here it is
 * kept apart for each client, as if each had a monitor of QEMU's to itself.
 *
 * @module
 */

import type { Command, Reply } from "../wire/message.ts";
import { FdNames, notFound } from "./fd_names.ts";
import { type FdReference, isAboutDescriptors, referencesIn, TOO_MANY } from "./fd_references.ts";
import { FdSets } from "./fd_sets.ts";
import type { Ending } from "./own_command.ts";

/** QEMU's error where a command should have come with a descriptor. */
export const NOTHING_CAME = "No file descriptor supplied via SCM_RIGHTS";

/** The words of our error for a text that could name another client's descriptor unseen. */
export const UNREADABLE: string =
  "While other clients have passed file descriptors, a file name may have 'json:' at its beginning " +
  "only, and a chardev in 'guestfwd' no 'fd='; write the block device as an object, or name a chardev";

/** QEMU's names and sets, and the clients that they belong to. */
export class FdRegistry<Owner> {
  readonly #names = new FdNames<Owner>();
  readonly #sets = new FdSets<Owner>();

  /** A QEMU has come; `secret` as {@linkcode FdNames.arrived} takes it. */
  arrived(secret: string): void {
    this.#names.arrived(secret);
  }

  /** A message of QEMU's with the names that their owners have chosen. */
  withOwnNames(message: Uint8Array): Uint8Array {
    return this.#names.withOwnNames(message);
  }

  /** Whether it matters for a command; most have nothing to do with descriptors. */
  concerns(command: Command): boolean {
    if (isAboutDescriptors(command)) return true;
    return command.argumentBytes !== undefined && !(this.#names.empty && this.#sets.empty);
  }

  /**
   * A command is about to go to QEMU: notes what it gives and uses.
   *
   * @returns its bytes for QEMU, with QEMU's names for the client's; or why it must not go, in the
   *   words of an error, and then nothing is noted
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
   * QEMU has answered a command.
   *
   * @throws UnexpectedMessage where it is no answer to such a command
   */
  settled(owner: Owner, command: Command, reply: Reply): void {
    this.#names.settled(command, reply.kind === "return");
    this.#sets.settled(owner, command, reply);
  }

  /**
   * Gives the commands that end what a departed client left at QEMU, each once.
   *
   * A name that a command under way may give is left out: call it again when that is settled. A
   * set that something uses stays as long as it does, and is then among those that are `freed`.
   */
  leftovers(owner: Owner): Command[] {
    return [...this.#names.leftovers(owner), ...this.#sets.leftovers(owner)];
  }

  /**
   * Gives the commands that end what else has to be ended, each once: descriptors of departed
   * clients in sets that nothing uses any more, doubted names past their limit, and the names of an
   * earlier connection. Call it when QEMU is ready and after every reply.
   */
  freed(): readonly Ending<Owner>[] {
    return [...this.#sets.freed(), ...this.#names.excess()];
  }

  /** The connection to QEMU is gone, and nothing belongs to anybody. */
  clear(): void {
    this.#names.clear();
    this.#sets.clear();
  }

  /** Why a command must not go to QEMU, in the words of an error. */
  #objection(
    owner: Owner,
    command: Command,
    references: readonly FdReference[],
  ): string | undefined {
    const { name } = command;
    const changesSet = name === "add-fd" || name === "remove-fd";
    if (changesSet) return this.#sets.objection(owner, command);
    if (isAboutDescriptors(command)) return undefined;
    const ffi = this.#foreignNumber(owner, references);
    return ffi === undefined ? undefined : notFound(ffi);
  }

  /** Whether another client has passed descriptors. */
  #hasOthers(owner: Owner): boolean {
    return this.#names.hasOthers(owner) || this.#sets.hasOthers(owner);
  }

  /** A number of QEMU's that may be that of another client's descriptor. */
  #foreignNumber(owner: Owner, references: readonly FdReference[]): string | undefined {
    const numbers = references.filter(({ isNumber }) => isNumber);
    if (numbers.length === 0) return undefined;
    if (!this.#hasOthers(owner)) return undefined;
    const own = this.#sets.numbersOf(owner);
    return numbers.find(({ text }) => !own.has(text))?.text;
  }
}
