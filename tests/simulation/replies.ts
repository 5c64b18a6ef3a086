/**
 * The replies that clients get, compared with the expected ones.
 *
 * @module
 */

import { Broken } from "./broken.ts";
import { untagged } from "./holdings.ts";
import type { InFlight } from "./in_flight.ts";
import type { Link } from "./link.ts";
import { lineFor } from "./own_replies.ts";
import type { Exec, SimulatedQemu } from "./qemu.ts";
import { generic, IMMUTABLE, lastingValue, type ReplyContent, replyLine } from "./rules.ts";
import { type Answer, type Entry, fits, type Seat, shown } from "./seat.ts";

/** The replies of one world. */
export class Replies {
  readonly #qemu: SimulatedQemu;
  readonly #link: Link;
  readonly #inFlight: InFlight;
  /** The entry that got a command's reply first. */
  readonly #hearers = new Map<Exec, Entry>();

  constructor(qemu: SimulatedQemu, link: Link, inFlight: InFlight) {
    this.#qemu = qemu;
    this.#link = link;
    this.#inFlight = inFlight;
  }

  /** Forgets the replies of a connection that has been lost. */
  lost(): void {
    this.#hearers.clear();
  }

  /** Sets the error for an entry that QEMU will not answer. */
  unanswered(entry: Entry, sent: ReplyContent, unsent: ReplyContent): void {
    const { seat, id, unique, covered } = entry;
    const yes = lineFor(seat, id, sent);
    const no = lineFor(seat, id, unsent);
    const sure = unique || !covered;
    const lines = sure ? [covered ? yes : no] : [yes, no];
    if (!covered) lines.push(...this.#refusals(entry));
    entry.answer = entry.kept ? [...lines, ...this.#lastingLines(entry)] : lines;
    this.#inFlight.over(entry);
  }

  /** Returns the lines that may refuse an entry. */
  #refusals({ seat, id, refusals }: Entry): string[] {
    return [...refusals].map((desc) => lineFor(seat, id, generic(desc)));
  }

  /** Checks a line that a client gets. */
  heard(seat: Seat, text: string): void {
    if (seat.closed) {
      throw new Broken("none twice", `${seat.label} was sent ${text} after its connection closed`);
    }
    const { due } = seat;
    if (text.startsWith('{"timestamp"') || text.startsWith('{"QMP"')) {
      if (text !== due) {
        throw new Broken("silence", `${seat.label} got ${text}, expected ${due}`);
      }
      seat.due = undefined;
      return;
    }
    if (due !== undefined) {
      throw new Broken("order", `${seat.label} got ${text} before ${due}`);
    }
    if (seat.atOnce !== undefined && fits(seat.atOnce, text)) {
      seat.atOnce = undefined;
      return;
    }
    this.#reply(seat, text);
  }

  /** Finds the entry for a reply, and checks it. */
  #reply(seat: Seat, text: string): void {
    const [, number] = /#(\d+)#/.exec(text) ?? [];
    const exec = number === undefined ? undefined : this.#qemu.execs[Number(number)];
    const { overtaking, entries: [first], doubt } = seat;
    const inLine = first?.answer !== undefined && fits(first.answer, text);
    const outOfTurn = overtaking?.answer !== undefined && fits(overtaking.answer, text);
    if (doubt && overtaking && !inLine && !outOfTurn && fits(doubt.first.answer, text)) {
      // The earlier reply was to the out-of-band command.
      seat.doubt = undefined;
      seat.overtaking = undefined;
      return this.#inFlight.over(overtaking);
    }
    if (first && inLine && outOfTurn) {
      // Both may be answered so: the next reply shows which one it was.
      seat.doubt = { text, first };
      return this.#taken(seat, first);
    }
    const refused = overtaking?.covered === false && this.#refusals(overtaking).includes(text);
    if (overtaking && (refused || exec?.oob !== undefined || fits(overtaking.answer, text))) {
      this.#check(overtaking, exec, text);
      seat.overtaking = undefined;
      this.#inFlight.over(overtaking);
      return;
    }
    if (first === undefined) {
      throw new Broken("wrong client", `${seat.label} has nothing pending, but got ${text}`);
    }
    this.#check(first, exec, text);
    this.#taken(seat, first);
  }

  /** Removes a client's first entry after its reply. */
  #taken(seat: Seat, first: Entry): void {
    seat.entries.shift();
    // A command that was refused has had its turn.
    if (first.refusals.size > 0) seat.waitsSince = this.#inFlight.turns;
    this.#inFlight.over(first);
    first.then?.();
    seat.settleFirst();
  }

  #check(entry: Entry, exec: Exec | undefined, text: string): void {
    const { seat, id, command, answer } = entry;
    if (answer !== undefined) {
      if (fits(answer as Answer, text)) return;
      throw new Broken("order", `${seat.label} got ${text}, expected ${shown(answer)}`);
    }
    const { name, strict } = command!;
    if (exec === undefined && this.#link.unreadable?.text === strict && entry.covered) {
      const desc = `QEMU's reply to ${name} could not be read; its effect is unknown`;
      if (text === lineFor(seat, id, generic(desc))) return;
    }
    // Another command with the same text may have been sent to QEMU instead.
    const unsent = !entry.covered || !entry.sure;
    if (exec === undefined && unsent && this.#refusals(entry).includes(text)) return;
    if (exec === undefined) return this.#checkLasting(entry, text);
    this.#checkRelayed(entry, exec, text);
  }

  /** Checks a reply from QEMU against the entry that got it. */
  #checkRelayed(entry: Entry, exec: Exec, text: string): void {
    const { seat, id, command } = entry;
    const { name, oob, strict } = command!;
    const { outcome } = exec;
    if (outcome === undefined || text !== untagged(lineFor(seat, id, outcome))) {
      throw new Broken("bytes", `${seat.label} got ${text} in reply to ${strict}`);
    }
    if (exec.text !== strict || (exec.oob !== undefined) !== oob) {
      throw new Broken("wrong client", `${seat.label} sent ${strict}, but got ${text}`);
    }
    if (exec.connection !== this.#qemu.connection || !this.#link.ready) {
      throw new Broken("loss", `${seat.label} got a reply from an earlier connection: ${text}`);
    }
    if (this.#inFlight.sentAt(exec) < entry.at) {
      throw new Broken("fresh joins", `${seat.label} got a reply older than ${name}: ${text}`);
    }
    const owner = this.#inFlight.ownerOf(exec);
    if (owner !== undefined && owner !== entry) {
      throw new Broken(
        "wrong client",
        `${seat.label} got the reply to ${owner.seat.label}: ${text}`,
      );
    }
    if (!oob) this.#checkShared(entry, exec, text);
  }

  /**
   * Checks that a reply may be shared, and that a client gets replies in the order its commands
   * ran.
   */
  #checkShared(entry: Entry, exec: Exec, text: string): void {
    const { seat } = entry;
    const other = this.#hearers.get(exec);
    if (other === undefined) this.#hearers.set(exec, entry);
    else if (!other.sharing || !entry.sharing) {
      const names = `${other.seat.label} and ${seat.label}`;
      throw new Broken("fresh joins", `${names} share ${text}, but one of them may not`);
    }
    if (exec.number <= seat.lastExec) {
      throw new Broken(
        "fresh joins",
        `${seat.label} got ${text}, but that command ran before its earlier one`,
      );
    }
    seat.lastExec = exec.number;
  }

  /**
   * Returns the valid replies to an immutable query: for the client's role now, and at the time of
   * the query.
   */
  #lastingLines({ seat, id, command, role }: Entry): string[] {
    return [seat.grant.role, role].map((each) => {
      const value = lastingValue(this.#qemu.process, command!.name, each);
      return replyLine(seat.grant.dialect, id, { value });
    });
  }

  #checkLasting(entry: Entry, text: string): void {
    const { seat, command } = entry;
    const { name, strict, oob } = command!;
    if (!IMMUTABLE.includes(name) || oob) {
      throw new Broken("order", `${seat.label} sent ${strict}, but got ${text}`);
    }
    const lines = this.#lastingLines(entry);
    if (!lines.includes(text)) {
      throw new Broken("cached replies", `${seat.label} got ${text}, expected ${lines[0]}`);
    }
    if (!entry.covered && !entry.kept) {
      throw new Broken(
        "cached replies",
        `${seat.label} got ${text}, but no client had sent that query to QEMU`,
      );
    }
  }
}
