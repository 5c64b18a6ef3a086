/**
 * The names of descriptors (`getfd`): each client has its own names.
 *
 * QEMU has a table of names for each monitor, and all clients share our monitor. A name is sent
 * unchanged unless another client has, or may have, the same name. Otherwise a tag is appended,
 * which is removed from QEMU's messages.
 *
 * @module
 */

import { quoted } from "../wire/qemu_json.ts";
import type { Command } from "../wire/message.ts";
import { Tags } from "../wire/tags.ts";
import { type Cleanup, isOneName, nameGivenBy, ownCommand } from "./fd_commands.ts";
import { type FdReference, tagged } from "./fd_references.ts";

/** The most doubted names of a client: names that QEMU may or may not have. */
export const DOUBTED_LIMIT = 256;

/** A name that QEMU has, or may have. */
interface Name<Owner> {
  readonly owner: Owner;
  /** The name as its owner wrote it. */
  readonly own: string;
  /** The name as QEMU has it, with the tag if there is one. */
  readonly upstream: string;
  /** The number of commands in flight that give, use or close the name. Until it is 0, no other client can have it. */
  atQemu: number;
  /** Whether QEMU has the name; `maybe` if a later command may have consumed it. */
  held: boolean | "maybe";
}

/** The names of one client. */
interface Namespace<Owner> {
  /** The names, by the client's form. */
  readonly names: Map<string, Name<Owner>>;
  /** The doubted names (`held` is `maybe`), the oldest first. */
  readonly doubted: Set<Name<Owner>>;
}

/** The name that a command in flight gives, and the names that it uses. */
interface Uses<Owner> {
  readonly given: Name<Owner> | undefined;
  readonly used: ReadonlyMap<Name<Owner>, FdReference>;
}

/** QEMU's names, and the clients that own them. */
export class FdNames<Owner> {
  #tags: Tags | undefined;
  readonly #namespaces = new Map<Owner, Namespace<Owner>>();
  /** The names, by QEMU's form. */
  readonly #upstream = new Map<string, Name<Owner>>();
  readonly #uses = new WeakMap<Command, Uses<Owner>>();
  /** The name that each of our own commands closes. */
  readonly #closings = new WeakMap<Command, Name<Owner>>();
  /** The names to close: the oldest doubted ones beyond the limit, and those of an earlier connection. */
  #excess: Name<Owner>[] = [];

  /** Whether QEMU has no names. */
  get empty(): boolean {
    return this.#upstream.size === 0;
  }

  /** Returns whether any other client has a name. */
  hasOthers(owner: Owner): boolean {
    for (const name of this.#upstream.values()) if (name.owner !== owner) return true;
    return false;
  }

  /**
   * Begins a connection to QEMU.
   *
   * @param secret a number in digits that no client can know. Only that of the first connection is
   *   used, because QEMU may still have names with its tags
   */
  arrived(secret: string): void {
    this.#tags ??= new Tags(secret);
  }

  /** Returns a message of QEMU without the tags in names. */
  withOwnNames(message: Uint8Array): Uint8Array {
    return this.#tags?.without(message) ?? message;
  }

  /**
   * Registers the names that a command gives and uses, before it is sent.
   *
   * @returns the command's bytes for QEMU, with tags in the names that need them
   */
  goes(owner: Owner, command: Command, references: readonly FdReference[]): Uint8Array {
    // One of our own commands already contains QEMU's form of the name.
    const closing = this.#closings.get(command);
    if (closing !== undefined) {
      closing.atQemu++;
      return command.bytes;
    }
    const names = this.#namespaces.get(owner)?.names;
    const own = nameGivenBy(command);
    const given = own === undefined ? undefined : names?.get(own) ?? this.#newName(owner, own);
    const nameOf = (text: string): Name<Owner> | undefined =>
      text === own ? given : names?.get(text);
    const used = new Map<Name<Owner>, FdReference>();
    for (const reference of references) {
      const name = nameOf(reference.text);
      if (name === undefined || name === given) continue;
      if (used.get(name)?.isTakenAway !== true) used.set(name, reference);
    }
    const bytes = this.#forQemu(command, references, nameOf);
    if (given !== undefined) this.#comes(given);
    for (const name of used.keys()) name.atQemu++;
    if (given !== undefined || used.size > 0) this.#uses.set(command, { given, used });
    return bytes;
  }

  /** Processes QEMU's reply to a command. */
  settled(command: Command, worked: boolean): void {
    const closed = this.#closings.get(command);
    if (closed !== undefined) {
      closed.atQemu--;
      return this.#gone(closed);
    }
    const uses = this.#uses.get(command);
    if (uses === undefined) return;
    this.#uses.delete(command);
    if (uses.given !== undefined) this.#given(uses.given, worked);
    // QEMU refuses a valid `closefd` only if the name does not exist.
    const isClosed = command.name === "closefd" && (worked || isOneName(command));
    for (const [name, { isTakenAway }] of uses.used) {
      name.atQemu--;
      if (isClosed || (worked && isTakenAway)) this.#gone(name);
      else this.#doubt(name);
    }
  }

  /**
   * Returns the commands that close the names of a departed client. Returns each command only once.
   *
   * It omits names that a command in flight gives or uses; call it again after the reply.
   */
  leftovers(owner: Owner): Command[] {
    const names = [...this.#namespaces.get(owner)?.names.values() ?? []];
    return names.filter(({ atQemu }) => atQemu === 0).map((name) => this.#closing(name));
  }

  /** Returns, only once each, the commands that close doubted names beyond the limit and names of an earlier connection. */
  excess(): readonly Cleanup<Owner>[] {
    if (this.#excess.length === 0) return NOTHING;
    const excess = this.#excess.splice(0);
    return excess.map((name) => ({ owner: name.owner, command: this.#closing(name) }));
  }

  /**
   * Forgets the owners when the connection is lost.
   *
   * A QEMU that is still running keeps the names, so `excess` closes them on the next connection.
   */
  clear(): void {
    this.#namespaces.clear();
    this.#excess = [...this.#upstream.values()].map((name) => ({ ...name, atQemu: 0 }));
    this.#upstream.clear();
    for (const name of this.#excess) this.#upstream.set(name.upstream, name);
  }

  /** Makes a name for a client's `getfd`, with a tag if it needs one. */
  #newName(owner: Owner, own: string): Name<Owner> {
    const tag = this.#isFree(own) ? "" : this.#tags!.next();
    return { owner, own, upstream: own + tag, atQemu: 0, held: false };
  }

  /** Returns whether a client that does not have a name may send it without a tag. */
  #isFree(own: string): boolean {
    if (this.#upstream.has(own)) return false;
    // If a client's name looks tagged, `withOwnNames` would cut it.
    return this.#tags === undefined || !own.includes(this.#tags.mark);
  }

  /** Returns the bytes of a command with tags in the names that need them. */
  #forQemu(
    command: Command,
    references: readonly FdReference[],
    nameOf: (text: string) => Name<Owner> | undefined,
  ): Uint8Array {
    const tagOf = (text: string): string => {
      const tag = nameOf(text)?.upstream.slice(text.length);
      // If the client has not given this name, it must not reach another client's descriptor.
      return tag ?? (this.#isFree(text) ? "" : this.#tags!.none);
    };
    const needsTag = references.some(({ text, isNumber }) => !isNumber && tagOf(text) !== "");
    if (!needsTag) return command.bytes;
    this.#tags!.sent();
    return tagged(command, tagOf);
  }

  /** Registers a name that a command in flight may give. */
  #comes(name: Name<Owner>): void {
    name.atQemu++;
    let namespace = this.#namespaces.get(name.owner);
    if (namespace === undefined) {
      namespace = { names: new Map(), doubted: new Set() };
      this.#namespaces.set(name.owner, namespace);
    }
    namespace.names.set(name.own, name);
    this.#upstream.set(name.upstream, name);
  }

  #given(name: Name<Owner>, worked: boolean): void {
    name.atQemu--;
    if (worked) {
      name.held = true;
      this.#namespaces.get(name.owner)?.doubted.delete(name);
    }
    this.#forgetAbsent(name);
  }

  /** Registers that QEMU no longer has a name. */
  #gone(name: Name<Owner>): void {
    name.held = false;
    this.#namespaces.get(name.owner)?.doubted.delete(name);
    this.#forgetAbsent(name);
  }

  /** Registers that a command may have consumed a name. */
  #doubt(name: Name<Owner>): void {
    const doubted = this.#namespaces.get(name.owner)?.doubted;
    if (doubted === undefined || name.held !== true) return this.#forgetAbsent(name);
    name.held = "maybe";
    doubted.add(name);
    if (doubted.size <= DOUBTED_LIMIT) return;
    for (const oldest of doubted) {
      if (oldest.atQemu > 0) continue;
      this.#disown(oldest);
      this.#excess.push(oldest);
      return;
    }
  }

  /** Forgets a name if QEMU does not have it and no command in flight uses it. */
  #forgetAbsent(name: Name<Owner>): void {
    if (name.held !== false || name.atQemu > 0) return;
    this.#disown(name);
    this.#upstream.delete(name.upstream);
  }

  /** Removes a name from its owner's names; QEMU may still have it. */
  #disown(name: Name<Owner>): void {
    const { owner, own } = name;
    const namespace = this.#namespaces.get(owner);
    if (namespace?.names.get(own) !== name) return;
    namespace.names.delete(own);
    namespace.doubted.delete(name);
    if (namespace.names.size === 0) this.#namespaces.delete(owner);
  }

  /** Returns the command that closes a name, and removes the name from its owner's names. */
  #closing(name: Name<Owner>): Command {
    this.#disown(name);
    const command = ownCommand("closefd", `{"fdname":${quoted(name.upstream)}}`);
    this.#closings.set(command, name);
    return command;
  }
}

const NOTHING: readonly never[] = [];

/** Returns the text of QEMU's error for a name or a number that does not exist. */
export function notFound(name: string): string {
  return `File descriptor named '${name}' has not been found`;
}
