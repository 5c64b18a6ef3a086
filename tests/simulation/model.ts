/**
 * The promises, checked after every step.
 *
 * The model gets everything that clients and QEMU send to qmpmux, derives from it what qmpmux must
 * send, and compares that with what qmpmux sends. It is written from the promises and calls nothing
 * of the code under test.
 *
 * It has four parts: clients (`seat.ts`), the connection to QEMU (`link.ts`), the commands at QEMU
 * (`in_flight.ts`), and the replies (`replies.ts`, `own_replies.ts`).
 *
 * @module
 */

import { HANDSHAKE_TIME, type Rules, type Setting, type Spoken } from "./actions.ts";
import { Broken } from "./broken.ts";
import { Holdings, type SimulatedFds, untagged, useOf } from "./holdings.ts";
import { InFlight } from "./in_flight.ts";
import { Journal } from "./journal.ts";
import { Link } from "./link.ts";
import {
  damageAnswer,
  lineFor,
  OWN,
  ownReply,
  qmpHandshake,
  refusal,
  rfcHandshake,
} from "./own_replies.ts";
import { type Exec, type Said, type SimulatedQemu, VERSIONS } from "./qemu.ts";
import { Records } from "./records.ts";
import { Replies } from "./replies.ts";
import {
  allowed,
  generic,
  IMMUTABLE,
  passes,
  type ReplyContent,
  SHARED,
  type SimGrant,
} from "./rules.ts";
import { type Awaited, type Command, newEntry, Seat } from "./seat.ts";
import { gapLine } from "./stream.ts";
import { checkSettled, checkStep, checkWaiting, type Status } from "./checks.ts";

/** The number of abandoned out-of-band commands at QEMU at which no other is sent. */
const ABANDONED = 16;
const OWN_TIME = '{"timestamp": {"seconds": 1, "microseconds": 500000}, "event": ';

/** Returns the line of an event of qmpmux's own. */
function ownLine(name: string, data: string): string {
  return `${OWN_TIME}"${name}", "data": ${data}}\r\n`;
}

/** The expected state of one world. */
export class Model {
  readonly seats = new Map<number, Seat>();
  /** The check that each command is recorded. */
  readonly records = new Records();
  #setting: Rules;
  #attached = 0;
  #sessions = 0;
  /** Whether clients wait for the news that QEMU is back. */
  #hasToldLoss = false;
  #idleTold = false;
  readonly #qemu: SimulatedQemu;
  /** The connection to QEMU. */
  readonly link: Link;
  readonly #holdings: Holdings;
  /** The commands at QEMU. */
  readonly inFlight: InFlight;
  /** The replies that clients get. */
  readonly replies: Replies;
  /** The events. */
  readonly journal: Journal;
  readonly #fdsClosed: (fds: SimulatedFds) => void;

  constructor(setting: Setting, qemu: SimulatedQemu, closed: (fds: SimulatedFds) => void) {
    this.#setting = setting;
    this.journal = new Journal(setting.eventLog);
    this.#qemu = qemu;
    this.link = new Link(qemu);
    this.link.probesWhenIdle = setting.probesWhenIdle;
    this.#holdings = new Holdings(qemu);
    this.inFlight = new InFlight(qemu, this.link, this.#holdings, this.seats);
    this.replies = new Replies(qemu, this.link, this.inFlight);
    this.#fdsClosed = closed;
  }

  /** Whether the session with QEMU is negotiated. */
  get ready(): boolean {
    return this.link.ready;
  }

  get draining(): boolean {
    return this.#holdings.draining;
  }

  /** Changes the settings of the hub. */
  retune(rules: Rules): void {
    this.#setting = rules;
    this.journal.retune(rules.eventLog);
    this.link.probesWhenIdle = rules.probesWhenIdle;
  }

  /** Begins the shutdown of qmpmux. */
  drain(): void {
    this.#holdings.draining = true;
  }

  /** Gives a client descriptors. */
  fdsReceived(seat: Seat, name: string): SimulatedFds {
    return this.#holdings.fdsReceived(seat, name, this.#fdsClosed);
  }

  /** Connects a client, which must get a greeting at once if QEMU is ready. */
  attach(who: number, grant: SimGrant): Seat {
    const seat = new Seat("abcdefghijklmnop"[who]!, grant, ++this.#attached, this.link.now);
    this.seats.set(who, seat);
    if (this.ready) this.#greet(seat);
    return seat;
  }

  /** Disconnects a client. */
  left(who: number): void {
    const seat = this.seats.get(who);
    if (seat === undefined) return;
    this.seats.delete(who);
    seat.closed = seat.mustClose = true;
    this.#vacate(seat);
  }

  adopt(who: number, grant: SimGrant): void {
    this.seats.get(who)!.grant = grant;
  }

  /** Takes a client's input that qmpmux is about to read. */
  read(seat: Seat, spoken: Spoken | undefined, damage: boolean): void {
    if (spoken === undefined) {
      throw new Broken("bytes", `${seat.label} has not sent that many values`);
    }
    if (seat.paused) throw new Broken("backpressure", `${seat.label} is read while paused`);
    if (damage !== (spoken.kind === "damage")) {
      throw new Broken(
        "bytes",
        `${seat.label} sent ${JSON.stringify(spoken)}, but it was read differently`,
      );
    }
    if (spoken.kind === "damage") return this.#here(seat, undefined, damageAnswer(seat));
    if (spoken.kind === "malformed") {
      return this.#here(seat, spoken.id, [lineFor(seat, spoken.id, generic(spoken.because))]);
    }
    this.#command(seat, spoken);
  }

  #command(seat: Seat, command: Command): void {
    const { name, id, oob, args } = command;
    const { dialect, role } = seat.grant;
    const here = (answer: ReplyContent | Awaited): void => {
      const awaited = typeof answer === "function" || Array.isArray(answer)
        ? answer as Awaited
        : [lineFor(seat, id, answer as ReplyContent)];
      this.#here(seat, id, awaited, undefined, oob);
    };
    if (oob && !seat.oob) return here(generic("QMP input member 'exec-oob' is unexpected"));
    this.records.asked(`${seat.grant.name}/${seat.number}`, name);
    const handshake = dialect === "qmp"
      ? qmpHandshake(seat, command, this.link.offersOob)
      : rfcHandshake(seat, command);
    if (handshake !== undefined) {
      if (oob) return here(generic(`The command ${name} does not support OOB`));
      return this.#here(seat, id, [lineFor(seat, id, handshake.outcome)], handshake.then);
    }
    if (name.startsWith(OWN) && name !== `${OWN}nope`) {
      const admin = /-clients?$/.test(name);
      if (admin && role !== "admin") return here(refusal(seat, id, name));
      if (oob) return here(generic(`The command ${name} does not support OOB`));
      return this.#own(seat, command);
    }
    if (this.draining) return here(generic("qmpmux is shutting down"));
    if (!allowed(role, name, args)) return here(refusal(seat, id, name));
    if (!this.ready) return here(generic(`QEMU is away; ${name} was not sent`));
    if (oob && this.inFlight.abandoned >= ABANDONED) {
      return here(generic(`QEMU does not answer out-of-band commands; ${name} was not sent`));
    }
    this.#toBeSent(seat, command);
  }

  #own(seat: Seat, command: Command): void {
    const [answer, then] = ownReply(seat, command, {
      journal: this.journal,
      disconnect: (name) => this.#disconnect(name),
      seats: () => this.seats.values(),
      now: () => this.link.now,
    });
    this.#here(seat, command.id, answer, then);
  }

  /**
   * Disconnects a client by name, as an administrator requests; returns false if the name is
   * unknown.
   */
  #disconnect(name: string): boolean {
    const client = [...this.seats.values()].find(({ number, closed, mustClose }) =>
      name === `stage/${number}` && !closed && !mustClose
    );
    if (client === undefined) return false;
    this.#mustClose(client);
    this.#vacate(client);
    return true;
  }

  /** Notes that a client is to be disconnected: it gets no later events. */
  #mustClose(seat: Seat): void {
    seat.mustClose = true;
    seat.lastEvent = Math.min(seat.lastEvent, this.journal.last);
  }

  /** Adds a reply that qmpmux must give by itself. */
  #here(
    seat: Seat,
    id: string | undefined,
    answer: Awaited,
    then?: () => void,
    oob = false,
  ): void {
    if (oob) {
      seat.atOnce = answer as Seat["atOnce"];
      return;
    }
    const { connection } = this.#qemu;
    const at = this.inFlight.next();
    seat.entries.push(newEntry({ seat, id, command: undefined, answer, then, at, connection }));
    seat.settleFirst();
  }

  #toBeSent(seat: Seat, command: Command): void {
    const { name, id, strict, oob, args } = command;
    const rule = this.#setting.deadlines.find(({ glob }) => passes([glob], name));
    const plain = !oob && args === "{}";
    const idle = seat.pending.length === 0;
    const use = useOf(name, oob, args);
    // A command that names a descriptor is never shared.
    const sharing = !oob && seat.grant.joins && idle && SHARED.includes(name) && use === undefined;
    this.inFlight.asked(newEntry({
      seat,
      id,
      command,
      at: this.inFlight.next(),
      deadline: rule === undefined ? Infinity : this.link.now + rule.seconds,
      connection: this.#qemu.connection,
      unique: /[0-9]/.test(strict),
      sharing,
      joined: sharing && this.inFlight.alike(strict).some(({ sure, gone }) => !sure && !gone),
      kept: plain && seat.grant.caches && IMMUTABLE.includes(name) &&
        this.inFlight.answered.has(name),
      use,
    }));
  }

  /** Checks that a command refused out of turn has been answered. */
  readDone(seat: Seat): void {
    if (seat.atOnce !== undefined) {
      throw new Broken("none lost", `${seat.label} got no reply out of turn`);
    }
  }

  /** Checks a text that qmpmux sends to QEMU. */
  toQemu(text: string, exec: Exec | undefined, fds: SimulatedFds | undefined): void {
    if (exec === undefined || exec.process !== this.#qemu.process) {
      throw new Broken("bytes", `QEMU was sent text that is not a command: ${text}`);
    }
    if (!this.ready) return this.link.negotiates(text);
    this.inFlight.sent(text, exec, fds);
  }

  /** Takes a message from QEMU that qmpmux is about to read. */
  fromQemu(said: Said): void {
    this.link.heard(said);
    switch (said.kind) {
      case "negotiated":
        return this.#isReady();
      case "event":
        if (this.ready) this.#spread(said.name!, untagged(said.text), untagged(said.wire).length);
        return;
      case "reply":
        return this.inFlight.replied(said.exec!);
    }
  }

  /** Checks that every required effect of a message from QEMU has happened. */
  heardDone(): void {
    this.link.heardDone();
    const { unreadable } = this.link;
    const owner = unreadable && this.inFlight.ownerOf(unreadable);
    if (owner && !owner.gone) {
      throw new Broken(
        "none lost",
        `${owner.seat.label} got no error although its command cannot be answered`,
      );
    }
    for (const seat of this.seats.values()) {
      if (seat.overtaking?.exec !== undefined) {
        throw new Broken("none lost", `${seat.label} did not get its out-of-band reply`);
      }
    }
  }

  #isReady(): void {
    this.link.negotiated();
    this.inFlight.answered.clear();
    const session = ++this.#sessions;
    const version = VERSIONS[this.#qemu.version]!.join(".");
    for (const seat of this.seats.values()) {
      if (seat.phase === "ungreeted") this.#greet(seat);
      else if (seat.oob && !this.#qemu.oob) this.#mustClose(seat);
    }
    this.journal.begin(session);
    if (session === 1) return;
    const reason = "the connection to QEMU was lost; events before the next connection are unknown";
    this.journal.add(undefined, gapLine(reason));
    if (!this.#hasToldLoss) return;
    this.#hasToldLoss = false;
    this.#spread(`${OWN}QEMU_BACK`, ownLine(`${OWN}QEMU_BACK`, `{"version": "${version}"}`));
  }

  #greet(seat: Seat): void {
    seat.phase = "negotiation";
    seat.positioned = this.#qemu.version === 1;
    seat.due = seat.grant.dialect === "qmp"
      ? this.#qemu.greeting
      : '{"QMP": {"capabilities": ["async messages"]}}\r\n';
  }

  #spread(name: string, text: string, bytes = text.length): void {
    this.journal.add(name, text, bytes);
    for (const seat of this.seats.values()) {
      if (!seat.mustClose && seat.sees(name)) seat.due = text;
    }
  }

  /** Ends the connection to QEMU. */
  lost(reason: string): void {
    const wasReady = this.ready;
    this.link.lost();
    this.inFlight.lost();
    this.replies.lost();
    this.#holdings.lost();
    const isClosed = this.#setting.onLoss === "close";
    const name = `${OWN}QEMU_LOST`;
    const text = ownLine(name, `{"reason": "${reason}"}`);
    if (wasReady && !isClosed) {
      this.#spread(name, text);
      this.#hasToldLoss = true;
    }
    for (const seat of this.seats.values()) {
      if (seat.phase === "ungreeted") continue;
      if (isClosed) {
        // A client that is closed is told only if it has asked for the event by its name.
        const isTold = wasReady && seat.filter?.includes(name) && seat.chooses(name);
        if (isTold && seat.stream !== undefined) seat.farewell = text;
        else if (isTold) seat.due = text;
        this.#mustClose(seat);
        continue;
      }
      for (const entry of [...seat.pending]) {
        if (entry.answer !== undefined) continue;
        const { name } = entry.command!;
        const sent = generic(`QEMU disconnected; the effect of ${name} is unknown`);
        const unsent = generic(`QEMU disconnected; ${name} was not sent`);
        this.replies.unanswered(entry, sent, unsent);
      }
    }
  }

  /** Advances the model's clock, before qmpmux's. */
  tick(now: number): void {
    this.link.now = now;
    for (const seat of this.seats.values()) {
      if (!seat.closed) seat.stream?.tick(now);
      if (seat.phase === "ungreeted" && now - seat.since >= HANDSHAKE_TIME) seat.mustClose = true;
      for (const entry of [...seat.pending]) {
        if (entry.answer !== undefined || entry.deadline > now) continue;
        const { name } = entry.command!;
        const sent = generic(`${name} was not answered in time; it may still run`);
        const unsent = generic(`${name} could not be sent in time; it has not run`);
        this.replies.unanswered(entry, sent, unsent);
      }
    }
  }

  /** Checks the results of advancing the clock. */
  tickDone(): void {
    this.link.tickDone(this.#holdings.hasFds !== undefined, !this.inFlight.idle);
  }

  /** Checks a notice that nothing is pending. */
  idle(): void {
    if (!this.draining) throw new Broken("drain", "idle was reported, but no drain is in progress");
    this.#holdings.settled(this.ready);
    this.#idleTold = true;
  }

  /** Checks that qmpmux may disconnect a client. */
  closed(seat: Seat, reason: string): void {
    if (seat.closed) return;
    if (!seat.mustClose) throw new Broken("loss", `${seat.label} was closed: ${reason}`);
    seat.closed = true;
    this.#vacate(seat);
  }

  #vacate(seat: Seat): void {
    for (const entry of [...seat.pending]) this.inFlight.over(entry);
    seat.entries = [];
    seat.overtaking = undefined;
    this.#holdings.left(seat);
  }

  /**
   * Checks that each client is in the expected state after a step; `paused` returns whether a
   * client is not read.
   */
  stepDone(paused: (who: number) => boolean): void {
    this.#holdings.stepDone();
    for (const [who, seat] of this.seats) {
      seat.doubt = undefined;
      checkStep(seat, paused(who), this.#holdings.hasFds !== undefined);
    }
  }

  /** Checks the rules that hold after a step when nothing is pending. */
  atRest(): void {
    this.#holdings.settled(this.ready);
    if (this.draining && !this.#idleTold) {
      throw new Broken("drain", "nothing is in flight, but idle was not reported");
    }
  }

  /** Checks the rules that hold when everything has had time to finish. */
  settled(status: Status): void {
    this.atRest();
    this.records.settled();
    checkSettled([...this.seats.values()], status);
  }

  /** Checks that no more commands wait in qmpmux than clients and descriptors account for. */
  bounds(waiting: number): void {
    checkWaiting(this.seats.values(), this.#holdings.bound, waiting);
  }
}
