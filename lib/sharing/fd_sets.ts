/**
 * The owners of the descriptors in QEMU's sets (`add-fd`).
 *
 * Every client can use a set. A descriptor in a set belongs to the client that added it. After
 * that client has left, the descriptor is removed as soon as the set is not in use.
 *
 * @module
 */

import { type Command, type Reply, UnexpectedMessage } from "../wire/message.ts";
import { objectReturned } from "../wire/reply.ts";
import { type Cleanup, hasInner, ownCommand, scalar } from "./fd_commands.ts";

/** The commands that create or delete an object: its kind, the member that names it, and whether it is deleted. */
const MADE: ReadonlyMap<string, readonly [kind: string, member: string, ends: boolean]> = new Map([
  ["blockdev-add", ["block", "node-name", false]],
  ["blockdev-del", ["block", "node-name", true]],
  ["chardev-add", ["chardev", "id", false]],
  ["chardev-remove", ["chardev", "id", true]],
  ["object-add", ["object", "id", false]],
  ["object-del", ["object", "id", true]],
]);
/** The commands that use a set only until QEMU replies. */
const PASSING: ReadonlySet<string> = new Set(["memsave", "pmemsave", "screendump"]);

/** A set in QEMU. */
interface FdSet<Owner> {
  /** The owner of each of its descriptors; `undefined` if its client has left. */
  readonly owners: Map<string, Owner | undefined>;
  /** The number of commands that referred to it, without failed ones and those whose objects were deleted. */
  uses: number;
}

/** A descriptor of a departed client, in a set that was in use when the client left. */
interface Remnant<Owner> {
  readonly owner: Owner;
  readonly set: FdSet<Owner>;
  readonly id: string;
  readonly fd: string;
}

/** QEMU's sets, and the clients that own their descriptors. */
export class FdSets<Owner> {
  readonly #sets = new Map<string, FdSet<Owner>>();
  /** The sets to which each command in flight refers, one for each reference. */
  readonly #naming = new WeakMap<Command, readonly FdSet<Owner>[]>();
  /** The sets that each object of QEMU uses. */
  readonly #users = new Map<string, readonly FdSet<Owner>[]>();
  /** The descriptors to remove when their sets are no longer in use. */
  #remnants: Remnant<Owner>[] = [];

  /** Whether QEMU has no sets. */
  get empty(): boolean {
    return this.#sets.size === 0;
  }

  /** Returns QEMU's numbers of a client's descriptors. */
  numbersOf(owner: Owner): ReadonlySet<string> {
    return new Set(this.#all().filter(([, each]) => each === owner).map(([fd]) => fd));
  }

  /** Returns whether another connected client has added a descriptor to a set. */
  hasOthers(owner: Owner): boolean {
    return this.#all().some(([, each]) => each !== undefined && each !== owner);
  }

  /** Returns the text of an error if a client must not change a set with this `add-fd` or `remove-fd`. */
  objection(owner: Owner, command: Command): string | undefined {
    const id = scalar(command, "fdset-id");
    const fd = scalar(command, "fd");
    const owners = id === undefined ? undefined : this.#sets.get(id)?.owners;
    if (owners === undefined) return undefined;
    const concerned = fd === undefined ? [...owners.values()] : [owners.get(fd) ?? owner];
    if (concerned.every((each) => each === undefined || each === owner)) return undefined;
    return `File descriptor set ${id} belongs to another client; it is removed after that client disconnects`;
  }

  /** Registers a command for QEMU that refers to sets by these numbers. */
  sent(command: Command, sets: readonly string[]): void {
    if (this.empty) return;
    const named: FdSet<Owner>[] = [];
    for (const id of sets) {
      const set = this.#sets.get(id);
      if (set) named.push(set);
    }
    for (const set of named) set.uses++;
    if (named.length > 0) this.#naming.set(command, named);
  }

  /**
   * Processes QEMU's reply to a command.
   *
   * @throws UnexpectedMessage if the reply to `add-fd` lacks the number of the set or descriptor
   */
  settled(owner: Owner, command: Command, reply: Reply): void {
    const worked = reply.kind === "return";
    if (command.name === "add-fd") this.#added(owner, scalar(command, "fdset-id"), reply);
    else if (command.name === "remove-fd" && worked) this.#removed(command);
    this.#used(command, worked);
  }

  /** Returns, only once each, the commands that remove a departed client's descriptors from sets that are not in use. */
  leftovers(owner: Owner): Command[] {
    const commands: Command[] = [];
    for (const [id, set] of this.#sets) {
      const { owners } = set;
      for (const [fd, each] of owners) {
        if (each !== owner) continue;
        // Keep the set until QEMU replies: commands may refer to it until then.
        owners.set(fd, undefined);
        if (set.uses === 0) commands.push(removal(id, fd));
        else this.#remnants.push({ owner, set, id, fd });
      }
    }
    return commands;
  }

  /** Returns, only once each, the commands that remove departed clients' descriptors from sets no longer in use. */
  freed(): readonly Cleanup<Owner>[] {
    if (this.#remnants.length === 0) return NOTHING;
    const { freed = [], used = [] } = Object.groupBy(
      this.#remnants,
      ({ set }) => set.uses === 0 ? "freed" : "used",
    );
    this.#remnants = used;
    // Another client may have removed the descriptor before.
    const there = freed.filter(({ set: { owners }, fd }) =>
      owners.has(fd) && owners.get(fd) === undefined
    );
    return there.map(({ owner, id, fd }) => ({ owner, command: removal(id, fd) }));
  }

  /** Forgets all sets when QEMU is lost. */
  clear(): void {
    this.#sets.clear();
    this.#users.clear();
    this.#remnants = [];
  }

  /** Returns all descriptors in sets, each with its owner. */
  #all(): [fd: string, owner: Owner | undefined][] {
    return [...this.#sets.values()].flatMap(({ owners }) => [...owners]);
  }

  #added(owner: Owner, asked: string | undefined, reply: Reply): void {
    if (reply.kind === "error") return;
    const { "fdset-id": id, fd } = objectReturned(reply);
    if (!isSmallNumber(id) || !isSmallNumber(fd)) {
      throw new UnexpectedMessage(
        "it did not return the numbers of a set and a descriptor",
        reply.bytes,
      );
    }
    // Without a number in the command QEMU makes a new set, even if an earlier set had the same number.
    const known = asked === undefined ? undefined : this.#sets.get(asked);
    const set = known ?? { owners: new Map<string, Owner | undefined>(), uses: 0 };
    set.owners.set(String(fd), owner);
    this.#sets.set(String(id), set);
  }

  #removed(command: Command): void {
    const id = scalar(command, "fdset-id");
    const fd = scalar(command, "fd");
    const set = id === undefined ? undefined : this.#sets.get(id);
    if (id === undefined || set === undefined) return;
    if (fd === undefined) set.owners.clear();
    else set.owners.delete(fd);
    // QEMU keeps an empty set while its files are open, and adds later descriptors to it.
    if (set.owners.size === 0 && set.uses === 0) this.#sets.delete(id);
  }

  /** Updates the uses of the sets to which a command referred, after QEMU's reply. */
  #used(command: Command, worked: boolean): void {
    const named = this.#naming.get(command) ?? [];
    this.#naming.delete(command);
    const [kind, member = "", ends] = MADE.get(command.name) ?? [];
    const user = kind && `${kind} ${scalar(command, member)}`;
    if (!worked || PASSING.has(command.name)) free(named);
    else if (user !== undefined && ends) {
      free(this.#users.get(user) ?? []);
      this.#users.delete(user);
    } else if (user !== undefined && named.length > 0 && !hasInner(command, member)) {
      this.#users.set(user, named);
    }
  }
}

const NOTHING: readonly never[] = [];

/** Decrements the uses of each set. */
function free(sets: readonly FdSet<unknown>[]): void {
  for (const set of sets) set.uses--;
}

/** Returns whether a value can be QEMU's number of a set or a descriptor. */
function isSmallNumber(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value < 2 ** 31;
}

function removal(id: string, fd: string): Command {
  return ownCommand("remove-fd", `{"fdset-id":${id},"fd":${fd}}`);
}
