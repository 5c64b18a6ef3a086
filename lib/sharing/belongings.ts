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
import { returned } from "../wire/reply.ts";
import { Value } from "../wire/value.ts";

/** The commands that take a descriptor that has come. */
const TAKERS: ReadonlySet<string> = new Set(["getfd", "add-fd"]);
/** The commands that need one to be there. */
const ENDERS: ReadonlySet<string> = new Set(["closefd", "remove-fd"]);

/** The members whose values name a descriptor. */
const NAMING: ReadonlySet<string> = new Set(["fd", "vhostfd", "fdname", "str"]);
/** Those that name several, with colons between. */
const NAMING_MANY: ReadonlySet<string> = new Set(["fds", "vhostfds"]);

/** QEMU's error where a command should have come with a descriptor. */
export const NOTHING_CAME = "No file descriptor supplied via SCM_RIGHTS";

/** Does a command take a descriptor, if it runs? */
export function takesDescriptor({ name }: Command): boolean {
  return TAKERS.has(name);
}

/**
 * Does QEMU's handler of such a command surely run, and take what came?
 *
 * Where its arguments are wrong it does not, and what came would wait at QEMU for
 * whoever asks next.
 */
export function takesSurely(command: Command): boolean {
  const members = [...argumentsOf(command).members()];
  if (command.name === "getfd") {
    const [[key, value] = []] = members;
    return members.length === 1 && key === "fdname" && value?.isString === true;
  }
  return members.every(([key, value]) => {
    return key === "opaque" ? value.isString : key === "fdset-id" && isSmallNumber(value);
  });
}

/** A name of QEMU's. */
interface Name<Party> {
  readonly owner: Party;
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
interface FdSet<Party> {
  /** Whose each of its descriptors is; nobody's, where its client has left. */
  readonly owners: Map<string, Party | undefined>;
  /** Commands that named it, and have not failed. */
  uses: number;
}

/** QEMU's names and sets, and the clients they belong to. */
export class Belongings<Party> {
  readonly #names = new Map<string, Name<Party>>();
  readonly #sets = new Map<string, FdSet<Party>>();

  /** Can it matter for a command? Most have nothing to do with descriptors. */
  concerns(command: Command): boolean {
    if (TAKERS.has(command.name) || ENDERS.has(command.name)) return true;
    return command.argumentBytes !== undefined && this.#names.size + this.#sets.size > 0;
  }

  /** Why a command of a client must not go to QEMU now, in the words of an error. */
  objection(party: Party, command: Command): string | undefined {
    const args = argumentsOf(command);
    const { name } = command;
    if (name === "add-fd" || name === "remove-fd") return this.#setObjection(party, args);
    const foreign = [...namesIn(args)].find((each) => {
      const known = this.#names.get(each);
      return known !== undefined && known.owner !== party;
    });
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
  sent(party: Party, command: Command): void {
    const args = argumentsOf(command);
    if (command.name === "getfd") {
      const name = scalar(args, "fdname");
      if (name === undefined) return;
      const known = this.#names.get(name) ??
        { owner: party, held: false, coming: 0, left: false, ending: false };
      known.coming++;
      this.#names.set(name, known);
    }
    this.#count(args, 1);
  }

  /** QEMU has answered a command. */
  settled(party: Party, command: Command, reply: Reply): void {
    const args = argumentsOf(command);
    const worked = reply.kind === "return";
    if (command.name === "getfd") this.#given(scalar(args, "fdname"), worked);
    else if (command.name === "add-fd") this.#added(party, scalar(args, "fdset-id"), reply);
    else if (command.name === "remove-fd" && worked) this.#removed(args);
    else if (worked || command.name === "closefd") {
      // Whatever has used a name has taken it away.
      for (const name of namesIn(args)) {
        const known = this.#names.get(name);
        if (known?.owner === party) this.#gone(name, known);
      }
    }
    if (!worked) this.#count(args, -1);
  }

  /**
   * What a client that has left leaves at QEMU, as commands that end it, each once.
   *
   * What is under way still is no part of it: ask again when that is settled. A
   * set that a command has named is left as it is; from now on it is nobody's.
   */
  leftovers(party: Party): Command[] {
    const commands: Command[] = [];
    for (const [name, known] of this.#names) {
      if (known.owner !== party) continue;
      known.left = true;
      if (known.ending || known.coming > 0) continue;
      known.ending = true;
      commands.push(commandOf("closefd", `{"fdname":${quoted(name)}}`));
    }
    for (const [id, { owners, uses }] of this.#sets) {
      for (const [fd, owner] of owners) {
        if (owner !== party) continue;
        // The set is there until QEMU has answered: what names it meanwhile counts.
        owners.set(fd, undefined);
        if (uses === 0) commands.push(commandOf("remove-fd", `{"fdset-id":${id},"fd":${fd}}`));
      }
    }
    return commands;
  }

  /** QEMU is gone, and all of it. */
  clear(): void {
    this.#names.clear();
    this.#sets.clear();
  }

  #setObjection(party: Party, args: Value): string | undefined {
    const id = scalar(args, "fdset-id");
    const fd = scalar(args, "fd");
    const owners = id === undefined ? undefined : this.#sets.get(id)?.owners;
    if (owners === undefined) return undefined;
    const concerned = fd === undefined ? [...owners.values()] : [owners.get(fd) ?? party];
    if (concerned.every((owner) => owner === undefined || owner === party)) return undefined;
    return `File descriptor set ${id} belongs to another client; it ends with that client`;
  }

  #given(name: string | undefined, worked: boolean): void {
    const known = name === undefined ? undefined : this.#names.get(name);
    if (name === undefined || known === undefined) return;
    known.coming--;
    if (worked) known.held = true;
    if (!known.held && known.coming === 0) this.#names.delete(name);
  }

  #gone(name: string, known: Name<Party>): void {
    known.held = false;
    if (known.coming === 0) this.#names.delete(name);
  }

  #added(party: Party, asked: string | undefined, reply: Reply): void {
    const value = returned(reply);
    if (value === undefined) return;
    const { "fdset-id": id, fd } = Object(JSON.parse(value));
    // Where no set was asked for it is a new one, whatever once had its number.
    const known = asked === undefined ? undefined : this.#sets.get(asked);
    const set = known ?? { owners: new Map<string, Party | undefined>(), uses: 0 };
    set.owners.set(String(fd), party);
    this.#sets.set(String(id), set);
  }

  #removed(args: Value): void {
    const id = scalar(args, "fdset-id");
    const fd = scalar(args, "fd");
    const set = id === undefined ? undefined : this.#sets.get(id);
    if (id === undefined || set === undefined) return;
    if (fd !== undefined) set.owners.delete(fd);
    if (fd === undefined || (set.owners.size === 0 && set.uses === 0)) this.#sets.delete(id);
  }

  /** One more command names a set, or one fewer. */
  #count(args: Value, change: 1 | -1): void {
    if (this.#sets.size === 0) return;
    for (const text of args.scalars()) {
      for (const [, id] of text.matchAll(/\/dev\/fdset\/(\d+)/g)) {
        const set = this.#sets.get(id!);
        if (set) set.uses += change;
      }
    }
  }
}

const NO_ARGUMENTS = new Value(new TextEncoder().encode("{}"));

function argumentsOf({ argumentBytes }: Command): Value {
  return argumentBytes === undefined ? NO_ARGUMENTS : new Value(argumentBytes);
}

/** A member that is a string or a number, decoded. */
function scalar(args: Value, key: string): string | undefined {
  for (const [name, value] of args.members()) if (name === key) return value.scalar;
  return undefined;
}

/** The names of descriptors in a value, at any depth. */
function* namesIn(value: Value): Generator<string> {
  for (const element of value.elements()) yield* namesIn(element);
  for (const [key, part] of value.members()) {
    if (!part.isString) {
      yield* namesIn(part);
      continue;
    }
    const text = part.scalar!;
    if (text.startsWith("fd:")) yield text.slice(3);
    // QEMU's command line has `addr.str` for what is nested.
    const last = key.slice(key.lastIndexOf(".") + 1);
    if (NAMING.has(last)) yield text;
    if (NAMING_MANY.has(last)) yield* text.split(":");
  }
}

/** Is it a number that no reader can take for anything else? */
function isSmallNumber(value: Value): boolean {
  return /^\d{1,9}$/.test(value.raw);
}

function commandOf(name: string, args: string): Command {
  const frame = frameOf(`{"execute":${quoted(name)},"arguments":${args}}`);
  return readCommand(frame, false) as Command;
}
