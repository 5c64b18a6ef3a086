/**
 * The names of descriptors (`getfd`): each client has names of its own.
 *
 * QEMU keeps a table of names for each monitor, and all clients share our one.
 * A name goes to QEMU as its client wrote it, unless another client has it, or
 * may have it: then with a tag behind it, which is taken off what QEMU answers.
 *
 * @module
 */

import { quoted } from "../wire/qemu_json.ts";
import type { Command } from "../wire/message.ts";
import { Tags } from "../wire/tags.ts";
import { type FdReference, isOneName, nameGivenBy, tagged } from "./fd_references.ts";
import { type Ending, ownCommand } from "./own_command.ts";

/** A client may have so many names of which it is not known whether QEMU has them still. */
export const DOUBTED_LIMIT = 256;

/** A name that QEMU has, or may have. */
interface Name<Owner> {
  readonly owner: Owner;
  /** Its owner's name for it. */
  readonly own: string;
  /** QEMU's name for it. */
  readonly upstream: string;
  /** Commands at QEMU that give, use or close it; until all are answered nobody else gets it. */
  atQemu: number;
  /** Whether QEMU has it; `maybe` where a command may have taken it away since QEMU said so. */
  held: boolean | "maybe";
}

/** The names of one client. */
interface Namespace<Owner> {
  /** By its own names for them. */
  readonly names: Map<string, Name<Owner>>;
  /** Those that QEMU has `maybe`, the oldest first. */
  readonly doubted: Set<Name<Owner>>;
}

/** The names that a command under way gives, and uses. */
interface Uses<Owner> {
  readonly given: Name<Owner> | undefined;
  readonly used: ReadonlyMap<Name<Owner>, FdReference>;
}

/** QEMU's names, and the clients that they belong to. */
export class FdNames<Owner> {
  #tags: Tags | undefined;
  readonly #namespaces = new Map<Owner, Namespace<Owner>>();
  /** By QEMU's names for them. */
  readonly #upstream = new Map<string, Name<Owner>>();
  readonly #uses = new WeakMap<Command, Uses<Owner>>();
  /** The commands of ours, each with the name that it closes. */
  readonly #closings = new WeakMap<Command, Name<Owner>>();
  /** The names that are to be closed: doubted ones past their limit, and those of an earlier connection. */
  #excess: Name<Owner>[] = [];

  /** Whether there are none. */
  get empty(): boolean {
    return this.#upstream.size === 0;
  }

  /** Whether another client has a name. */
  hasOthers(owner: Owner): boolean {
    for (const name of this.#upstream.values()) if (name.owner !== owner) return true;
    return false;
  }

  /**
   * A QEMU has come.
   *
   * @param secret a number in digits that no client can know; the first one counts, as a later
   *   QEMU may be the same process
   */
  arrived(secret: string): void {
    this.#tags ??= new Tags(secret);
  }

  /** A message of QEMU's with the names that their owners have chosen. */
  withOwnNames(message: Uint8Array): Uint8Array {
    return this.#tags?.without(message) ?? message;
  }

  /**
   * A command is about to go to QEMU: notes what it gives and uses.
   *
   * @returns its bytes for QEMU, with QEMU's names
   */
  goes(owner: Owner, command: Command, references: readonly FdReference[]): Uint8Array {
    // One of ours has QEMU's names.
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

  /** QEMU has answered a command. */
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
    // One that cannot be closed is not there.
    const isClosed = command.name === "closefd" && (worked || isOneName(command));
    for (const [name, { isTakenAway }] of uses.used) {
      name.atQemu--;
      if (isClosed || (worked && isTakenAway)) this.#gone(name);
      else this.#doubt(name);
    }
  }

  /**
   * Gives the commands that close what a departed client left, each once.
   *
   * A name that a command at QEMU gives or uses is left out: call it again when that is settled.
   */
  leftovers(owner: Owner): Command[] {
    const names = [...this.#namespaces.get(owner)?.names.values() ?? []];
    return names.filter(({ atQemu }) => atQemu === 0).map((name) => this.#closing(name));
  }

  /** Gives the commands that close doubted names past their limit, and lost ones, each once. */
  excess(): readonly Ending<Owner>[] {
    if (this.#excess.length === 0) return NOTHING;
    const excess = this.#excess.splice(0);
    return excess.map((name) => ({ owner: name.owner, command: this.#closing(name) }));
  }

  /**
   * The connection to QEMU is gone, and no client has a name any more. A QEMU that is still there
   * has them all: on the next connection they are among those in `excess`.
   */
  clear(): void {
    this.#namespaces.clear();
    this.#excess = [...this.#upstream.values()].map((name) => ({ ...name, atQemu: 0 }));
    this.#upstream.clear();
    for (const name of this.#excess) this.#upstream.set(name.upstream, name);
  }

  /** A name that a client is about to give. */
  #newName(owner: Owner, own: string): Name<Owner> {
    const tag = this.#isFree(own) ? "" : this.#tags!.next();
    return { owner, own, upstream: own + tag, atQemu: 0, held: false };
  }

  /** Whether a name can go to QEMU as it is, for a client that has none of that name. */
  #isFree(own: string): boolean {
    if (this.#upstream.has(own)) return false;
    // What looks like a tag would be taken off in what QEMU answers.
    return this.#tags === undefined || !own.includes(this.#tags.mark);
  }

  /** The bytes of a command with QEMU's names. */
  #forQemu(
    command: Command,
    references: readonly FdReference[],
    nameOf: (text: string) => Name<Owner> | undefined,
  ): Uint8Array {
    const tagOf = (text: string): string => {
      const tag = nameOf(text)?.upstream.slice(text.length);
      // A name that its client has not given must not be another's at QEMU.
      return tag ?? (this.#isFree(text) ? "" : this.#tags!.none);
    };
    const needsTag = references.some(({ text, isNumber }) => !isNumber && tagOf(text) !== "");
    if (!needsTag) return command.bytes;
    this.#tags!.sent();
    return tagged(command, tagOf);
  }

  /** A command is under way that may give a name. */
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

  /** QEMU has a name no more. */
  #gone(name: Name<Owner>): void {
    name.held = false;
    this.#namespaces.get(name.owner)?.doubted.delete(name);
    this.#forgetAbsent(name);
  }

  /** A command has named it, and QEMU may have taken it away or not. */
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

  /** Frees a name that QEMU has not, once no command at QEMU says it. */
  #forgetAbsent(name: Name<Owner>): void {
    if (name.held !== false || name.atQemu > 0) return;
    this.#disown(name);
    this.#upstream.delete(name.upstream);
  }

  /** A name is its owner's no more, though QEMU may have it still. */
  #disown(name: Name<Owner>): void {
    const { owner, own } = name;
    const namespace = this.#namespaces.get(owner);
    if (namespace?.names.get(own) !== name) return;
    namespace.names.delete(own);
    namespace.doubted.delete(name);
    if (namespace.names.size === 0) this.#namespaces.delete(owner);
  }

  /** The command that closes a name; it is its owner's no more. */
  #closing(name: Name<Owner>): Command {
    this.#disown(name);
    const command = ownCommand("closefd", `{"fdname":${quoted(name.upstream)}}`);
    this.#closings.set(command, name);
    return command;
  }
}

const NOTHING: readonly never[] = [];

/** The words of QEMU's error for a name or a number that is not there. */
export function notFound(name: string): string {
  return `File descriptor named '${name}' has not been found`;
}
