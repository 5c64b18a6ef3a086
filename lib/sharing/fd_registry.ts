/**
 * What of QEMU's descriptors belongs to whom.
 *
 * QEMU keeps one table of names for a connection, and all clients share ours. A
 * name belongs to the client that passed its descriptor, until QEMU no longer
 * has it; so does each descriptor in a set. To everybody else a name is not
 * there, as it would not be on another monitor of QEMU's.
 *
 * @module
 */

import { frameOf } from "../wire/frame.ts";
import { quoted } from "../wire/format.ts";
import { type Command, readCommand, type Reply } from "../wire/message.ts";
import { objectReturned } from "../wire/reply.ts";
import { UnexpectedMessage } from "../wire/unexpected.ts";
import type { Value } from "../wire/value.ts";
import {
  argumentsOf,
  hasInner,
  isAboutDescriptors,
  isOneName,
  namesIn,
  scalar,
  setsNamedIn,
} from "./fd_references.ts";

/** What is made by a command that may name a set, and the command that ends it: both by this member. */
const MADE: ReadonlyMap<string, readonly [kind: string, member: string, ends: boolean]> = new Map([
  ["blockdev-add", ["block", "node-name", false]],
  ["blockdev-del", ["block", "node-name", true]],
  ["chardev-add", ["chardev", "id", false]],
  ["chardev-remove", ["chardev", "id", true]],
  ["object-add", ["object", "id", false]],
  ["object-del", ["object", "id", true]],
]);
/** The commands that are done with a set when they are answered. */
const PASSING: ReadonlySet<string> = new Set(["memsave", "pmemsave", "screendump"]);

/** QEMU's error where a command should have come with a descriptor. */
export const NOTHING_CAME = "No file descriptor supplied via SCM_RIGHTS";

/** A name of QEMU's. */
interface Name<Owner> {
  readonly owner: Owner;
  /** Has QEMU said that it has it? */
  held: boolean;
  /** Commands under way that may give it. */
  coming: number;
  /** Has its owner left? */
  left: boolean;
  /** Is QEMU asked to forget it? */
  ending: boolean;
}

/** A set of QEMU's. */
interface FdSet<Owner> {
  /** Whose each of its descriptors is; nobody's, where its client has left. */
  readonly owners: Map<string, Owner | undefined>;
  /** Commands that named it, have not failed, and made what is there still or may be. */
  uses: number;
}

/** A descriptor of a client that has left, in a set that was used then. */
interface Remnant<Owner> {
  readonly owner: Owner;
  readonly set: FdSet<Owner>;
  readonly id: string;
  readonly fd: string;
}

/** A command that ends what a client has left, and that client. */
export interface Ending<Owner> {
  /** Who has left it. */
  readonly owner: Owner;
  /** Ends it. */
  readonly command: Command;
}

/** QEMU's names and sets, and the clients they belong to. */
export class FdRegistry<Owner> {
  readonly #names = new Map<string, Name<Owner>>();
  readonly #sets = new Map<string, FdSet<Owner>>();
  /** The sets that commands under way name, each as often as it is named. */
  readonly #naming = new WeakMap<Command, readonly FdSet<Owner>[]>();
  /** The sets that were named for what QEMU has. */
  readonly #users = new Map<string, readonly FdSet<Owner>[]>();
  /** What is to be removed when it is used no more. */
  #remnants: Remnant<Owner>[] = [];

  /** Can it matter for a command? Most have nothing to do with descriptors. */
  concerns(command: Command): boolean {
    if (isAboutDescriptors(command)) return true;
    return command.argumentBytes !== undefined && this.#names.size + this.#sets.size > 0;
  }

  /** Why a command of a client must not go to QEMU now, in the words of an error. */
  objection(owner: Owner, command: Command): string | undefined {
    const args = argumentsOf(command);
    const { name } = command;
    if (name === "add-fd" || name === "remove-fd") return this.#setObjection(owner, args);
    const foreign = this.#foreignName(owner, args) ??
      (isAboutDescriptors(command) ? undefined : this.#foreignNumber(owner, args));
    if (foreign === undefined) return undefined;
    if (name === "getfd") {
      return `File descriptor name '${foreign}' belongs to another client; choose another name`;
    }
    if (name === "closefd") return `File descriptor named '${foreign}' not found`;
    return `File descriptor named '${foreign}' has not been found`;
  }

  /** Is a name wanted whose owner has left, and which QEMU is about to forget? */
  mustWait(command: Command): boolean {
    if (command.name !== "getfd" || this.#names.size === 0) return false;
    return this.#names.get(scalar(argumentsOf(command), "fdname") ?? "")?.left === true;
  }

  /** A command is on its way to QEMU. */
  sent(owner: Owner, command: Command): void {
    const args = argumentsOf(command);
    if (command.name === "getfd") {
      const name = scalar(args, "fdname");
      if (name === undefined) return;
      const known = this.#names.get(name) ??
        { owner, held: false, coming: 0, left: false, ending: false };
      known.coming++;
      this.#names.set(name, known);
    }
    const named = this.#setsIn(args);
    for (const set of named) set.uses++;
    if (named.length > 0) this.#naming.set(command, named);
  }

  /** QEMU has answered a command. */
  settled(owner: Owner, command: Command, reply: Reply): void {
    const args = argumentsOf(command);
    const worked = reply.kind === "return";
    if (command.name === "getfd") this.#given(scalar(args, "fdname"), worked);
    else if (command.name === "add-fd") this.#added(owner, scalar(args, "fdset-id"), reply);
    else if (command.name === "remove-fd" && worked) this.#removed(args);
    else if (worked || (command.name === "closefd" && isOneName(args))) {
      // Whatever has used a name has taken it away. One that cannot be closed is not there.
      for (const { text } of namesIn(args)) {
        const known = this.#names.get(text);
        if (known?.owner === owner) this.#gone(text, known);
      }
    }
    this.#used(command, args, worked);
  }

  /**
   * What a client that has left leaves at QEMU, as commands that end it, each once.
   *
   * What is under way still is no part of it: ask again when that is settled. A
   * set that a command has named for something that is there stays as long as that
   * does, and then is among those that are `freed`.
   */
  leftovers(owner: Owner): Command[] {
    const commands: Command[] = [];
    for (const [name, known] of this.#names) {
      if (known.owner !== owner) continue;
      known.left = true;
      if (known.ending || known.coming > 0) continue;
      known.ending = true;
      commands.push(commandOf("closefd", `{"fdname":${quoted(name)}}`));
    }
    for (const [id, set] of this.#sets) {
      const { owners } = set;
      for (const [fd, each] of owners) {
        if (each !== owner) continue;
        // The set is there until QEMU has answered: what names it meanwhile counts.
        owners.set(fd, undefined);
        if (set.uses === 0) commands.push(removal(id, fd));
        else this.#remnants.push({ owner, set, id, fd });
      }
    }
    return commands;
  }

  /** What is used no more of sets whose owners have left, each once. */
  freed(): readonly Ending<Owner>[] {
    if (this.#remnants.length === 0) return NOTHING;
    const { freed = [], used = [] } = Object.groupBy(
      this.#remnants,
      ({ set }) => set.uses === 0 ? "freed" : "used",
    );
    this.#remnants = used;
    // Somebody may have removed it before.
    const there = freed.filter(({ set: { owners }, fd }) =>
      owners.has(fd) && owners.get(fd) === undefined
    );
    return there.map(({ owner, id, fd }) => ({ owner, command: removal(id, fd) }));
  }

  /** QEMU is gone, and all of it. */
  clear(): void {
    this.#names.clear();
    this.#sets.clear();
    this.#users.clear();
    this.#remnants = [];
  }

  /** A name that is another client's. */
  #foreignName(owner: Owner, args: Value): string | undefined {
    for (const { text } of namesIn(args)) {
      const known = this.#names.get(text);
      if (known !== undefined && known.owner !== owner) return text;
    }
    return undefined;
  }

  /** A number of QEMU's that may be that of another client's descriptor: which it is nobody can tell. */
  #foreignNumber(owner: Owner, args: Value): string | undefined {
    const owners = [...this.#sets.values()].flatMap(({ owners }) => [...owners]);
    const isShared = [...this.#names.values()].some((name) => name.owner !== owner) ||
      owners.some(([, each]) => each !== undefined && each !== owner);
    if (!isShared) return undefined;
    const own = new Set(owners.filter(([, each]) => each === owner).map(([fd]) => fd));
    for (const { text, isNumber } of namesIn(args)) {
      if (isNumber && !own.has(text)) return text;
    }
    return undefined;
  }

  #setObjection(owner: Owner, args: Value): string | undefined {
    const id = scalar(args, "fdset-id");
    const fd = scalar(args, "fd");
    const owners = id === undefined ? undefined : this.#sets.get(id)?.owners;
    if (owners === undefined) return undefined;
    const concerned = fd === undefined ? [...owners.values()] : [owners.get(fd) ?? owner];
    if (concerned.every((each) => each === undefined || each === owner)) return undefined;
    return `File descriptor set ${id} belongs to another client; it ends with that client`;
  }

  #given(name: string | undefined, worked: boolean): void {
    const known = name === undefined ? undefined : this.#names.get(name);
    if (name === undefined || known === undefined) return;
    known.coming--;
    if (worked) known.held = true;
    if (!known.held && known.coming === 0) this.#names.delete(name);
  }

  #gone(name: string, known: Name<Owner>): void {
    known.held = false;
    if (known.coming === 0) this.#names.delete(name);
  }

  /** @throws UnexpectedMessage where QEMU does not say which descriptor of which set it is */
  #added(owner: Owner, asked: string | undefined, reply: Reply): void {
    if (reply.kind === "error") return;
    const { "fdset-id": id, fd } = objectReturned(reply);
    if (!isSmallNumber(id) || !isSmallNumber(fd)) {
      throw new UnexpectedMessage(
        "it did not return a number of a set and of a descriptor",
        reply.bytes,
      );
    }
    // Where no set was asked for it is a new one, whatever once had its number.
    const known = asked === undefined ? undefined : this.#sets.get(asked);
    const set = known ?? { owners: new Map<string, Owner | undefined>(), uses: 0 };
    set.owners.set(String(fd), owner);
    this.#sets.set(String(id), set);
  }

  #removed(args: Value): void {
    const id = scalar(args, "fdset-id");
    const fd = scalar(args, "fd");
    const set = id === undefined ? undefined : this.#sets.get(id);
    if (id === undefined || set === undefined) return;
    if (fd === undefined) set.owners.clear();
    else set.owners.delete(fd);
    // What was opened from it keeps it, for whatever is put into it later.
    if (set.owners.size === 0 && set.uses === 0) this.#sets.delete(id);
  }

  /** The sets that are named, each as often as it is. */
  #setsIn(args: Value): FdSet<Owner>[] {
    const found: FdSet<Owner>[] = [];
    if (this.#sets.size === 0) return found;
    for (const id of setsNamedIn(args)) {
      const set = this.#sets.get(id);
      if (set) found.push(set);
    }
    return found;
  }

  /** A command has been answered: the sets it named are used from now on, or no more. */
  #used(command: Command, args: Value, worked: boolean): void {
    const named = this.#naming.get(command) ?? [];
    this.#naming.delete(command);
    const [kind, member = "", ends] = MADE.get(command.name) ?? [];
    const user = kind && `${kind} ${scalar(args, member)}`;
    if (!worked || PASSING.has(command.name)) free(named);
    else if (user !== undefined && ends) {
      free(this.#users.get(user) ?? []);
      this.#users.delete(user);
    } else if (user !== undefined && named.length > 0 && !hasInner(args, member)) {
      this.#users.set(user, named);
    }
  }
}

/** Sets are named by one command fewer. */
function free(sets: readonly FdSet<unknown>[]): void {
  for (const set of sets) set.uses--;
}

const NOTHING: readonly never[] = [];

/** Whether a value is a number that QEMU can have given a set or a descriptor. */
function isSmallNumber(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value < 2 ** 31;
}

function removal(id: string, fd: string): Command {
  return commandOf("remove-fd", `{"fdset-id":${id},"fd":${fd}}`);
}

function commandOf(name: string, args: string): Command {
  const frame = frameOf(`{"execute":${quoted(name)},"arguments":${args}}`);
  return readCommand(frame, false) as Command;
}
