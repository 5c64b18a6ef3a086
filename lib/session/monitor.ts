/**
 * One client: a virtual monitor.
 *
 * It has a mode, a capability set and an event filter of its own, and a slot for
 * each in-band command that awaits its answer, so that replies leave in the
 * order the commands came, however they were obtained.
 *
 * @module
 */

import type { EventFilter, EventName } from "../policy/event_filter.ts";
import type { Grant } from "../policy/grant.ts";
import { CLASSIC, type Grammar, grammarOf } from "../wire/grammar.ts";
import { type Command, type Greeting, type Id, isPretty, type Reply } from "../wire/message.ts";
import type { ClientPeer, Fds } from "../wire/peer.ts";
import { errorReply, partsWithId, pretty } from "../wire/reply.ts";
import { type Dialect, DIALECTS, type HandshakeState } from "./dialect.ts";
import { shortened } from "../wire/shortened.ts";

/**
 * In-band commands of one client that may wait for their answers.
 *
 * QEMU reads no further while one runs and eight are queued behind it if `oob` is
 * enabled, and none otherwise (`QMP_REQ_QUEUE_LEN_MAX`, measured).
 */
const WAITING_LIMIT = { inBand: 1, withOob: 9 } as const;
/** Gives an answer of ours when its turn comes; `undefined` where {@linkcode Monitor.fill} gives it later. */
export type Answer = (ticket: Ticket) => Reply | undefined;

/** A place in the order of replies; answered by a reply, or by what gives one when its turn comes. */
export interface Slot {
  /** The id that the reply will carry. */
  readonly id: Id;
  /** The reply, or what gives it when its turn comes; `undefined` while it is owed. */
  answer: Reply | Answer | undefined;
}

/** A command that has been sent on, and where its reply belongs. */
export type Ticket = Slot | { readonly id: Id; readonly oob: true };

/** What becomes of a command: it runs at QEMU, or is answered here. */
export type Admission = "run" | (() => Reply);

/** QEMU's longest name has 38 characters; a client can make up one as long as a command may be. */
const NAME_CHARS_LIMIT = 64;

/** No reply of ours is longer; what a QEMU says that changes its style would take too long. */
const OUR_BYTES_LIMIT = { return: 512 << 10, error: 2 << 20 } as const;

/** Whether a reply is put in the style of QEMU's with `pretty=on`. */
function isPrettied({ kind, bytes }: Reply): boolean {
  return !isPretty(bytes) && bytes.length <= OUR_BYTES_LIMIT[kind];
}

/** One client's virtual monitor. */
export class Monitor {
  /** Its connection. */
  readonly peer: ClientPeer;
  #grant: Grant;
  /** Whole numbers from 1, in the order of arrival. */
  readonly number: number;
  /** When it came, in seconds since the start of the hub's clock. */
  readonly since: number;
  /** How many well-formed commands it has sent. */
  commands = 0;
  /** The last of them; a long name is cut. */
  lastCommand: string | undefined;
  readonly #dialect: Dialect;
  #greeting: Greeting | undefined;
  #grammar: Grammar = CLASSIC;
  #pretty = false;
  #state: HandshakeState;
  #filter: EventFilter | undefined;
  #slots: Slot[] = [];
  #settling = false;
  /** Descriptors that have come and that no command has taken yet. */
  #fds: Fds | undefined;
  #oobWaiting = false;
  #paused = false;
  #left = false;

  /** A client that has just come: not greeted, nothing enabled. */
  constructor(peer: ClientPeer, grant: Grant, number: number, since = 0) {
    this.peer = peer;
    this.#grant = grant;
    this.number = number;
    this.since = since;
    this.#dialect = DIALECTS[grant.dialect];
    this.#state = {
      mode: "negotiation",
      offered: [],
      capabilities: new Set(),
      events: this.#dialect.events,
    };
  }

  /** What its listener grants it. */
  get grant(): Grant {
    return this.#grant;
  }

  /** Goes on under other terms; its dialect stays what it was greeted with. */
  adopt(grant: Grant): void {
    this.#grant = grant;
  }

  /** What it is called: its listener and its number. */
  get name(): string {
    return `${this.#grant.name}/${this.number}`;
  }

  /** Whether it is a connection to qmpmux itself, by its control socket. */
  get isControl(): boolean {
    return this.#dialect.isControl;
  }

  /** The dialect it was greeted in. */
  get dialect(): string {
    return this.#dialect.name;
  }

  /** Has it been sent its greeting? Before that nothing it says is read. */
  get greeted(): boolean {
    return this.#greeting !== undefined;
  }

  /** Is it gone, or being closed? */
  get left(): boolean {
    return this.#left;
  }

  /** The grammar its bytes are read by; settled once it is greeted. */
  get grammar(): Grammar {
    return this.#grammar;
  }

  /** Whether QEMU prints with `pretty=on`. */
  get isPretty(): boolean {
    return this.#pretty;
  }

  /** Has this client enabled `oob`? */
  get takesOob(): boolean {
    return this.#state.capabilities.has("oob");
  }

  /** Its mode in the words of its dialect. */
  get mode(): string {
    return this.#dialect.modes[this.#state.mode];
  }

  /** The names of its enabled capabilities. */
  get capabilities(): string[] {
    return [...this.#state.capabilities];
  }

  /** The globs it chose its events by; `undefined` while it has chosen none. */
  get filter(): readonly string[] | undefined {
    return this.#filter?.globs;
  }

  /** Does none of its commands await an answer? */
  get idle(): boolean {
    return this.#slots.length === 0 && !this.#oobWaiting;
  }

  /** How many of its commands await an answer. */
  get pending(): number {
    return this.#slots.length + (this.#oobWaiting ? 1 : 0);
  }

  /** QEMU is there: sends the greeting and begins to read. */
  greet(greeting: Greeting): void {
    const [major, minor] = greeting.version;
    this.#greeting = greeting;
    this.#grammar = grammarOf(major, minor);
    this.#pretty = isPretty(greeting.bytes);
    const offered = this.#offeredBy(greeting);
    this.#state = { ...this.#state, offered };
    this.peer.send(this.#dialect.greeting(greeting.bytes));
  }

  /**
   * Another QEMU is there: it goes on with that one, in its dialect and grammar.
   *
   * @returns whether it can: all capabilities it has enabled are offered still
   */
  resume(greeting: Greeting): boolean {
    const offered = this.#offeredBy(greeting);
    this.#greeting = greeting;
    this.#pretty = isPretty(greeting.bytes);
    this.#state = { ...this.#state, offered };
    return [...this.#state.capabilities].every((name) => offered.includes(name));
  }

  #offeredBy({ capabilities }: Greeting): string[] {
    return capabilities.filter((name) => this.#dialect.capabilities.includes(name));
  }

  /** What becomes of a command in this client's present mode. */
  admit(command: Command): Admission {
    this.commands++;
    this.lastCommand = shortened(command.name, NAME_CHARS_LIMIT);
    const { mode } = this.#state;
    const handler = this.#dialect.own[mode].get(command.name);
    if (handler) {
      return () => {
        const { reply, change } = handler(this.#state, command);
        if (change) this.#state = { ...this.#state, ...change };
        return reply;
      };
    }
    if (mode === "negotiation" && !this.#dialect.exceptions.has(command.name)) {
      return () => this.#dialect.refusal;
    }
    return "run";
  }

  /** Descriptors have come: they wait for the command that takes them, in place of any before. */
  fdsReceived(fds: Fds): void {
    this.#fds?.close();
    this.#fds = fds;
  }

  /** Whether descriptors wait for a command that takes them. */
  get hasFds(): boolean {
    return this.#fds !== undefined;
  }

  /** Takes what waits. */
  takeFds(): Fds | undefined {
    const fds = this.#fds;
    this.#fds = undefined;
    return fds;
  }

  /** Chooses its events, in place of what it chose before. */
  chooseEvents(filter: EventFilter): void {
    this.#filter = filter;
  }

  /** Tells whether this client may and will see an event of this name. */
  wants(name: EventName): boolean {
    const { mode, events } = this.#state;
    if (mode !== "command" || this.#left) return false;
    if (events !== undefined && !events.has(name.text)) return false;
    const { role, events: shown } = this.grant;
    if (role.events !== undefined && !role.events.passes(name)) return false;
    if (shown !== undefined && !shown.passes(name)) return false;
    return this.#filter === undefined || this.#filter.passes(name);
  }

  /** Takes a place in the order of replies, or none for an out-of-band command. */
  reserve(id: Id, oob: boolean): Ticket {
    if (oob) {
      this.#oobWaiting = true;
      this.#push();
      return { id, oob: true };
    }
    const slot: Slot = { id, answer: undefined };
    this.#slots.push(slot);
    this.#push();
    return slot;
  }

  /** QEMU has answered: the reply leaves when its turn comes, an out-of-band one at once. */
  fill(ticket: Ticket, reply: Reply): void {
    if (this.#left) return;
    const inDialect = this.inDialect(reply);
    if ("oob" in ticket) {
      this.#oobWaiting = false;
      this.#send(inDialect, ticket.id);
      this.#push();
      return;
    }
    ticket.answer = inDialect;
    this.#settle();
  }

  /**
   * Answers here. An in-band answer is given when its turn comes and sees what
   * the commands before it have done.
   */
  answer(id: Id, oob: boolean, answer: Answer): void {
    const slot: Slot = { id, answer };
    if (oob) {
      const reply = replyIn(slot);
      if (reply) this.#send(reply, id);
      return;
    }
    this.#slots.push(slot);
    this.#settle();
  }

  /** Answers an error of QEMU's form. */
  refuse(id: Id, oob: boolean, errorClass: string, desc: string): void {
    this.answer(id, oob, () => this.inDialect(errorReply(errorClass, desc)));
  }

  /** A reply of QEMU's form in that of its dialect. */
  inDialect(reply: Reply): Reply {
    return this.#dialect.inDialect(reply);
  }

  /** Answers what is no JSON; `desc` is QEMU's. */
  damaged(desc: string): void {
    this.answer(undefined, false, () => this.#dialect.damage(desc));
  }

  /**
   * The client has gone, or is told to: nothing more is sent to it.
   *
   * @returns the answers of ours whose turn has not come
   */
  leave(): Answer[] {
    this.#left = true;
    const slots = this.#slots.splice(0);
    this.takeFds()?.close();
    return slots.flatMap(({ answer }) => typeof answer === "function" ? [answer] : []);
  }

  /** Sends a reply; our own ones in the style of QEMU's, plain or pretty. */
  #send(reply: Reply, id: Id): void {
    const styled = this.#pretty && isPrettied(reply) ? pretty(reply) : reply;
    for (const part of partsWithId(styled, id)) this.peer.sendReply(part);
  }

  /** Sends every reply whose turn has come. */
  #settle(): void {
    // An answer of ours can bring others: they are sent below, in their turn.
    if (this.#settling) return;
    this.#settling = true;
    let sent = 0;
    for (const slot of this.#slots) {
      const reply = replyIn(slot);
      // It may have been the client's own end.
      if (this.#left) return;
      if (reply === undefined) break;
      this.#send(reply, slot.id);
      sent++;
    }
    if (sent > 0) this.#slots.splice(0, sent);
    this.#settling = false;
    this.#push();
  }

  /** Pushes back while as many commands wait as QEMU would let wait. */
  #push(): void {
    const limit = this.takesOob ? WAITING_LIMIT.withOob : WAITING_LIMIT.inBand;
    // QEMU runs an out-of-band command before it reads on: what is sent behind
    // it is answered behind it.
    const full = this.#slots.length >= limit || this.#oobWaiting;
    if (full === this.#paused) return;
    this.#paused = full;
    if (full) this.peer.pause();
    else this.peer.resume();
  }
}

/** The reply in a slot, which may give it now. */
function replyIn(slot: Slot): Reply | undefined {
  const { answer } = slot;
  if (typeof answer !== "function") return answer;
  slot.answer = undefined;
  return answer(slot) ?? filled(slot);
}

/** Returns the reply that has been put into a slot meanwhile. */
function filled({ answer }: Slot): Reply | undefined {
  return typeof answer === "function" ? undefined : answer;
}
