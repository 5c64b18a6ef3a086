/**
 * The descriptors of a world and their owners, as expected.
 *
 * Each is in one place: with its client, with the command that takes it, at QEMU, or closed. A
 * descriptor at QEMU belongs to the client that passed it, and its name is that client's own: a
 * command finds under it what it would find on a private monitor. The model checks that when QEMU
 * uses the descriptor: by effects, not by qmpmux's own state.
 *
 * @module
 */

import { Broken } from "./broken.ts";
import type { Exec, SimulatedQemu } from "./qemu.ts";
import type { Entry, Seat } from "./seat.ts";
import {
  type FdSet,
  namesUsed,
  nameUnused,
  setUsed,
  takerRuns,
  TAKING_AWAY,
  type Touch,
} from "./table.ts";

/**
 * A tag that turns a client's name into another one for QEMU; the last of several was added last.
 */
const TAG = /~[0-9A-Za-z]{6}[0-9a-z]+~(?!~[0-9A-Za-z]{6}[0-9a-z]+~)/g;

/** Returns a text from QEMU with the names that clients have chosen. */
export function untagged(text: string): string {
  return text.includes("~") ? text.replace(TAG, "") : text;
}

/** The descriptors that are received with one message of a client. */
export class SimulatedFds {
  closed = false;
  /** The state; `ended` means that it must be closed. */
  place: "client" | "command" | "QEMU" | "ended" = "client";
  /** The connection on which it was sent to QEMU. */
  connection = 0;
  readonly #tell: () => void;

  constructor(readonly name: string, readonly seat: Seat, tell: () => void) {
    this.#tell = tell;
  }

  close(): void {
    if (this.closed) throw new Broken("descriptors", `${this.name} is closed twice`);
    if (this.place === "QEMU") {
      throw new Broken("descriptors", `${this.name} is closed, but QEMU has it`);
    }
    this.closed = true;
    this.#tell();
  }
}

/** The use that a command makes of descriptors. */
export interface Use {
  readonly name: string;
  readonly oob: boolean;
  /** Whether it takes one, if it runs. */
  readonly takes: boolean;
  /** Whether it certainly runs. */
  readonly surely: boolean;
  /** The names it creates or uses. */
  readonly names: readonly string[];
  /** The set that it changes, and the descriptor in it. */
  readonly set: number | undefined;
  readonly fd: number | undefined;
}

/** Returns a command's use of descriptors; most commands use none. */
export function useOf(name: string, oob: boolean, args: string): Use | undefined {
  const takes = name === "getfd" || name === "add-fd";
  if (!takes && args === "{}") return undefined;
  const given = JSON.parse(args);
  const names = namesUsed(name, given);
  if (name === "getfd" && typeof given.fdname === "string") names.push(given.fdname);
  const unused = nameUnused(name, given);
  if (unused !== undefined) names.push(unused);
  const changes = name === "add-fd" || name === "remove-fd";
  if (!takes && names.length === 0 && !changes) return undefined;
  return {
    name,
    oob,
    takes: takes && !oob,
    surely: takes && takerRuns(name, given),
    names,
    set: changes && given["fdset-id"] !== undefined ? Number(given["fdset-id"]) : undefined,
    fd: changes ? given.fd : undefined,
  };
}

/** A name at QEMU, as far as QEMU's replies have shown. */
interface Name {
  readonly seat: Seat;
  /** The client's name for it. */
  readonly own: string;
  readonly upstream: string;
  /** Commands at QEMU that contain it. */
  pending: number;
  /** Whether QEMU has it, or may have it. */
  held: boolean;
  ending: boolean;
  /** Whether it is of an earlier connection, and has no owner. */
  left: boolean;
}

function isGone({ closed, mustClose }: Seat): boolean {
  return closed || mustClose;
}

/** All descriptors of one world. */
export class Holdings {
  draining = false;
  readonly #qemu: SimulatedQemu;
  /** The descriptors that are not closed and not at QEMU. */
  readonly #live = new Set<SimulatedFds>();
  /** The names, by QEMU's spelling. */
  readonly #names = new Map<string, Name>();
  /** The descriptors that each client has at QEMU, by its own names. */
  readonly #given = new Map<Seat, Map<string, SimulatedFds>>();
  /** All tagged names that have been used. */
  readonly #tagged = new Set<string>();
  readonly #sets = new Map<number, Map<number, Seat>>();
  /** Commands at QEMU that open a set. */
  readonly #opening = new Set<Exec>();
  /** Descriptors left in sets that nothing names, or no longer. */
  readonly #doomed = new Set<SimulatedFds>();
  /** Descriptors left in sets in use. */
  readonly #kept = new Map<SimulatedFds, FdSet<SimulatedFds>>();
  /** The maximum number of commands with which qmpmux itself may still close something. */
  #due = 0;
  readonly #departed = new WeakSet<Seat>();
  /** Commands that have not been sent. */
  readonly #unsent = new Set<Entry>();
  readonly #askers = new Map<Exec, Entry>();
  /** The names in commands at QEMU. */
  readonly #said = new Map<Exec, Name[]>();
  /** Commands of qmpmux's own that close something. */
  readonly #own = new Set<Exec>();
  /** The command at QEMU with which descriptors were sent. */
  hasFds: Exec | undefined;
  /** The command at QEMU that takes one. */
  #taking: Exec | undefined;
  /** Whether QEMU may have kept descriptors that a command should have taken. */
  #strayed = false;

  constructor(qemu: SimulatedQemu) {
    this.#qemu = qemu;
    qemu.touched = (exec, how, fds): void => this.#touched(exec, how, fds);
    qemu.looked = (exec, nth, fds): void => this.#looked(exec, nth, fds);
  }

  /** Gives a client descriptors, which replace its waiting ones. */
  fdsReceived(seat: Seat, name: string, tell: (fds: SimulatedFds) => void): SimulatedFds {
    const fds: SimulatedFds = new SimulatedFds(name, seat, () => tell(fds));
    this.#live.add(fds);
    this.#end(seat.fds);
    seat.fds = fds;
    if (isGone(seat)) this.left(seat);
    return fds;
  }

  /** Records a client's command that involves descriptors. */
  asked(entry: Entry): void {
    const { use, seat } = entry;
    if (use === undefined) return;
    if (use.takes && use.surely) {
      entry.fds = seat.fds;
      seat.fds = undefined;
      if (entry.fds) entry.fds.place = "command";
    }
    this.#unsent.add(entry);
    this.#weigh(entry);
  }

  /** Records that a command will not be sent, or has been answered. */
  over(entry: Entry): void {
    this.#unsent.delete(entry);
    if (entry.fds?.place === "command") this.#end(entry.fds);
  }

  /** Records that a client has disconnected. */
  left(seat: Seat): void {
    this.#end(seat.fds);
    seat.fds = undefined;
    if (this.#departed.has(seat)) return;
    this.#departed.add(seat);
    for (const name of this.#names.values()) if (name.seat === seat) this.#due++;
    for (const [id, fds] of this.#sets) {
      for (const [fd, owner] of fds) if (owner === seat) this.#leftInSet(id, fd);
    }
  }

  #end(fds: SimulatedFds | undefined): void {
    if (fds) fds.place = "ended";
  }

  /** Checks that the next command to QEMU may follow the last one. */
  mayFollow(text: string): void {
    if (this.hasFds === undefined) return;
    const crash = `QEMU was sent ${text} behind a command with descriptors: it may crash`;
    throw new Broken("descriptors", crash);
  }

  /** Records a command that is sent to QEMU; `busy` while others are there. */
  sent(
    exec: Exec,
    entry: Entry | undefined,
    fds: SimulatedFds | undefined,
    busy: boolean,
  ): void {
    if (fds !== entry?.fds) {
      const [heard, due] = [fds?.name ?? "nothing", entry?.fds?.name ?? "nothing"];
      throw new Broken("descriptors", `${heard} was sent with ${exec.text}, expected ${due}`);
    }
    if (fds !== undefined) {
      if (fds.closed) throw new Broken("descriptors", `${fds.name} was closed before`);
      if (busy) throw new Broken("descriptors", `${exec.text} is not sent alone`);
      fds.place = "QEMU";
      fds.connection = this.#qemu.connection;
      this.#live.delete(fds);
      this.hasFds = exec;
    }
    if (setUsed(exec.args) !== undefined) this.#opening.add(exec);
    const use = entry?.use;
    if (entry === undefined || use === undefined) {
      // It may belong to one of several.
      for (const upstream of namesIn(exec)) {
        const known = this.#names.get(upstream);
        if (known !== undefined) this.#says(exec, known);
      }
      return;
    }
    this.#unsent.delete(entry);
    this.#askers.set(exec, entry);
    if (use.takes) {
      if (this.#taking !== undefined) {
        throw new Broken(
          "descriptors",
          `${exec.text} and another command that takes a descriptor are at QEMU`,
        );
      }
      this.#taking = exec;
    }
    for (const [nth, upstream] of namesIn(exec).entries()) {
      this.#mapped(exec, entry.seat, use.names[nth]!, upstream);
    }
    this.#weighAll();
  }

  /** Checks that a command's name at QEMU is for a name that its client knows. */
  #mapped(exec: Exec, seat: Seat, own: string, upstream: string): void {
    const refuse = (why: string): never => {
      throw new Broken("descriptors", `${seat.label}'s ${own} is ${upstream} to QEMU: ${why}`);
    };
    if (untagged(upstream) !== own && upstream !== own) refuse("it is another name");
    const known = this.#names.get(upstream);
    if (known !== undefined && known.seat !== seat) refuse(`it is that of ${known.seat.label}`);
    if (known !== undefined && known.own !== own) refuse(`it is its ${known.own}`);
    if (known?.left) refuse("an earlier connection has left it");
    const others = [...this.#names].some(([name, { seat: other, ending, left }]) =>
      name === own && (other !== seat || ending || left)
    );
    const isNeeded = others || own.includes("~");
    if (upstream !== own && known === undefined && !isNeeded) refuse("no other client has it");
    if (exec.name !== "getfd") {
      if (known !== undefined) this.#says(exec, known);
      return;
    }
    if (upstream !== own && known === undefined) {
      if (this.#tagged.has(upstream)) refuse("that tag was used before");
      this.#tagged.add(upstream);
    }
    const name = known ??
      { seat, own, upstream, pending: 0, held: false, ending: false, left: false };
    this.#says(exec, name);
    this.#names.set(upstream, name);
  }

  #says(exec: Exec, name: Name): void {
    name.pending++;
    const said = this.#said.get(exec);
    if (said) said.push(name);
    else this.#said.set(exec, [name]);
  }

  /**
   * Checks a command that no client sent: it must close something left behind. Returns the client
   * that had it, if known.
   */
  own(exec: Exec): Seat | undefined {
    const { name, args, text } = exec;
    const refuse = (why: string): never => {
      throw new Broken("descriptors", `QEMU was sent ${text}: ${why}`);
    };
    this.#own.add(exec);
    this.#due--;
    if (name === "closefd") {
      const known = this.#names.get(String(args["fdname"]));
      // It may have been removed since.
      if (known === undefined) return undefined;
      if (!isGone(known.seat) && !this.draining && !known.left) refuse("its client is connected");
      if (known.ending) refuse("twice");
      known.ending = true;
      this.#says(exec, known);
      return known.seat;
    }
    const [id, fd] = [args["fdset-id"] as number, args["fd"] as number];
    const set = this.#qemu.table.sets.get(id);
    const fds = set?.fds.get(fd);
    if (set === undefined || fds === undefined) return undefined;
    const nobodys = set.vague || (this.draining && this.#isUnnamed(set));
    if (!this.#doomed.has(fds) && !nobodys) {
      refuse("it is not left behind, or may be in use");
    }
    return fds.seat;
  }

  /** Returns whether nothing has named a set, and nothing at QEMU names it either. */
  #isUnnamed({ id, uses }: FdSet<SimulatedFds>): boolean {
    return uses === 0 && [...this.#opening].every(({ args }) => setUsed(args) !== id);
  }

  /**
   * Records that a client has left something in a set: it must be closed, or has no owner from now
   * on.
   */
  #leftInSet(id: number, fd: number): void {
    this.#sets.get(id)?.delete(fd);
    this.#due++;
    const set = this.#qemu.table.sets.get(id);
    const fds = set?.fds.get(fd);
    if (set === undefined || fds === undefined || set.vague) return;
    if (this.#isUnnamed(set)) this.#doomed.add(fds);
    else this.#kept.set(fds, set);
  }

  /** Marks what was kept for a use that has ended: it must be closed. */
  #doom(): void {
    for (const [fds, set] of this.#kept) {
      if (!this.#isUnnamed(set)) continue;
      this.#kept.delete(fds);
      if ([...set.fds.values()].includes(fds)) this.#doomed.add(fds);
    }
  }

  /** Records a reply from QEMU that qmpmux is about to read. */
  replied(exec: Exec): void {
    const { name, args } = exec;
    const worked = "value" in exec.outcome!;
    this.#opening.delete(exec);
    const owned = this.#own.delete(exec);
    if (this.hasFds === exec) {
      this.hasFds = undefined;
      this.#strayed = !worked;
    }
    if (this.#taking === exec) this.#taking = undefined;
    if (name === "blockdev-del" && worked) this.#qemu.table.toldOf(String(args["node-name"]));
    this.#doom();
    const seat = this.#askers.get(exec)?.seat;
    this.#askers.delete(exec);
    for (const known of this.#said.get(exec) ?? []) {
      known.pending--;
      if (name === "getfd") known.held ||= worked;
      else if (name === "closefd" || (worked && isTakenAway(exec))) {
        known.held = known.ending = false;
      }
      if (!known.held && known.pending === 0) this.#names.delete(known.upstream);
    }
    this.#said.delete(exec);
    if (seat === undefined && !owned) return;
    if (name === "add-fd" && worked) {
      const { fd, id } = exec.put!;
      const fds = this.#sets.get(id) ?? new Map<number, Seat>();
      this.#sets.set(id, fds.set(fd, seat!));
      if (isGone(seat!)) this.#leftInSet(id, fd);
    } else if (name === "remove-fd" && worked) {
      const fd = args["fd"];
      const id = args["fdset-id"] as number;
      if (fd === undefined) this.#sets.delete(id);
      else this.#sets.get(id)?.delete(fd as number);
    }
    this.#weighAll();
  }

  /** Records that QEMU's connection has been lost, with everything in it. */
  lost(): void {
    for (const set of this.#qemu.table.sets.values()) set.vague = true;
    for (const name of this.#names.values()) {
      name.left = name.held = true;
      name.ending = false;
      name.pending = 0;
    }
    this.#given.clear();
    this.#sets.clear();
    this.#opening.clear();
    this.#doomed.clear();
    this.#kept.clear();
    this.#askers.clear();
    this.#said.clear();
    this.#own.clear();
    this.hasFds = this.#taking = undefined;
    this.#strayed = false;
    this.#due = this.#names.size;
  }

  /** Returns whether a command may be delayed although its turn has come, or be refused. */
  isHeld({ use, refusals }: Entry): boolean {
    if (use === undefined) return false;
    return refusals.size > 0 || (use.takes && this.#taking !== undefined);
  }

  #weighAll(): void {
    for (const entry of this.#unsent) this.#weigh(entry);
  }

  /** Adds the reasons for which a command may be refused from now on. */
  #weigh({ use, seat, fds, refusals }: Entry): void {
    const { takes, surely, set, fd } = use!;
    if (takes && surely && fds === undefined && this.#strayed) {
      refusals.add("No file descriptor supplied via SCM_RIGHTS");
    }
    if (set !== undefined) {
      const fds = this.#sets.get(set) ?? new Map<number, Seat>();
      const owners = fd === undefined ? [...fds.values()] : [fds.get(fd) ?? seat];
      if (owners.some((owner) => owner !== seat && !isGone(owner))) {
        refusals.add(
          `File descriptor set ${set} belongs to another client; it is removed after that client disconnects`,
        );
      }
    }
  }

  /**
   * Checks a name that QEMU looks up: its client must find the descriptor it passed by that name,
   * and no other.
   */
  #looked(exec: Exec, nth: number, fds: SimulatedFds | undefined): void {
    const entry = this.#askers.get(exec);
    if (entry === undefined) return;
    const { seat, use } = entry;
    const own = use!.names[nth]!;
    const due = this.#given.get(seat)?.get(own);
    if (fds === due) return;
    const [found, wanted] = [fds?.name ?? "nothing", due?.name ?? "nothing"];
    throw new Broken("descriptors", `${seat.label}'s ${own} is ${wanted}, but QEMU found ${found}`);
  }

  /** Records that the descriptor behind a name exists, or no longer. */
  #note(exec: Exec, how: Touch, fds: SimulatedFds): void {
    if (how === "given") {
      const { seat, use } = this.#askers.get(exec)!;
      const given = this.#given.get(seat) ?? new Map<string, SimulatedFds>();
      this.#given.set(seat, given.set(use!.names[0]!, fds));
    }
    if (how !== "closed" && how !== "used") return;
    for (const given of this.#given.values()) {
      for (const [own, each] of given) if (each === fds) given.delete(own);
    }
  }

  /** Checks QEMU's action on a descriptor that it has. */
  #touched(exec: Exec, how: Touch, fds: SimulatedFds): void {
    const { name, seat } = fds;
    const refuse = (): never => {
      throw new Broken("descriptors", `${exec.text}: ${name} of ${seat.label} was ${how}`);
    };
    this.#note(exec, how, fds);
    if (how === "taken" || how === "given") return exec.fds === fds ? undefined : refuse();
    if (how === "removed") {
      this.#doomed.delete(fds);
      this.#kept.delete(fds);
    }
    const isLeft = fds.connection !== this.#qemu.connection;
    // Descriptors that an earlier connection left in a set have no owner.
    if (isLeft && (how === "removed" || how === "joined")) return;
    if (this.#own.has(exec)) return isGone(seat) || this.draining || isLeft ? undefined : refuse();
    if (this.#askers.get(exec)?.seat === seat) return;
    if ((how === "removed" || how === "joined") && isGone(seat)) return;
    refuse();
  }

  /** Checks after a step that every descriptor is in the expected place. */
  stepDone(): void {
    for (const fds of this.#live) {
      const { name, place, closed, seat } = fds;
      if (closed !== (place === "ended")) {
        const what = closed ? `was closed, but it is with the ${place}` : "was not closed";
        throw new Broken("descriptors", `${name} of ${seat.label} ${what}`);
      }
      if (closed) this.#live.delete(fds);
    }
  }

  /** The maximum number of waiting commands of qmpmux's own. */
  get bound(): number {
    if (!this.draining) return Math.max(0, this.#due);
    const sizes = [...this.#sets.values()].map(({ size }) => size);
    return sizes.reduce((sum, size) => sum + size, this.#names.size + Math.max(0, this.#due));
  }

  /**
   * Checks, when nothing is pending, that nothing without an owner is left. `ready`: the session is
   * negotiated.
   */
  settled(ready: boolean): void {
    if (!this.#qemu.connected) return;
    const { names, sets } = this.#qemu.table;
    for (const [name, fds] of names) {
      const isLeft = fds.connection !== this.#qemu.connection;
      if (isLeft ? ready : this.draining || isGone(fds.seat)) {
        throw new Broken("descriptors", `the name ${name} of ${fds.seat.label} is left`);
      }
    }
    for (const set of sets.values()) {
      for (const [fd, fds] of set.fds) {
        if (fds.connection !== this.#qemu.connection) continue;
        const unused = this.draining && !set.vague && this.#isUnnamed(set) && !isGone(fds.seat);
        if (this.#doomed.has(fds) || unused) {
          throw new Broken("descriptors", `${fd} of ${fds.seat.label} is left in set ${set.id}`);
        }
      }
    }
  }
}

/** Returns the names that a command sends to QEMU, in the order of {@linkcode Use.names}. */
function namesIn({ name, args, oob }: Exec): string[] {
  return useOf(name, oob !== undefined, JSON.stringify(args))?.names.slice() ?? [];
}

/**
 * Returns whether QEMU has certainly removed the names of a command, if the command has succeeded.
 */
function isTakenAway({ name, args }: Exec): boolean {
  return TAKING_AWAY.has(name) && nameUnused(name, args) === undefined;
}
