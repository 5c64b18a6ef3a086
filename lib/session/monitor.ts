/**
 * One client: a virtual monitor.
 *
 * It has its own mode, capabilities and event filter, and a slot for each pending
 * in-band command, so that replies are sent in the order of the commands, however
 * they were obtained.
 *
 * @module
 */

import type { ClientEnding } from "../observe/observer.ts";
import type { EventFilter, EventName } from "../policy/event_filter.ts";
import type { Grant } from "../policy/admission.ts";
import { CLASSIC, type Grammar, grammarOf } from "../wire/grammar.ts";
import { type Command, type Greeting, type Id, isPretty, type Reply } from "../wire/message.ts";
import type { ClientPeer, Fds } from "../wire/peer.ts";
import { errorReply, partsWithId, pretty } from "../wire/reply.ts";
import { type Dialect, DIALECTS, type HandshakeState } from "./dialect.ts";
import { shortened } from "../wire/shortened.ts";

/**
 * In-band commands of one client that may be pending.
 *
 * QEMU reads no further while one runs and eight are queued behind it if `oob` is
 * enabled, and none otherwise (`QMP_REQ_QUEUE_LEN_MAX`, measured).
 */
const WAITING_LIMIT = { inBand: 1, withOob: 9 } as const;

/** Returns a local reply when its turn has come; `undefined` if {@linkcode Monitor.fill} gives it later. */
export type LocalAnswer = (ticket: Ticket) => Reply | undefined;

/** A place in the order of replies. */
export interface Slot {
  /** The id that the reply will carry. */
  readonly id: Id;
  /** The reply, or a function that returns it when its turn has come; `undefined` while it is pending. */
  answer: Reply | LocalAnswer | undefined;
}

/** The place of a pending command's reply. */
export type Ticket = Slot | { readonly id: Id; readonly oob: true };

/** The longest name of a command that is kept: QEMU's longest has 38 characters, a client's can have any length. */
const NAME_CHARS_LIMIT = 64;

/** The longest replies that are converted to the style of `pretty=on`; longer ones would take too long. */
const PRETTY_BYTES_LIMIT = { return: 512 << 10, error: 2 << 20 } as const;

/** Returns whether a reply has to be converted to the style of QEMU's `pretty=on`. */
function isPrettied({ kind, bytes }: Reply): boolean {
  return !isPretty(bytes) && bytes.length <= PRETTY_BYTES_LIMIT[kind];
}

/** One client's virtual monitor. */
export class Monitor {
  /** Its connection. */
  readonly peer: ClientPeer;
  #grant: Grant;
  /** The client's number, from 1, in the order of arrival. */
  readonly number: number;
  /** The time of its arrival, in seconds since the start of the hub's clock. */
  readonly since: number;
  /** The number of well-formed commands that it has sent. */
  commands = 0;
  /** The name of the last of them; a long one is cut. */
  lastCommand: string | undefined;
  readonly #dialect: Dialect;
  #greeting: Greeting | undefined;
  #grammar: Grammar = CLASSIC;
  #pretty = false;
  #state: HandshakeState;
  #filter: EventFilter | undefined;
  #slots: Slot[] = [];
  #settling = false;
  /** Received descriptors that no command has taken yet. */
  #fds: Fds | undefined;
  #oobWaiting = false;
  #paused = false;
  #ending: ClientEnding | undefined;

  /** Creates the monitor of a new client: not greeted, nothing enabled. */
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

  /** The grant of its listener. */
  get grant(): Grant {
    return this.#grant;
  }

  /** Replaces the grant. The dialect of the greeting stays. */
  adopt(grant: Grant): void {
    this.#grant = grant;
  }

  /** The client's name: its listener and its number. */
  get name(): string {
    return `${this.#grant.name}/${this.number}`;
  }

  /** Whether the client is connected to the control socket. */
  get isControl(): boolean {
    return this.#dialect.isControl;
  }

  /** The dialect of its greeting. */
  get dialect(): string {
    return this.#dialect.name;
  }

  /** Whether it has been sent its greeting. Before that nothing is read from it. */
  get greeted(): boolean {
    return this.#greeting !== undefined;
  }

  /** Whether the client has left, or is being closed. */
  get left(): boolean {
    return this.#ending !== undefined;
  }

  /** The reason for which the client has left, if it has. */
  get ending(): ClientEnding | undefined {
    return this.#ending;
  }

  /** The grammar of its bytes, which is settled by its greeting. */
  get grammar(): Grammar {
    return this.#grammar;
  }

  /** Whether QEMU prints with `pretty=on`. */
  get isPretty(): boolean {
    return this.#pretty;
  }

  /** Whether this client has enabled `oob`. */
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

  /** The globs of the events that it chose; `undefined` while it has chosen none. */
  get filter(): readonly string[] | undefined {
    return this.#filter?.globs;
  }

  /** Whether none of its commands is pending. */
  get idle(): boolean {
    return this.#slots.length === 0 && !this.#oobWaiting;
  }

  /** The number of its pending commands. */
  get pending(): number {
    return this.#slots.length + (this.#oobWaiting ? 1 : 0);
  }

  /** Sends the greeting of a QEMU that is ready. */
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
   * Goes on with another QEMU, in the same dialect and grammar.
   *
   * @returns whether it can: that QEMU offers all capabilities that the client has enabled
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

  /** Decides about a command in the present mode: it runs, or the returned function answers it. */
  admit(command: Command): "run" | (() => Reply) {
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

  /** Keeps received descriptors for the command that takes them, in place of any before. */
  fdsReceived(fds: Fds): void {
    this.#fds?.close();
    this.#fds = fds;
  }

  /** Whether received descriptors wait for a command. */
  get hasFds(): boolean {
    return this.#fds !== undefined;
  }

  /** Takes the waiting descriptors. */
  takeFds(): Fds | undefined {
    const fds = this.#fds;
    this.#fds = undefined;
    return fds;
  }

  /** Chooses the client's events, in place of those chosen before. */
  chooseEvents(filter: EventFilter): void {
    this.#filter = filter;
  }

  /** Returns whether this client may and will see an event of this name. */
  wants(name: EventName): boolean {
    const { mode, events } = this.#state;
    if (mode !== "command" || this.left) return false;
    if (events !== undefined && !events.has(name.text)) return false;
    const { role, events: shown } = this.grant;
    if (role.events !== undefined && !role.events.passes(name)) return false;
    if (shown !== undefined && !shown.passes(name)) return false;
    return this.#filter === undefined || this.#filter.passes(name);
  }

  /** Reserves a place in the order of replies, or none for an out-of-band command. */
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

  /** Takes a reply: it is sent when its turn has come, an out-of-band one at once. */
  fill(ticket: Ticket, reply: Reply): void {
    if (this.left) return;
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
   * Answers locally. An in-band answer is called when its turn has come, so that it
   * sees the effects of the commands before it.
   */
  answer(id: Id, oob: boolean, answer: LocalAnswer): void {
    const slot: Slot = { id, answer };
    if (oob) {
      const reply = replyIn(slot);
      if (reply) this.#send(reply, id);
      return;
    }
    this.#slots.push(slot);
    this.#settle();
  }

  /** Answers with an error of QEMU's form. */
  refuse(id: Id, oob: boolean, errorClass: string, desc: string): void {
    this.answer(id, oob, () => this.inDialect(errorReply(errorClass, desc)));
  }

  /** Converts a reply of QEMU's form to that of the dialect. */
  inDialect(reply: Reply): Reply {
    return this.#dialect.inDialect(reply);
  }

  /** Answers malformed JSON; `desc` is QEMU's. */
  damaged(desc: string): void {
    this.answer(undefined, false, () => this.#dialect.damage(desc));
  }

  /**
   * Ends the client's session: nothing more is sent to it.
   *
   * @returns the local answers that have not been sent
   */
  leave(ending: ClientEnding): LocalAnswer[] {
    this.#ending = ending;
    const slots = this.#slots.splice(0);
    this.takeFds()?.close();
    return slots.flatMap(({ answer }) => typeof answer === "function" ? [answer] : []);
  }

  /** Sends a reply; local ones in QEMU's style, plain or pretty. */
  #send(reply: Reply, id: Id): void {
    const styled = this.#pretty && isPrettied(reply) ? pretty(reply) : reply;
    for (const part of partsWithId(styled, id)) this.peer.sendReply(part);
  }

  /** Sends every reply whose turn has come. */
  #settle(): void {
    // A local answer can cause others: they are sent below, in their turn.
    if (this.#settling) return;
    this.#settling = true;
    let sent = 0;
    for (const slot of this.#slots) {
      const reply = replyIn(slot);
      // The answer may have disconnected the client.
      if (this.left) return;
      if (reply === undefined) break;
      this.#send(reply, slot.id);
      sent++;
    }
    if (sent > 0) this.#slots.splice(0, sent);
    this.#settling = false;
    this.#push();
  }

  /** Pushes back while as many commands are pending as QEMU would accept. */
  #push(): void {
    const limit = this.takesOob ? WAITING_LIMIT.withOob : WAITING_LIMIT.inBand;
    // QEMU runs an out-of-band command before it reads on: later commands are
    // answered after it.
    const full = this.#slots.length >= limit || this.#oobWaiting;
    if (full === this.#paused) return;
    this.#paused = full;
    if (full) this.peer.pause();
    else this.peer.resume();
  }
}

/** Returns the reply in a slot, or `undefined` if it is pending. */
function replyIn(slot: Slot): Reply | undefined {
  const { answer } = slot;
  if (typeof answer !== "function") return answer;
  slot.answer = undefined;
  return answer(slot) ?? filled(slot);
}

/** Returns the reply that was put into a slot meanwhile. */
function filled({ answer }: Slot): Reply | undefined {
  return typeof answer === "function" ? undefined : answer;
}
