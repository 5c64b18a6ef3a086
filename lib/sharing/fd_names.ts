/**
 * The names of descriptors (`getfd`): each client has its own names.
 *
 * QEMU keeps a table of names for each monitor, and all clients share ours. A name
 * is sent as its client wrote it, unless another client has it, or may have it:
 * then with a tag after it, which is removed from QEMU's messages.
 *
 * @module
 */

import { quoted } from "../wire/qemu_json.ts";
import type { Command } from "../wire/message.ts";
import { Tags } from "../wire/tags.ts";
import { type Cleanup, isOneName, nameGivenBy, ownCommand } from "./fd_commands.ts";
import { type FdReference, tagged } from "./fd_references.ts";

/** The number of a client's names that QEMU may or may not have. */
export const DOUBTED_LIMIT = 256;

/** A name that QEMU has, or may have. */
interface Name<Owner> {
  readonly owner: Owner;
  /** Its owner's spelling. */
  readonly own: string;
  /** QEMU's spelling. */
  readonly upstream: string;
  /** The number of commands in flight that give, use or close it. Until it is 0, no other client gets the name. */
  atQemu: number;
  /** Whether QEMU has it; `maybe` if a command may have taken it away since. */
  held: boolean | "maybe";
}

/** The names of one client. */
interface Namespace<Owner> {
  /** The names by the client's spelling. */
  readonly names: Map<string, Name<Owner>>;
  /** The names that QEMU has `maybe`, the oldest first. */
  readonly doubted: Set<Name<Owner>>;
}

/** The names that a command in flight gives, and uses. */
interface Uses<Owner> {
  readonly given: Name<Owner> | undefined;
  readonly used: ReadonlyMap<Name<Owner>, FdReference>;
}

/** QEMU's names, and the clients that own them. */
export class FdNames<Owner> {
  #tags: Tags | undefined;
  readonly #namespaces = new Map<Owner, Namespace<Owner>>();
  /** The names by QEMU's spelling. */
  readonly #upstream = new Map<string, Name<Owner>>();
  readonly #uses = new WeakMap<Command, Uses<Owner>>();
  /** The internal commands, each with the name that it closes. */
  readonly #closings = new WeakMap<Command, Name<Owner>>();
  /** The names to be closed: doubted ones past their limit, and those of an earlier connection. */
  #excess: Name<Owner>[] = [];

  /** Whether QEMU has none. */
  get empty(): boolean {
    return this.#upstream.size === 0;
  }

  /** Returns whether another client has a name. */
  hasOthers(owner: Owner): boolean {
    for (const name of this.#upstream.values()) if (name.owner !== owner) return true;
    return false;
  }

  /**
   * Begins a connection to QEMU.
   *
   * @param secret a number in digits that no client can know; the first one counts, as a later
   *   QEMU may be the same process
   */
  arrived(secret: string): void {
    this.#tags ??= new Tags(secret);
  }

  /** Returns a message of QEMU's with the names that their owners have chosen. */
  withOwnNames(message: Uint8Array): Uint8Array {
    return this.#tags?.without(message) ?? message;
  }

  /**
   * Registers the names that a command gives and uses, before it is sent.
   *
   * @returns its bytes for QEMU, with QEMU's names
   */
  goes(owner: Owner, command: Command, references: readonly FdReference[]): Uint8Array {
    // An internal command has QEMU's names.
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

  /** Takes note of QEMU's reply to a command. */
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
    // A name that cannot be closed does not exist.
    const isClosed = command.name === "closefd" && (worked || isOneName(command));
    for (const [name, { isTakenAway }] of uses.used) {
      name.atQemu--;
      if (isClosed || (worked && isTakenAway)) this.#gone(name);
      else this.#doubt(name);
    }
  }

  /**
   * Returns the commands that close the names of a departed client, each once.
   *
   * A name that a command in flight gives or uses is left out: call it again after its reply.
   */
  leftovers(owner: Owner): Command[] {
    const names = [...this.#namespaces.get(owner)?.names.values() ?? []];
    return names.filter(({ atQemu }) => atQemu === 0).map((name) => this.#closing(name));
  }

  /** Returns the commands that close doubted names past their limit, and lost ones, each once. */
  excess(): readonly Cleanup<Owner>[] {
    if (this.#excess.length === 0) return NOTHING;
    const excess = this.#excess.splice(0);
    return excess.map((name) => ({ owner: name.owner, command: this.#closing(name) }));
  }

  /**
   * Forgets the owners with a lost connection. A QEMU that is still running has the names: on the
   * next connection they are among those in `excess`.
   */
  clear(): void {
    this.#namespaces.clear();
    this.#excess = [...this.#upstream.values()].map((name) => ({ ...name, atQemu: 0 }));
    this.#upstream.clear();
    for (const name of this.#excess) this.#upstream.set(name.upstream, name);
  }

  /** Returns a name that a client is about to give. */
  #newName(owner: Owner, own: string): Name<Owner> {
    const tag = this.#isFree(own) ? "" : this.#tags!.next();
    return { owner, own, upstream: own + tag, atQemu: 0, held: false };
  }

  /** Returns whether a name can be sent without a tag, for a client that has no such name. */
  #isFree(own: string): boolean {
    if (this.#upstream.has(own)) return false;
    // A name that looks tagged would lose its end in QEMU's messages.
    return this.#tags === undefined || !own.includes(this.#tags.mark);
  }

  /** Returns the bytes of a command with QEMU's names. */
  #forQemu(
    command: Command,
    references: readonly FdReference[],
    nameOf: (text: string) => Name<Owner> | undefined,
  ): Uint8Array {
    const tagOf = (text: string): string => {
      const tag = nameOf(text)?.upstream.slice(text.length);
      // A name that its client has not given must not be another client's at QEMU.
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

  /** Takes note that QEMU no longer has a name. */
  #gone(name: Name<Owner>): void {
    name.held = false;
    this.#namespaces.get(name.owner)?.doubted.delete(name);
    this.#forgetAbsent(name);
  }

  /** Takes note of a command that may have taken a name away. */
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

  /** Frees a name that QEMU does not have, once no command in flight uses it. */
  #forgetAbsent(name: Name<Owner>): void {
    if (name.held !== false || name.atQemu > 0) return;
    this.#disown(name);
    this.#upstream.delete(name.upstream);
  }

  /** Takes a name from its owner, though QEMU may still have it. */
  #disown(name: Name<Owner>): void {
    const { owner, own } = name;
    const namespace = this.#namespaces.get(owner);
    if (namespace?.names.get(own) !== name) return;
    namespace.names.delete(own);
    namespace.doubted.delete(name);
    if (namespace.names.size === 0) this.#namespaces.delete(owner);
  }

  /** Returns the command that closes a name, and takes the name from its owner. */
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
