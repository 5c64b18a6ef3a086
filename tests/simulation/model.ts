/**
 * The promises, checked after every step.
 *
 * It is told what was said to qmpmux and sees what qmpmux says, and knows by
 * itself what may be said to whom and what must be. It is written from the
 * promises and calls nothing of the code under test.
 *
 * @module
 */

import { Holdings, type SimulatedFds, untagged, type Use, useOf } from "./holdings.ts";
import { Broken } from "./broken.ts";
import { Records } from "./records.ts";
import { HANDSHAKE_TIME, type Rules, type Setting, type Spoken, STALL_TIME } from "./actions.ts";
import { type Exec, type Said, type SimulatedQemu, VERSIONS } from "./qemu.ts";
import {
  allowed,
  EVENTS,
  generic,
  IMMUTABLE,
  lastingValue,
  type Outcome,
  passes,
  replyLine,
  roleEvents,
  SHARED,
  type SimGrant,
} from "./rules.ts";

/** In-band commands at QEMU. */
const IN_FLIGHT = 4;
/** And those of one client, with the out-of-band ones, while no other client is served. */
const IN_FLIGHT_EACH = 2;
/** Out-of-band commands at QEMU for whose answers nobody waits. */
const GIVEN_UP = 16;
/** Commands of one client that wait. */
const WAITING = { withOob: 9, inBand: 1 };
const OWN = "__org.qmpmux_";
const OWN_TIME = '{"timestamp": {"seconds": 1, "microseconds": 500000}, "event": ';

/** A tag where the name of a descriptor ends in a command. */
const LAST_TAG = /~[0-9A-Za-z]{6}[0-9a-z]+~(?=[":])/g;

/** What a reply must be: one of some lines, or what passes. */
type Answer = readonly string[] | ((line: string) => boolean);

type Command = Spoken & { kind: "command" };

/** Something asked, and not answered yet. */
export interface Entry {
  readonly seat: Seat;
  readonly id: string | undefined;
  readonly command: Command | undefined;
  /** What must be answered without QEMU; `undefined` while QEMU owes it. */
  answer: Answer | (() => Answer) | undefined;
  /** What its answer changes. */
  readonly then: (() => void) | undefined;
  /** When it was read, in the order of all things. */
  readonly at: number;
  readonly deadline: number;
  readonly connection: number;
  /** Is there certainly no other that says the same? */
  readonly unique: boolean;
  /** May it share its answer with others? */
  readonly sharing: boolean;
  /** May it have joined one that waited already? */
  readonly joined: boolean;
  readonly role: SimGrant["role"];
  /** May its answer have been kept? */
  readonly kept: boolean;
  /** QEMU has been sent it, or may have been. */
  covered: boolean;
  /** Was it surely this one that QEMU was sent? */
  sure: boolean;
  /** QEMU's answer, where it is surely this one's. */
  exec: Exec | undefined;
  gone: boolean;
  /** What it has to do with descriptors, and what came with it. */
  readonly use: Use | undefined;
  fds: SimulatedFds | undefined;
  /** Why it may have been refused when its turn came, in the words of errors. */
  readonly refusals: Set<string>;
  /** Was it, surely? */
  refused: boolean;
}

/** One client, as it must be. */
export class Seat {
  phase: "ungreeted" | "negotiation" | "command" = "ungreeted";
  oob = false;
  positioned = false;
  enabled = new Set<string>();
  filter: readonly string[] | undefined;
  entries: Entry[] = [];
  overtaking: Entry | undefined;
  /** Descriptors that have come, and that no command has taken. */
  fds: SimulatedFds | undefined;
  /** Has it overtaken, and not been idle since? It may have been. */
  overtook = false;
  /** What was taken for its answer, and may have been that of another. */
  doubt: { text: string; first: Entry } | undefined;
  /** The answer to what is refused out of turn, just now. */
  atOnce: Answer | undefined;
  /** Lines, events or a greeting, that it must hear before anything else. */
  due: string | undefined;
  closed = false;
  mustClose = false;
  /** The number of the last command whose answer it heard. */
  lastExec = -1;
  /** When it was last served; and since when it waits. */
  served = -1;
  waitsSince = -1;

  constructor(
    readonly label: string,
    public grant: SimGrant,
    readonly number: number,
    readonly since: number,
  ) {}

  /** Must it be read from? */
  get paused(): boolean {
    if (this.phase === "ungreeted" || this.overtaking !== undefined) return true;
    return this.entries.length >= (this.oob ? WAITING.withOob : WAITING.inBand);
  }

  /** The first of its commands that QEMU has not been sent. */
  get unsent(): Entry | undefined {
    return this.entries.find(({ answer, covered, kept, refused }) =>
      answer === undefined && !covered && !kept && !refused
    );
  }

  /** The first of them that surely was not refused either. */
  get surelyUnsent(): Entry | undefined {
    return this.entries.find(({ answer, covered, kept, refusals }) =>
      answer === undefined && !covered && !kept && refusals.size === 0
    );
  }

  sees(name: string): boolean {
    if (this.phase !== "command" || this.closed) return false;
    if (this.grant.dialect === "rfc2010" && !this.enabled.has(name)) return false;
    return passes(roleEvents(this.grant.role), name) && passes(this.grant.events, name) &&
      passes(this.filter, name);
  }
}

/** What holds in one world. */
export class Model {
  readonly seats = new Map<number, Seat>();
  /** Is told what became of commands. */
  readonly records = new Records();
  #setting: Rules;
  #qemu: SimulatedQemu;
  #now = 0;
  #sequence = 0;
  #attached = 0;
  /** Is the session with QEMU negotiated? */
  ready = false;
  #sessions = 0;
  /** Did the last QEMU that was there offer oob? */
  #offersOob = false;
  #nonce = "";
  #negotiating = false;
  #greeted = false;
  readonly #holdings: Holdings;
  readonly #fdsClosed: (fds: SimulatedFds) => void;
  #idleTold = false;
  /** Unanswered entries that QEMU owes, by their text for QEMU. */
  readonly #wanted = new Map<string, Entry[]>();
  /** In-band commands at QEMU, as qmpmux knows it. */
  readonly #flying: Exec[] = [];
  readonly #overtaking = new Map<string, { exec: Exec; entry: Entry | undefined }>();
  readonly #owners = new Map<Exec, Entry>();
  /** Whose each in-band command at QEMU is; it may be that of one of several. */
  readonly #carriers = new Map<Exec, readonly Seat[]>();
  /** Who heard an answer first. */
  readonly #hearers = new Map<Exec, Entry>();
  /** Untagged commands at QEMU whose asker has gone, by text. */
  readonly #ghosts = new Map<string, number>();
  /** When each was sent, in the order of all things. */
  readonly #sent = new Map<Exec, number>();
  #lastOob = 0;
  #serves = 0;
  /** The client whose command was the last that QEMU was sent, as far as that is sure. */
  #servedLast: Seat | undefined;
  #answered = new Set<string>();
  #heardAt = 0;
  #probed = false;
  #stalled = false;
  /** Has QEMU said anything since the clock was last looked at, and when was that? */
  #spoke = true;
  #silentSince = 0;
  #qemuMustClose = false;
  #qemuClosed = false;
  /** The command whose answer could not be read. */
  #unreadable: Exec | undefined;

  constructor(setting: Setting, qemu: SimulatedQemu, closed: (fds: SimulatedFds) => void) {
    this.#setting = setting;
    this.#qemu = qemu;
    this.#holdings = new Holdings(qemu);
    this.#fdsClosed = closed;
  }

  get draining(): boolean {
    return this.#holdings.draining;
  }

  /** The hub goes on under other settings. */
  retune(rules: Rules): void {
    this.#setting = rules;
  }

  /** qmpmux begins to end. */
  drain(): void {
    this.#holdings.draining = true;
  }

  /** Descriptors come to a client. */
  fdsReceived(seat: Seat, name: string): SimulatedFds {
    return this.#holdings.fdsReceived(seat, name, this.#fdsClosed);
  }

  /** A client comes; it must be greeted at once where QEMU is ready. */
  attach(who: number, grant: SimGrant): Seat {
    const seat = new Seat("abcdefghijklmnop"[who]!, grant, ++this.#attached, this.#now);
    this.seats.set(who, seat);
    if (this.ready) this.#greet(seat);
    return seat;
  }

  /** A client goes. */
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

  /** qmpmux is about to be given something of a client. */
  read(seat: Seat, spoken: Spoken | undefined, damage: boolean): void {
    if (spoken === undefined) {
      throw new Broken("bytes", `${seat.label} has not said so many values`);
    }
    if (seat.paused) throw new Broken("pushing back", `${seat.label} is read while paused`);
    if (damage !== (spoken.kind === "damage")) {
      throw new Broken("bytes", `${seat.label} said ${JSON.stringify(spoken)}, read otherwise`);
    }
    if (spoken.kind === "damage") return this.#here(seat, undefined, this.#damageText(seat));
    if (spoken.kind === "malformed") {
      return this.#here(seat, spoken.id, this.#lines(seat, spoken.id, generic(spoken.because)));
    }
    this.#command(seat, spoken);
  }

  #damageText(seat: Seat): Answer {
    if (seat.grant.dialect === "rfc2010") {
      const desc = "Invalid JSON syntax";
      return [replyLine("rfc2010", undefined, { errorClass: "JSONParsing", desc })];
    }
    const where = seat.positioned ? "\\d+:\\d+: " : "";
    const what = `(${where}JSON parse error, [^\\r]*|JSON token size limit exceeded)`;
    const form = new RegExp(
      `^\\{"error": \\{"class": "GenericError", "desc": "${what}"\\}\\}\\r\\n$`,
    );
    return (line) => form.test(line);
  }

  #command(seat: Seat, command: Command): void {
    const { name, id, oob, args } = command;
    const { dialect, role } = seat.grant;
    const say = (outcome: Outcome): Answer => this.#lines(seat, id, outcome);
    const here = (outcome: Outcome): void => this.#here(seat, id, say(outcome), undefined, oob);
    if (oob && !seat.oob) return here(generic("QMP input member 'exec-oob' is unexpected"));
    this.records.asked(`${seat.grant.name}/${seat.number}`, name);
    const handshake = dialect === "qmp" ? this.#today(seat, command) : this.#rfc(seat, command);
    if (handshake !== undefined) {
      if (oob) return here(generic(`The command ${name} does not support OOB`));
      return this.#here(seat, id, say(handshake.outcome), handshake.then);
    }
    if (name.startsWith(OWN) && name !== `${OWN}nope`) {
      const admin = /-clients?$/.test(name);
      if (admin && role !== "admin") {
        return this.#here(seat, id, this.#refusal(seat, id, name), undefined, oob);
      }
      if (oob) return here(generic(`The command ${name} does not support OOB`));
      return this.#own(seat, command);
    }
    if (this.draining) return here(generic("qmpmux is shutting down"));
    if (!allowed(role, name, args)) {
      return this.#here(seat, id, this.#refusal(seat, id, name), undefined, oob);
    }
    if (!this.ready) return here(generic(`QEMU is away; ${name} was not sent`));
    if (oob && this.#givenUp >= GIVEN_UP) {
      return here(generic(`QEMU answers no out-of-band commands; ${name} was not sent`));
    }
    this.#toBeSent(seat, command);
  }

  /** How many out-of-band commands are at QEMU for whose answers nobody waits. */
  get #givenUp(): number {
    let givenUp = 0;
    for (const { entry } of this.#overtaking.values()) {
      if (entry === undefined || entry.gone) givenUp++;
    }
    return givenUp;
  }

  /** How many commands of a client are at QEMU, and how many of them overtook. */
  #atQemu(seat: Seat): { sure: number; maybe: number; oob: number } {
    const all = [...this.#carriers.values()].filter((seats) => seats.includes(seat));
    const sure = all.filter((seats) => seats.length === 1).length;
    const there = [...this.#overtaking.values()].filter(({ entry }) => entry?.seat === seat);
    const held = seat.overtaking !== undefined && !seat.overtaking.covered ? 1 : 0;
    const oob = there.length + held;
    return { sure: sure + oob, maybe: all.length + oob, oob };
  }

  /** May a client's commands be held back though it has its turn? */
  #isHeld(seat: Seat): boolean {
    const { maybe, oob } = this.#atQemu(seat);
    if (maybe === 0 && seat.entries.length === 0 && seat.overtaking === undefined) {
      seat.overtook = false;
    }
    return maybe >= (seat.overtook ? 1 : IN_FLIGHT_EACH) || oob > 0;
  }

  #refusal(seat: Seat, id: string | undefined, name: string): Answer {
    const { dialect, role } = seat.grant;
    const desc = `The command ${name} has been refused: role ${role}`;
    const whole = replyLine(dialect, id, { errorClass: "CommandNotFound", desc });
    const at = whole.indexOf(desc) + desc.length;
    const end = whole.slice(at);
    return (line) => line.startsWith(whole.slice(0, at)) && line.endsWith(end);
  }

  /** The handshake of today; `undefined` where a command is none of its. */
  #today(seat: Seat, { name, args, oob }: Command): Handshake | undefined {
    const negotiates = name === "qmp_capabilities";
    if (seat.phase === "command" && !negotiates) return undefined;
    if (!negotiates) {
      const desc = "Expecting capabilities negotiation with 'qmp_capabilities'";
      return { outcome: { errorClass: "CommandNotFound", desc } };
    }
    const { enable = [] } = JSON.parse(args);
    if (!Array.isArray(enable)) {
      return { outcome: generic("Invalid parameter type for 'enable', expected: array") };
    }
    const other = enable.find((each) => each !== "oob");
    if (other !== undefined) {
      return { outcome: generic(`Parameter 'null' does not accept value '${other}'`) };
    }
    if (seat.phase === "command") {
      const desc = "Capabilities negotiation is already complete, command ignored";
      return { outcome: { errorClass: "CommandNotFound", desc } };
    }
    if (enable.length > 0 && !this.#offersOob && !oob) {
      return { outcome: generic(`Capability ${enable.join(", ")} not available`) };
    }
    const then = (): void => {
      seat.phase = "command";
      seat.oob = enable.length > 0;
    };
    return { outcome: { value: "{}" }, then };
  }

  /** The handshake of 2010. */
  #rfc(seat: Seat, { name, args }: Command): Handshake | undefined {
    const desc = "The issued command is invalid in this mode";
    const invalid = { outcome: { errorClass: "QMPInvalidModeCommad", desc } };
    const operational = seat.phase === "command";
    const given = JSON.parse(args);
    const wrong = (what: string): Handshake => ({
      outcome: {
        errorClass: "InvalidParameter",
        desc: `Invalid parameter ${what}`,
        data: `{"name": "${what}"}`,
      },
    });
    switch (name) {
      case "query-qmp-mode": {
        const mode = operational ? "operational" : "handshake";
        return { outcome: { value: `{"mode": "${mode}"}` } };
      }
      case "async_msg_enable":
      case "async_msg_disable":
        if (operational) return invalid;
        if (!EVENTS.includes(given.name)) return wrong("name");
        return {
          outcome: { value: "{}" },
          then: (): void => {
            if (name === "async_msg_enable") seat.enabled.add(given.name);
            else seat.enabled.delete(given.name);
          },
        };
      case "qmp_switch_mode":
        if (operational) return invalid;
        if (given.mode !== "operational") return wrong("mode");
        return { outcome: { value: "{}" }, then: () => void (seat.phase = "command") };
      case "qmp_capabilities":
        if (!operational) return invalid;
        return {
          outcome: {
            errorClass: "CommandNotFound",
            desc: `The command ${name} has not been found`,
          },
        };
    }
    if (operational || name === "query-version" || name === "query-commands") return undefined;
    return invalid;
  }

  #own(seat: Seat, { name, id, args }: Command): void {
    if (name === `${OWN}set-event-filter`) {
      const { enable } = JSON.parse(args);
      if (!Array.isArray(enable)) {
        const desc = "Invalid parameter type for 'enable', expected: array";
        return this.#here(seat, id, this.#lines(seat, id, generic(desc)));
      }
      const then = (): void => void (seat.filter = enable);
      return this.#here(seat, id, this.#lines(seat, id, { value: "{}" }), then);
    }
    if (name.endsWith("-client")) return this.#here(seat, id, () => this.#ends(seat, id, args));
    if (name.endsWith("-clients")) return this.#here(seat, id, () => this.#listed(id));
    this.#here(seat, id, () => {
      const { grant, phase, filter = null } = seat;
      const rfc = grant.dialect === "rfc2010";
      const mode = phase === "command"
        ? rfc ? "operational" : "command"
        : rfc
        ? "handshake"
        : "negotiation";
      const expected = {
        name: `${grant.name}/${seat.number}`,
        role: grant.role,
        mode,
        capabilities: seat.oob ? ["oob"] : [],
        filter,
      };
      return (line: string): boolean => {
        const tail = id === undefined ? "}\r\n" : `, "id": ${id}}\r\n`;
        if (!line.startsWith('{"return": {') || !line.endsWith(tail)) return false;
        const heard = JSON.parse(line.slice('{"return": '.length, -tail.length));
        return Object.entries(expected).every(([key, value]) =>
          JSON.stringify(heard[key]) === JSON.stringify(value)
        );
      };
    });
  }

  /** A client is ended by another, or by itself: then it is told no more. */
  #ends(seat: Seat, id: string | undefined, args: string): Answer {
    const { name } = JSON.parse(args);
    const victim = [...this.seats.values()].find(({ number, closed, mustClose }) =>
      name === `stage/${number}` && !closed && !mustClose
    );
    if (victim === undefined) return this.#lines(seat, id, generic(`Client '${name}' not found`));
    victim.mustClose = true;
    this.#vacate(victim);
    return this.#lines(seat, id, { value: "{}" });
  }

  /** The list of the clients that are there. */
  #listed(id: string | undefined): Answer {
    const there = [...this.seats.values()].filter(({ closed }) => !closed);
    const names = there.map(({ number }) => number).sort((a, b) => a - b).map((n) => `stage/${n}`);
    return (line: string): boolean => {
      const tail = id === undefined ? "}\r\n" : `, "id": ${id}}\r\n`;
      if (!line.startsWith('{"return": [') || !line.endsWith(tail)) return false;
      const heard = JSON.parse(line.slice('{"return": '.length, -tail.length));
      const shown = heard.map((each: { name: string }) => each.name);
      return JSON.stringify(shown) === JSON.stringify(names);
    };
  }

  #lines(seat: Seat, id: string | undefined, outcome: Outcome): string[] {
    return [replyLine(seat.grant.dialect, id, outcome)];
  }

  #here(
    seat: Seat,
    id: string | undefined,
    answer: Answer | (() => Answer),
    then?: () => void,
    oob = false,
  ): void {
    if (oob) {
      seat.atOnce = answer as Answer;
      return;
    }
    seat.entries.push({
      seat,
      id,
      command: undefined,
      answer,
      then,
      at: ++this.#sequence,
      deadline: Infinity,
      connection: this.#qemu.connection,
      unique: false,
      sharing: false,
      joined: false,
      role: seat.grant.role,
      kept: false,
      covered: false,
      sure: false,
      exec: undefined,
      gone: false,
      use: undefined,
      fds: undefined,
      refusals: new Set(),
      refused: false,
    });
    this.#itsTurn(seat);
  }

  #toBeSent(seat: Seat, command: Command): void {
    const { name, strict, oob, args } = command;
    const rule = this.#setting.deadlines.find(({ glob }) => passes([glob], name));
    const plain = !oob && args === "{}";
    const alike = this.#wanted.get(strict) ?? [];
    const idle = seat.entries.length === 0 && seat.overtaking === undefined;
    const use = useOf(name, oob, args);
    // What names a descriptor is nobody else's question.
    const sharing = !oob && seat.grant.joins && idle && SHARED.includes(name) && use === undefined;
    const entry: Entry = {
      seat,
      id: command.id,
      command,
      answer: undefined,
      then: undefined,
      at: ++this.#sequence,
      deadline: rule === undefined ? Infinity : this.#now + rule.seconds,
      connection: this.#qemu.connection,
      unique: /[0-9]/.test(strict),
      sharing,
      joined: sharing && alike.some(({ sure, gone }) => !sure && !gone),
      role: seat.grant.role,
      kept: plain && seat.grant.caches && IMMUTABLE.includes(name) && this.#answered.has(name),
      covered: false,
      sure: false,
      exec: undefined,
      gone: false,
      use,
      fds: undefined,
      refusals: new Set(),
      refused: false,
    };
    this.#holdings.asked(entry);
    if (oob) {
      seat.overtaking = entry;
      seat.overtook = true;
    } else {
      if (seat.unsent === undefined) seat.waitsSince = this.#serves;
      seat.entries.push(entry);
    }
    if (alike.length > 0) alike.push(entry);
    else this.#wanted.set(strict, [entry]);
  }

  /** qmpmux has read it; what is known at once has been answered. */
  readDone(seat: Seat): void {
    if (seat.atOnce !== undefined) {
      throw new Broken("none lost", `${seat.label} was not answered out of turn`);
    }
  }

  /** A text for QEMU as its client wrote it: tags are behind the names of descriptors. */
  asAsked(text: string): string {
    // It may have written something like a tag itself, with escapes: the last one is none of its.
    return this.#wanted.has(text) ? text : text.replace(LAST_TAG, "");
  }

  /** qmpmux sends something to QEMU. */
  toQemu(text: string, exec: Exec | undefined, fds: SimulatedFds | undefined): void {
    if (exec === undefined || exec.process !== this.#qemu.process) {
      throw new Broken("bytes", `QEMU was sent no command: ${text}`);
    }
    if (!this.ready) return this.#negotiates(text);
    this.#holdings.mayFollow(text);
    this.#sent.set(exec, ++this.#sequence);
    if (exec.oob !== undefined) return this.#overtakes(text, exec, fds);
    if (this.#flying.length >= IN_FLIGHT) {
      throw new Broken("lanes", `more than ${IN_FLIGHT} in-band commands are at QEMU: ${text}`);
    }
    const wanted = this.#wanted.get(text);
    if (wanted === undefined && /^(closefd|remove-fd)$/.test(exec.name)) {
      const seat = this.#holdings.own(exec);
      this.#flying.push(exec);
      // It is that client's turn, and one of its two.
      this.#carriers.set(exec, seat === undefined ? [] : [seat]);
      if (seat !== undefined) seat.waitsSince = ++this.#serves;
      return;
    }
    const flying = this.#flying.filter((each) => each.text === text).length;
    if (wanted === undefined || wanted.length + (this.#ghosts.get(text) ?? 0) <= flying) {
      throw new Broken(
        "none twice",
        `QEMU was sent what nobody asked, or once too often: ${text}`,
      );
    }
    const busy = this.#flying.length > 0;
    this.#flying.push(exec);
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
    } else this.#serves++;
    for (const entry of fresh) {
      entry.covered = true;
      entry.sure = entry.unique || may.length === 1;
      entry.seat.waitsSince = this.#serves;
    }
  }

  /** One of a client's is sent: those before it have been, or have been refused. */
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

  /** An in-band command is surely this client's: may it have one more at QEMU? */
  #carries(seat: Seat, text: string): void {
    const { sure, oob } = this.#atQemu(seat);
    const isShared = this.#servedLast !== undefined && this.#servedLast !== seat;
    if (sure >= (isShared ? 1 : IN_FLIGHT_EACH) || oob > 0) {
      throw new Broken("lanes", `${seat.label} has ${sure} at QEMU, ${oob} oob, and now ${text}`);
    }
  }

  /** A client's turn: has anybody waited through two of them? */
  #serve(seat: Seat): void {
    const turn = ++this.#serves;
    for (const other of this.seats.values()) {
      if (other === seat) continue;
      const first = other.unsent;
      if (first === undefined) continue;
      const { strict = "" } = first.command ?? {};
      const twins = this.#flying.filter(({ text }) => text === strict).length;
      const unsure = other.entries.some(({ covered, sure }) => covered && !sure);
      // It may wait for a twin, or be held back behind two that are at QEMU, its own or alike.
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

  #negotiates(text: string): void {
    const enable = this.#qemu.oob ? ',"arguments":{"enable":["oob"]}' : "";
    const expected = `{"execute":"qmp_capabilities"${enable},"id":${this.#nonce}}`;
    if (!this.#greeted || this.#negotiating || text !== expected) {
      throw new Broken("loss", `QEMU was sent ${text} before the negotiation was done`);
    }
    this.#negotiating = true;
  }

  #overtakes(text: string, exec: Exec, fds: SimulatedFds | undefined): void {
    if (!this.#qemu.oob) throw new Broken("lanes", "QEMU offered no oob");
    const number = Number(exec.oob);
    if (exec.oob === "" || number <= this.#lastOob) {
      throw new Broken("loss", `an out-of-band number was used twice: ${text}`);
    }
    this.#lastOob = number;
    const entry = this.#wanted.get(exec.text)?.[0];
    if (entry === undefined) {
      const silence = this.#now - this.#heardAt;
      if (exec.text !== '{"exec-oob":"query-yank"}' || this.#probed || silence < STALL_TIME / 2) {
        throw new Broken("none twice", `QEMU was sent what nobody asked: ${text}`);
      }
      this.#probed = true;
    } else if (entry.covered) throw new Broken("none twice", `QEMU was sent ${text} twice`);
    else {
      entry.covered = true;
      entry.seat.overtook = true;
    }
    this.#holdings.sent(exec, entry, fds, false);
    this.#overtaking.set(exec.oob!, { exec, entry });
    if (entry) this.#owners.set(exec, entry);
  }

  /** qmpmux is about to hear a message of QEMU's. */
  fromQemu(said: Said): void {
    this.#heardAt = this.#now;
    this.#probed = false;
    this.#spoke = true;
    switch (said.kind) {
      case "greeting":
        // One more while we negotiate does no harm: nothing counts but the answer.
        if (this.ready) this.#qemuMustClose = true;
        this.#greeted = true;
        return;
      case "negotiated":
        return this.#isReady();
      case "refused":
      case "junk":
        this.#qemuMustClose = true;
        return;
      case "hostile":
        // Before the end of the negotiation nothing counts.
        if (this.ready) this.#qemuMustClose = true;
        return;
      case "unreadable":
        this.#qemuMustClose = true;
        // One that greets with pretty=on does not reply without: that reply is nobody's.
        if (!this.#qemu.pretty) this.#unreadable = said.exec;
        return;
      case "event":
        if (this.ready) this.#spread(said.name!, untagged(said.text));
        return;
      case "reply":
        return this.#replies(said.exec!);
    }
  }

  #replies(exec: Exec): void {
    this.#holdings.replied(exec);
    if (exec.oob === undefined) {
      const first = this.#flying.shift();
      if (first !== exec) throw new Error("The simulation has lost its order");
      this.#carriers.delete(exec);
      const { name } = exec;
      if (IMMUTABLE.includes(name) && "value" in exec.outcome! && /^\{[^{}]*\}$/.test(exec.text)) {
        this.#answered.add(name);
      }
      if (!this.#flying.some(({ text }) => text === exec.text)) this.#ghosts.delete(exec.text);
    } else this.#overtaking.delete(exec.oob);
    const owner = this.#owners.get(exec);
    if (owner && !owner.gone) owner.exec = exec;
  }

  /** qmpmux has heard it: what must follow has followed. */
  heardDone(): void {
    if (this.#qemuMustClose && !this.#qemuClosed) {
      throw new Broken("one fault, one peer", "what is no QMP did not end the connection to QEMU");
    }
    const owner = this.#unreadable && this.#owners.get(this.#unreadable);
    if (owner && !owner.gone) {
      throw new Broken("none lost", `${owner.seat.label} was not told that it cannot be answered`);
    }
    for (const seat of this.seats.values()) {
      if (seat.overtaking?.exec !== undefined) {
        throw new Broken("none lost", `${seat.label} was not told its out-of-band reply`);
      }
    }
  }

  #isReady(): void {
    this.ready = true;
    this.#offersOob = this.#qemu.oob;
    this.#negotiating = false;
    this.#answered.clear();
    const again = this.#sessions++ > 0 && this.#setting.onLoss === "hold";
    const version = VERSIONS[this.#qemu.version]!.join(".");
    const data = `{"version": "${version}"}`;
    for (const seat of this.seats.values()) {
      if (seat.phase === "ungreeted") this.#greet(seat);
      else if (seat.oob && !this.#qemu.oob) seat.mustClose = true;
      else if (again) this.#marker(seat, "QEMU_BACK", data);
    }
  }

  #greet(seat: Seat): void {
    seat.phase = "negotiation";
    seat.positioned = this.#qemu.version === 1;
    seat.due = seat.grant.dialect === "qmp"
      ? this.#qemu.greeting
      : '{"QMP": {"capabilities": ["async messages"]}}\r\n';
  }

  #marker(seat: Seat, name: string, data: string): void {
    if (!seat.sees(OWN + name)) return;
    seat.due = `${OWN_TIME}"${OWN}${name}", "data": ${data}}\r\n`;
  }

  #spread(name: string, text: string): void {
    for (const seat of this.seats.values()) if (seat.sees(name)) seat.due = text;
  }

  /** A connection to QEMU comes up. */
  arrive(nonce: string): void {
    this.#nonce = nonce;
    this.#greeted = this.#negotiating = this.ready = false;
    this.#qemuMustClose = this.#qemuClosed = false;
    this.#heardAt = this.#now;
  }

  /** qmpmux has hung up on QEMU. */
  qemuClosed(): void {
    if (!this.#qemuMustClose) throw new Broken("one fault, one peer", "QEMU was hung up on");
    this.#qemuClosed = true;
  }

  /** The connection to QEMU is about to be gone. */
  lost(reason: string): void {
    const wasReady = this.ready;
    this.ready = this.#negotiating = this.#greeted = false;
    this.#probed = this.#stalled = false;
    this.#spoke = true;
    this.#qemuMustClose = false;
    this.#unreadable = undefined;
    this.#flying.length = 0;
    this.#overtaking.clear();
    this.#owners.clear();
    this.#carriers.clear();
    this.#hearers.clear();
    this.#ghosts.clear();
    this.#answered.clear();
    this.#heardAt = this.#now;
    this.#servedLast = undefined;
    this.#holdings.lost();
    for (const seat of this.seats.values()) {
      if (seat.phase === "ungreeted") continue;
      if (this.#setting.onLoss === "close") {
        seat.mustClose = true;
        continue;
      }
      if (wasReady) this.#marker(seat, "QEMU_LOST", `{"reason": "${reason}"}`);
      for (const entry of [...seat.entries, ...(seat.overtaking ? [seat.overtaking] : [])]) {
        if (entry.answer !== undefined) continue;
        const { name } = entry.command!;
        const sent = generic(`QEMU has gone; the effect of ${name} is unknown`);
        const unsent = generic(`QEMU has gone; ${name} was not sent`);
        this.#given(entry, sent, unsent);
      }
    }
  }

  /** QEMU will not answer it: it must be told so, truthfully. */
  #given(entry: Entry, sent: Outcome, unsent: Outcome): void {
    const { seat, id, unique, covered } = entry;
    const [yes] = this.#lines(seat, id, sent);
    const [no] = this.#lines(seat, id, unsent);
    const sure = unique || !covered;
    const lines = sure ? [covered ? yes! : no!] : [yes!, no!];
    if (!covered) lines.push(...this.#refusals(entry));
    entry.answer = entry.kept ? [...lines, ...this.#lastingLines(entry)] : lines;
    this.#unwant(entry);
  }

  /** The lines that may refuse it. */
  #refusals({ seat, id, refusals }: Entry): string[] {
    return [...refusals].flatMap((desc) => this.#lines(seat, id, generic(desc)));
  }

  /** Time is about to have come so far. */
  tick(now: number): void {
    this.#now = now;
    for (const seat of this.seats.values()) {
      if (seat.phase === "ungreeted" && now - seat.since >= HANDSHAKE_TIME) seat.mustClose = true;
      for (const entry of [...seat.entries, ...(seat.overtaking ? [seat.overtaking] : [])]) {
        if (entry.answer !== undefined || entry.deadline > now) continue;
        const { name } = entry.command!;
        const sent = generic(`${name} was not answered in time; it may still run`);
        this.#given(entry, sent, generic(`${name} could not be sent in time; it has not run`));
      }
    }
  }

  /** Time has come so far: a silent QEMU has been asked, and counts as stalled in the end. */
  tickDone(): void {
    if (!this.ready || !this.#qemu.oob) return;
    if (this.#spoke) this.#silentSince = this.#now;
    this.#spoke = false;
    const silence = this.#now - this.#silentSince;
    // Nothing may follow a command with descriptors.
    if (!this.#probed && this.#holdings.hasFds !== undefined) return;
    if (silence >= STALL_TIME / 2 && !this.#probed) {
      throw new Broken("stall", `QEMU is silent for ${silence} s and was not asked`);
    }
    if (silence >= STALL_TIME && !this.#stalled) {
      throw new Broken("stall", `QEMU is silent for ${silence} s and does not count as stalled`);
    }
  }

  /** The rim is told that QEMU has stalled, or answers. */
  notice(stalled: boolean): void {
    if (stalled === this.#stalled) throw new Broken("stall", `told twice: ${stalled}`);
    if (stalled && !this.#probed) {
      throw new Broken("stall", "QEMU counts as stalled though it was not asked");
    }
    if (stalled && this.#now - this.#heardAt < STALL_TIME) {
      throw new Broken("stall", "QEMU counts as stalled though it has just said something");
    }
    this.#stalled = stalled;
  }

  /** The rim is told that nothing is under way. */
  idle(): void {
    if (!this.draining) throw new Broken("drain", "idle was told though nothing is drained");
    this.#holdings.settled(this.ready);
    this.#idleTold = true;
  }

  /** A client hears something. */
  heard(seat: Seat, text: string): void {
    if (seat.closed) throw new Broken("none twice", `${seat.label} was sent ${text} after its end`);
    const { due } = seat;
    if (text.startsWith('{"timestamp"') || text.startsWith('{"QMP"')) {
      if (text !== due) {
        throw new Broken("silence", `${seat.label} heard ${text} and must hear ${due}`);
      }
      seat.due = undefined;
      return;
    }
    if (due !== undefined) {
      throw new Broken("order", `${seat.label} heard ${text} before ${due}`);
    }
    if (seat.atOnce !== undefined && fits(seat.atOnce, text)) {
      seat.atOnce = undefined;
      return;
    }
    const [, number] = /#(\d+)#/.exec(text) ?? [];
    const exec = number === undefined ? undefined : this.#qemu.execs[Number(number)];
    const { overtaking, entries: [first] } = seat;
    const { doubt } = seat;
    const inLine = first?.answer !== undefined && fits(first.answer, text);
    const outOfTurn = overtaking?.answer !== undefined && fits(overtaking.answer, text);
    if (doubt && overtaking && !inLine && !outOfTurn && fits(doubt.first.answer, text)) {
      // What came before was that of the other one.
      seat.doubt = undefined;
      seat.overtaking = undefined;
      return this.#unwant(overtaking);
    }
    if (first && inLine && outOfTurn) {
      // Two that may say the same: what comes next tells which it was.
      seat.doubt = { text, first };
      return this.#taken(seat, first);
    }
    const refused = overtaking?.covered === false && this.#refusals(overtaking).includes(text);
    if (overtaking && (refused || exec?.oob !== undefined || fits(overtaking.answer, text))) {
      this.#checkReply(overtaking, exec, text);
      seat.overtaking = undefined;
      this.#unwant(overtaking);
      return;
    }
    if (first === undefined) {
      throw new Broken("wrong client", `${seat.label} waits for nothing and heard ${text}`);
    }
    this.#checkReply(first, exec, text);
    this.#taken(seat, first);
  }

  /** The first in line has its answer. */
  #taken(seat: Seat, first: Entry): void {
    seat.entries.shift();
    // What was refused has had its turn.
    if (first.refusals.size > 0) seat.waitsSince = this.#serves;
    this.#unwant(first);
    first.then?.();
    this.#itsTurn(seat);
  }

  /** What an answer is that depends on those before it is settled in its turn. */
  #itsTurn({ entries: [first] }: Seat): void {
    if (typeof first?.answer !== "function" || first.answer.length > 0) return;
    first.answer = (first.answer as () => Answer)();
  }

  #checkReply(entry: Entry, exec: Exec | undefined, text: string): void {
    const { seat, id, command, answer } = entry;
    if (answer !== undefined) {
      if (fits(answer as Answer, text)) return;
      throw new Broken("order", `${seat.label} must hear ${shown(answer)} and heard ${text}`);
    }
    const { name, oob, strict } = command!;
    if (exec === undefined && this.#unreadable?.text === strict && entry.covered) {
      const desc = `QEMU's answer to ${name} could not be read; its effect is unknown`;
      if (text === this.#lines(seat, id, generic(desc))[0]) return;
    }
    // What QEMU was sent may have been that of another who says the same.
    const unsent = !entry.covered || !entry.sure;
    if (exec === undefined && unsent && this.#refusals(entry).includes(text)) return;
    if (exec === undefined) return this.#checkLasting(entry, text);
    const { outcome } = exec;
    if (outcome === undefined || text !== untagged(replyLine(seat.grant.dialect, id, outcome))) {
      throw new Broken("bytes", `${seat.label} heard ${text} as the answer to ${strict}`);
    }
    if (exec.text !== strict || (exec.oob !== undefined) !== oob) {
      throw new Broken("wrong client", `${seat.label} asked ${strict} and heard ${text}`);
    }
    if (exec.connection !== this.#qemu.connection || !this.ready) {
      throw new Broken("loss", `${seat.label} heard an answer of an earlier connection: ${text}`);
    }
    if (this.#sent.get(exec)! < entry.at) {
      throw new Broken("fresh joins", `${seat.label} heard an answer older than ${name}: ${text}`);
    }
    const owner = this.#owners.get(exec);
    if (owner !== undefined && owner !== entry) {
      throw new Broken(
        "wrong client",
        `${seat.label} heard what ${owner.seat.label} asked: ${text}`,
      );
    }
    if (oob) return;
    const other = this.#hearers.get(exec);
    if (other === undefined) this.#hearers.set(exec, entry);
    else if (!other.sharing || !entry.sharing) {
      const names = `${other.seat.label} and ${seat.label}`;
      throw new Broken("fresh joins", `${names} share ${text}, and one of them may not`);
    }
    if (exec.number <= seat.lastExec) {
      throw new Broken(
        "fresh joins",
        `${seat.label} heard ${text}, which ran before its earlier one`,
      );
    }
    seat.lastExec = exec.number;
  }

  /** What its lasting answer may be: as its role sees it, or saw it when it asked. */
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
      throw new Broken("order", `${seat.label} asked ${strict} and heard ${text}`);
    }
    const lines = this.#lastingLines(entry);
    if (!lines.includes(text)) {
      throw new Broken("lasting answers", `${seat.label} heard ${text} and must hear ${lines[0]}`);
    }
    if (!entry.covered && !entry.kept) {
      throw new Broken(
        "lasting answers",
        `${seat.label} heard ${text}, which nobody had asked QEMU`,
      );
    }
  }

  /** qmpmux ends a client. */
  closed(seat: Seat, reason: string): void {
    if (seat.closed) return;
    if (!seat.mustClose) throw new Broken("loss", `${seat.label} was closed: ${reason}`);
    seat.closed = true;
    this.#vacate(seat);
  }

  #vacate(seat: Seat): void {
    for (const entry of [...seat.entries, ...(seat.overtaking ? [seat.overtaking] : [])]) {
      this.#unwant(entry);
    }
    seat.entries = [];
    seat.overtaking = undefined;
    this.#holdings.left(seat);
  }

  /** It waits no more. */
  #unwant(entry: Entry): void {
    if (entry.gone || entry.command === undefined) return;
    entry.gone = true;
    this.#holdings.over(entry);
    const { strict } = entry.command;
    const alike = this.#wanted.get(strict)!;
    if (alike.length === 1) this.#wanted.delete(strict);
    else alike.splice(alike.indexOf(entry), 1);
    if (entry.covered && !entry.unique && this.#flying.some(({ text }) => text === strict)) {
      this.#ghosts.set(strict, (this.#ghosts.get(strict) ?? 0) + 1);
    }
  }

  /** A step is over. `paused` tells whether a client is not read from. */
  stepDone(paused: (who: number) => boolean): void {
    this.#holdings.stepDone();
    for (const [who, seat] of this.seats) {
      const { label, entries: [first], due } = seat;
      if (seat.mustClose !== seat.closed) {
        throw new Broken("loss", `${label} has not been closed`);
      }
      seat.doubt = undefined;
      if (seat.closed) continue;
      if (due !== undefined) throw new Broken("events", `${label} was not told ${due}`);
      if (first && (first.answer !== undefined || first.exec !== undefined || first.refused)) {
        const what = first.answer === undefined ? first.command!.strict : shown(first.answer);
        throw new Broken("none lost", `${label} was not answered in its turn: ${what}`);
      }
      if (seat.overtaking && (seat.overtaking.answer ?? seat.overtaking.exec)) {
        throw new Broken("none lost", `${label} was not answered out of turn`);
      }
      if (seat.overtaking?.covered === false && this.#holdings.hasFds === undefined) {
        throw new Broken("none lost", `${label}'s command was held back for nothing`);
      }
      if (paused(who) !== seat.paused) {
        throw new Broken(
          "pushing back",
          `${label} is ${seat.paused ? "" : "not "}to be paused: ${seat.entries.length} wait`,
        );
      }
    }
  }

  /** A step is over, and nothing is under way. */
  atRest(): void {
    this.#holdings.settled(this.ready);
    if (this.draining && !this.#idleTold) {
      throw new Broken("drain", "nothing is under way, and idle was not told");
    }
  }

  /** Everything has been given time to finish. */
  settled(status: { waiting: number; inFlight: number; clients: number }): void {
    this.atRest();
    this.records.settled();
    for (const { label, entries: [first], overtaking, closed } of this.seats.values()) {
      const left = first ?? overtaking;
      if (left && !closed) {
        throw new Broken("none lost", `${label} was never answered: ${left.command?.strict}`);
      }
    }
    if (status.waiting !== 0 || status.inFlight !== 0) {
      throw new Broken(
        "bounds",
        `${status.waiting} wait and ${status.inFlight} are at QEMU at rest`,
      );
    }
    const there = [...this.seats.values()].filter(({ closed }) => !closed).length;
    if (status.clients !== there) {
      throw new Broken("bounds", `${status.clients} clients are kept of ${there}`);
    }
  }

  /** What of a client's is under way, as the rim and administrators are told. */
  pending(seat: Seat, all: number, inFlight: number): void {
    const { label, entries, overtaking } = seat;
    const asked = entries.length + (overtaking === undefined ? 0 : 1);
    // QEMU has been sent no more of them than it may have been.
    const sent = entries.filter(({ covered }) => covered).length + (overtaking?.covered ? 1 : 0);
    if (all !== asked || inFlight > sent) {
      const told = `${all} to be under way, ${inFlight} at QEMU`;
      throw new Broken("bounds", `${label} waits for ${asked}, ${sent} sent, and has told ${told}`);
    }
  }

  /** What waits in qmpmux is what clients wait for. */
  bounds(waiting: number): void {
    let asked = this.#holdings.bound;
    for (const { entries, overtaking } of this.seats.values()) {
      asked += entries.length + (overtaking?.covered === false ? 1 : 0);
    }
    if (waiting > asked) {
      throw new Broken("bounds", `${waiting} commands wait here, and clients wait for ${asked}`);
    }
  }
}

interface Handshake {
  readonly outcome: Outcome;
  readonly then?: () => void;
}

function fits(answer: Answer | (() => Answer) | undefined, text: string): boolean {
  if (answer === undefined) return false;
  if (typeof answer === "function") return (answer as (line: string) => boolean)(text);
  return answer.includes(text);
}

function shown(answer: unknown): string {
  return Array.isArray(answer) ? answer.join(" or ") : "another text";
}
