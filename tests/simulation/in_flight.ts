/**
 * The commands at QEMU, as expected: lanes, turns, and the clients they belong to.
 *
 * A command at QEMU certainly belongs to one client if its text is unique; otherwise it may belong
 * to any client that sent the same.
 *
 * @module
 */

import { Broken } from "./broken.ts";
import type { Holdings, SimulatedFds } from "./holdings.ts";
import type { Link } from "./link.ts";
import type { Exec, SimulatedQemu } from "./qemu.ts";
import { IMMUTABLE } from "./rules.ts";
import type { Entry, Seat } from "./seat.ts";

/** The maximum number of in-band commands at QEMU. */
const IN_FLIGHT = 4;
/** The maximum number of one client's commands at QEMU while no other client is served. */
const IN_FLIGHT_EACH = 2;
/** A tag at the end of a descriptor's name in a command. */
const LAST_TAG = /~[0-9A-Za-z]{6}[0-9a-z]+~(?=[":])/g;

/** The commands of clients that QEMU must answer, and those that were sent to QEMU. */
export class InFlight {
  /** The number of turns that clients have had. */
  turns = 0;
  /** The immutable queries that this QEMU has answered. */
  readonly answered = new Set<string>();
  readonly #qemu: SimulatedQemu;
  readonly #link: Link;
  readonly #holdings: Holdings;
  readonly #seats: ReadonlyMap<number, Seat>;
  #sequence = 0;
  /** Entries to which QEMU owes a reply, by their text for QEMU. */
  readonly #wanted = new Map<string, Entry[]>();
  /** In-band commands at QEMU, in the order they were sent. */
  readonly #inBand: Exec[] = [];
  /** Out-of-band commands at QEMU, by id. */
  readonly #outOfBand = new Map<string, { exec: Exec; entry: Entry | undefined }>();
  /** The entry to which a command certainly belongs. */
  readonly #owners = new Map<Exec, Entry>();
  /** The clients of which one owns an in-band command. */
  readonly #carriers = new Map<Exec, readonly Seat[]>();
  /** The number of non-unique commands at QEMU whose client has disconnected, by text. */
  readonly #ghosts = new Map<string, number>();
  /** The place of each command in the order of everything that was read and sent. */
  readonly #sentAt = new Map<Exec, number>();
  #lastOob = 0;
  /** The client that was served last, if that is certain. */
  #servedLast: Seat | undefined;

  constructor(
    qemu: SimulatedQemu,
    link: Link,
    holdings: Holdings,
    seats: ReadonlyMap<number, Seat>,
  ) {
    this.#qemu = qemu;
    this.#link = link;
    this.#holdings = holdings;
    this.#seats = seats;
  }

  /** Returns the next place in the order of everything that is read and sent. */
  next(): number {
    return ++this.#sequence;
  }

  /** Returns the unanswered entries with a text. */
  alike(text: string): readonly Entry[] {
    return this.#wanted.get(text) ?? [];
  }

  /** Returns the entry to which a command certainly belongs. */
  ownerOf(exec: Exec): Entry | undefined {
    return this.#owners.get(exec);
  }

  /** Returns the place of a command in the order of everything that was read and sent. */
  sentAt(exec: Exec): number {
    return this.#sentAt.get(exec)!;
  }

  /** Adds an entry to which QEMU owes a reply. */
  asked(entry: Entry): void {
    const { seat } = entry;
    const { oob, strict } = entry.command!;
    this.#holdings.asked(entry);
    if (oob) {
      seat.overtaking = entry;
      seat.overtook = true;
    } else {
      if (seat.unsent === undefined) seat.waitsSince = this.turns;
      seat.entries.push(entry);
    }
    const alike = this.#wanted.get(strict);
    if (alike) alike.push(entry);
    else this.#wanted.set(strict, [entry]);
  }

  /** Removes an entry that is no longer pending. */
  over(entry: Entry): void {
    if (entry.gone || entry.command === undefined) return;
    entry.gone = true;
    this.#holdings.over(entry);
    const { strict } = entry.command;
    const alike = this.#wanted.get(strict)!;
    if (alike.length === 1) this.#wanted.delete(strict);
    else alike.splice(alike.indexOf(entry), 1);
    if (entry.covered && !entry.unique && this.#inBand.some(({ text }) => text === strict)) {
      this.#ghosts.set(strict, (this.#ghosts.get(strict) ?? 0) + 1);
    }
  }

  /** Whether QEMU owes no reply. */
  get idle(): boolean {
    return this.#inBand.length === 0 && this.#outOfBand.size === 0;
  }

  /** Returns the number of abandoned out-of-band commands at QEMU. */
  get abandoned(): number {
    let abandoned = 0;
    for (const { entry } of this.#outOfBand.values()) {
      if (entry === undefined || entry.gone) abandoned++;
    }
    return abandoned;
  }

  /**
   * Returns a text for QEMU as its client wrote it, without the tags after names of descriptors.
   */
  asAsked(text: string): string {
    // A client may write something like a tag itself, with escapes: the last one is not the
    // client's.
    return this.#wanted.has(text) ? text : text.replace(LAST_TAG, "");
  }

  /** Checks a command that qmpmux sends to QEMU. */
  sent(text: string, exec: Exec, fds: SimulatedFds | undefined): void {
    this.#holdings.mayFollow(text);
    if (this.idle) this.#link.begins();
    this.#sentAt.set(exec, this.next());
    if (exec.oob !== undefined) return this.#sentOutOfBand(text, exec, fds);
    if (this.#inBand.length >= IN_FLIGHT) {
      throw new Broken("lanes", `more than ${IN_FLIGHT} in-band commands are at QEMU: ${text}`);
    }
    const wanted = this.#wanted.get(text);
    if (wanted === undefined && /^(closefd|remove-fd)$/.test(exec.name)) {
      return this.#sentByItself(exec);
    }
    const flying = this.#inBand.filter((each) => each.text === text).length;
    if (wanted === undefined || wanted.length + (this.#ghosts.get(text) ?? 0) <= flying) {
      throw new Broken(
        "none twice",
        `QEMU was sent a command that no client sent, or once too often: ${text}`,
      );
    }
    const busy = this.#inBand.length > 0;
    this.#inBand.push(exec);
    const may = wanted.filter((entry) => {
      const first = entry.seat.surelyUnsent;
      return first === undefined || first === entry || first.at > entry.at;
    });
    if (may.length === 0) {
      const before = wanted.map(({ seat }) => seat.surelyUnsent?.command?.strict).join();
      throw new Broken("order", `QEMU was sent ${text} before ${before}`);
    }
    const fresh = may.filter(({ covered }) => !covered);
    const unique = fresh.length === 1 && fresh[0]!.unique;
    if (unique) this.#passedOver(fresh[0]!);
    this.#holdings.sent(exec, unique ? fresh[0] : undefined, fds, busy);
    const seats = new Set((unique ? fresh : may).map(({ seat }) => seat));
    if (seats.size === 1) this.#carries(fresh[0]?.seat ?? may[0]!.seat, text);
    this.#carriers.set(exec, [...seats]);
    if (fresh.length === 1 && (fresh[0]!.unique || may.length === 1)) {
      this.#serve(fresh[0]!.seat);
      if (fresh[0]!.unique) this.#owners.set(exec, fresh[0]!);
    } else this.turns++;
    for (const entry of fresh) {
      entry.covered = true;
      entry.sure = entry.unique || may.length === 1;
      entry.seat.waitsSince = this.turns;
    }
  }

  /** Checks a command with which qmpmux closes a client's leftovers at QEMU. */
  #sentByItself(exec: Exec): void {
    const seat = this.#holdings.own(exec);
    this.#inBand.push(exec);
    // It counts as that client's turn, and as one of its two.
    this.#carriers.set(exec, seat === undefined ? [] : [seat]);
    if (seat !== undefined) seat.waitsSince = ++this.turns;
  }

  #sentOutOfBand(text: string, exec: Exec, fds: SimulatedFds | undefined): void {
    if (!this.#qemu.oob) {
      throw new Broken("lanes", "an out-of-band command was sent, but QEMU does not offer oob");
    }
    const number = Number(exec.oob);
    if (exec.oob === "" || number <= this.#lastOob) {
      throw new Broken("loss", `an out-of-band number was used twice: ${text}`);
    }
    this.#lastOob = number;
    const entry = this.#wanted.get(exec.text)?.[0];
    if (entry === undefined) this.#link.probe(text, exec.text, !this.idle);
    else if (entry.covered) throw new Broken("none twice", `QEMU was sent ${text} twice`);
    else {
      entry.covered = true;
      entry.seat.overtook = true;
    }
    this.#holdings.sent(exec, entry, fds, false);
    this.#outOfBand.set(exec.oob!, { exec, entry });
    if (entry) this.#owners.set(exec, entry);
  }

  /** Checks that the entries before a sent one have been sent, or have been refused. */
  #passedOver({ seat, at, command }: Entry): void {
    for (const other of seat.entries) {
      if (other.at > at && other.covered && other.sure) {
        const { strict } = command!;
        throw new Broken("order", `QEMU was sent ${other.command?.strict} before ${strict}`);
      }
      if (other.at >= at || other.answer !== undefined || other.covered) continue;
      if (other.refusals.size > 0) other.refused = true;
    }
  }

  /** Counts the commands of a client that are at QEMU. */
  #atQemu(seat: Seat): { sure: number; maybe: number; oob: number } {
    const all = [...this.#carriers.values()].filter((seats) => seats.includes(seat));
    const sure = all.filter((seats) => seats.length === 1).length;
    const there = [...this.#outOfBand.values()].filter(({ entry }) => entry?.seat === seat);
    const held = seat.overtaking !== undefined && !seat.overtaking.covered ? 1 : 0;
    const oob = there.length + held;
    return { sure: sure + oob, maybe: all.length + oob, oob };
  }

  /** Checks that a client may have another in-band command at QEMU. */
  #carries(seat: Seat, text: string): void {
    const { sure, oob } = this.#atQemu(seat);
    const isShared = this.#servedLast !== undefined && this.#servedLast !== seat;
    if (sure >= (isShared ? 1 : IN_FLIGHT_EACH) || oob > 0) {
      throw new Broken("lanes", `${seat.label} has ${sure} at QEMU, ${oob} oob, and now ${text}`);
    }
  }

  /** Returns whether a client's commands may be delayed although it has its turn. */
  #isHeld(seat: Seat): boolean {
    const { maybe, oob } = this.#atQemu(seat);
    if (maybe === 0 && seat.pending.length === 0) seat.overtook = false;
    return maybe >= (seat.overtook ? 1 : IN_FLIGHT_EACH) || oob > 0;
  }

  /** Gives a client its turn; checks that no other client has waited through two of them. */
  #serve(seat: Seat): void {
    const turn = ++this.turns;
    for (const other of this.#seats.values()) {
      if (other === seat) continue;
      const first = other.unsent;
      if (first === undefined) continue;
      const { strict = "" } = first.command ?? {};
      const twins = this.#inBand.filter(({ text }) => text === strict).length;
      const unsure = other.entries.some(({ covered, sure }) => covered && !sure);
      // It may wait for one with the same text, or be delayed behind two that are at QEMU.
      const held = this.#isHeld(other);
      const refusable = this.#holdings.isHeld(first);
      if (first.joined || twins >= 2 || unsure || held || refusable) other.waitsSince = turn;
      else if (seat.served > other.waitsSince) {
        throw new Broken("turns", `${seat.label} was served twice while ${other.label} waited`);
      }
    }
    seat.served = turn;
    this.#servedLast = seat;
  }

  /** Records that QEMU has replied to a command. */
  replied(exec: Exec): void {
    this.#holdings.replied(exec);
    if (exec.oob === undefined) {
      const first = this.#inBand.shift();
      if (first !== exec) throw new Error("The simulation has lost its order");
      this.#carriers.delete(exec);
      const { name } = exec;
      if (IMMUTABLE.includes(name) && "value" in exec.outcome! && /^\{[^{}]*\}$/.test(exec.text)) {
        this.answered.add(name);
      }
      if (!this.#inBand.some(({ text }) => text === exec.text)) this.#ghosts.delete(exec.text);
    } else this.#outOfBand.delete(exec.oob);
    const owner = this.#owners.get(exec);
    if (owner && !owner.gone) owner.exec = exec;
  }

  /** Forgets the commands at QEMU: its connection has been lost. */
  lost(): void {
    this.#inBand.length = 0;
    this.#outOfBand.clear();
    this.#owners.clear();
    this.#carriers.clear();
    this.#ghosts.clear();
    this.answered.clear();
    this.#servedLast = undefined;
  }
}
