/**
 * One client: a virtual monitor.
 *
 * It has its own mode, capabilities and event filter. A slot for each pending in-band command
 * keeps the replies in the order of the commands, whether QEMU or qmpmux answers them.
 *
 * @module
 */

import type { ClientEnding } from "../observe/observer.ts";
import type { Tapped } from "../observe/traffic.ts";
import type { EventFilter, EventName } from "../policy/event_filter.ts";
import type { Grant } from "../policy/admission.ts";
import { CLASSIC, type Grammar, grammarOf } from "../wire/grammar.ts";
import {
  type Command,
  type Event,
  type Greeting,
  type Id,
  isPretty,
  readMessage,
  type Reply,
} from "../wire/message.ts";
import type { ClientPeer, Fds } from "../wire/peer.ts";
import { errorReply, partsWithId } from "../wire/reply.ts";
import { type Dialect, DIALECTS, type HandshakeState } from "./dialect.ts";
import type { EventReader } from "./subscription.ts";
import { shortened } from "../wire/shortened.ts";
import { styled } from "./reply_style.ts";
import { type LocalAnswer, replyIn, type Slot, type Ticket, WAITING_LIMIT } from "./slot.ts";

/** The most characters of a command's name that are stored; QEMU's longest name has 38. */
const NAME_CHARS_LIMIT = 64;

/** A client without a hub. */
const NO_TAP: Tapped = { tap: undefined };

/** One client's virtual monitor. */
export class Monitor {
  /** The client's connection. */
  readonly peer: ClientPeer;
  #grant: Grant;
  /** The client's number, from 1, in the order of connecting. */
  readonly number: number;
  /** The time when it connected, in seconds since the start of the hub's clock. */
  readonly since: number;
  /** The number of well-formed commands that it has sent. */
  commands = 0;
  /** The name of its last command; a long one is cut. */
  lastCommand: string | undefined;
  /** Called once when it has left. */
  whenLeft: (() => void) | undefined;
  readonly #dialect: Dialect;
  readonly #tapped: Tapped;
  #greeting: Greeting | undefined;
  #grammar: Grammar = CLASSIC;
  #pretty = false;
  #state: HandshakeState;
  #filter: EventFilter | undefined;
  #reader: EventReader | undefined;
  #slots: Slot[] = [];
  #settling = false;
  /** The received descriptors that no command has used yet. */
  #fds: Fds | undefined;
  #oobWaiting = false;
  #paused = false;
  #ending: ClientEnding | undefined;

  /** Creates the monitor of a new client, before its greeting; a tap takes its messages. */
  constructor(peer: ClientPeer, grant: Grant, number: number, since = 0, tapped: Tapped = NO_TAP) {
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
    this.#tapped = tapped;
    tapped.tap?.take({ side: "client", client: this, kind: "connect" });
  }

  /** The grant of its listener. */
  get grant(): Grant {
    return this.#grant;
  }

  /** Replaces the grant, except for the dialect. */
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

  /** Whether the greeting was sent to the client. Until then nothing is read from the client. */
  get greeted(): boolean {
    return this.#greeting !== undefined;
  }

  /** Whether the client has disconnected or is being disconnected. */
  get left(): boolean {
    return this.#ending !== undefined;
  }

  /** The reason why the client has left, if it has. */
  get ending(): ClientEnding | undefined {
    return this.#ending;
  }

  /** The grammar of its input; fixed when it is greeted. */
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

  /** The dialect's name for its mode. */
  get mode(): string {
    return this.#dialect.modes[this.#state.mode];
  }

  /** The names of its enabled capabilities. */
  get capabilities(): string[] {
    return [...this.#state.capabilities];
  }

  /** The globs of the events that it has chosen; `undefined` if it has not chosen any. */
  get filter(): readonly string[] | undefined {
    return this.#filter?.globs;
  }

  /** Whether it has no pending command. */
  get idle(): boolean {
    return this.#slots.length === 0 && !this.#oobWaiting;
  }

  /** The number of its pending commands. */
  get pending(): number {
    return this.#slots.length + (this.#oobWaiting ? 1 : 0);
  }

  /** The number of its pending in-band commands. */
  get pendingInBand(): number {
    return this.#slots.length;
  }

  /** Sends the greeting of a QEMU that is ready. */
  greet(greeting: Greeting): void {
    const [major, minor] = greeting.version;
    this.#greeting = greeting;
    this.#grammar = grammarOf(major, minor);
    this.#pretty = isPretty(greeting.bytes);
    const offered = this.#offeredBy(greeting);
    this.#state = { ...this.#state, offered };
    const bytes = this.#dialect.greeting(greeting.bytes);
    this.peer.send(bytes);
    this.#tapped.tap?.take({ side: "client", client: this, kind: "greeting", bytes });
  }

  /**
   * Continues with another QEMU, in the same dialect and grammar.
   *
   * @returns whether that QEMU offers all capabilities that the client has enabled
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

  /** Returns `run` if the present mode admits a command, else a function that answers the command. */
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

  /** Stores received descriptors for the next command that uses them, and closes earlier ones. */
  fdsReceived(fds: Fds): void {
    this.#fds?.close();
    this.#fds = fds;
  }

  /** Whether there are received descriptors that no command has used. */
  get hasFds(): boolean {
    return this.#fds !== undefined;
  }

  /** Removes and returns the received descriptors. */
  takeFds(): Fds | undefined {
    const fds = this.#fds;
    this.#fds = undefined;
    return fds;
  }

  /** Sets the client's choice of events, which replaces an earlier one. */
  chooseEvents(filter: EventFilter): void {
    this.#filter = filter;
    this.#reader?.choose(filter);
  }

  /** Lets the client read its events from the log, instead of receiving them as they come. */
  subscribe(reader: EventReader, filter: EventFilter | undefined): void {
    this.#reader?.hold();
    this.#reader = reader;
    this.#filter = filter;
  }

  /** Returns whether the client is sent an event of this name as it comes. */
  wants(name: EventName): boolean {
    return this.#reader === undefined && this.chooses(name);
  }

  /** Returns whether the client gets events of this name: its role and all filters allow it. */
  chooses(name: EventName): boolean {
    const { mode, events } = this.#state;
    if (mode !== "command" || this.left) return false;
    // A subscription takes the place of the events that were enabled one by one.
    if (events !== undefined && !this.#reader && !events.has(name.text)) return false;
    return this.maySee(name) && (this.#filter === undefined || this.#filter.passes(name));
  }

  /** Returns whether the role and the listener allow an event of this name. */
  maySee(name: EventName): boolean {
    const { role, events: shown } = this.grant;
    if (role.events !== undefined && !role.events.passes(name)) return false;
    return shown === undefined || shown.passes(name);
  }

  /** Sends an event. */
  sendEvent(event: Event): void {
    this.peer.send(event.bytes);
    this.#tapped.tap?.take({ side: "client", client: this, kind: "event", event });
  }

  /** Notes that an event has been sent from the log. */
  eventSent(bytes: Uint8Array): void {
    const event = this.#tapped.tap && readMessage(bytes);
    if (event?.kind !== "event") return;
    this.#tapped.tap?.take({ side: "client", client: this, kind: "event", event });
  }

  /** Reserves a place in the order of replies; an out-of-band command needs none. */
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

  /** Supplies a reply, which is sent in its turn, or at once if it is out-of-band. */
  fill(ticket: Ticket, reply: Reply): void {
    if (this.left) return;
    const inDialect = this.inDialect(reply);
    if ("oob" in ticket) {
      this.#oobWaiting = false;
      this.#send(inDialect, ticket.id, true);
      this.#push();
      return;
    }
    ticket.answer = inDialect;
    this.#settle();
  }

  /**
   * Answers a command locally.
   *
   * The answer to an in-band command is called in its turn, so that it sees the effects of
   * earlier commands.
   */
  answer(id: Id, oob: boolean, answer: LocalAnswer): void {
    const slot: Slot = { id, answer };
    if (oob) {
      const reply = replyIn(slot);
      if (reply) this.#send(reply, id, true);
      return;
    }
    this.#slots.push(slot);
    this.#settle();
  }

  /** Answers a command with an error, given in QEMU's form. */
  refuse(id: Id, oob: boolean, errorClass: string, desc: string): void {
    this.answer(id, oob, () => this.inDialect(errorReply(errorClass, desc)));
  }

  /** Converts a reply in QEMU's form to the dialect's form. */
  inDialect(reply: Reply): Reply {
    return this.#dialect.inDialect(reply);
  }

  /** Answers malformed JSON with an error; `desc` is QEMU's error text. */
  damaged(desc: string): void {
    this.answer(undefined, false, () => this.#dialect.damage(desc));
  }

  /**
   * Ends the client's session; nothing more is sent to the client.
   *
   * @returns the local answers that were not sent
   */
  leave(ending: ClientEnding): LocalAnswer[] {
    this.#ending = ending;
    this.#reader?.hold();
    const slots = this.#slots.splice(0);
    this.takeFds()?.close();
    this.whenLeft?.();
    this.#tapped.tap?.take({ side: "client", client: this, kind: "disconnect", ending });
    return slots.flatMap(({ answer }) => typeof answer === "function" ? [answer] : []);
  }

  #send(plain: Reply, id: Id, oob: boolean): void {
    const reply = styled(plain, this.#pretty);
    this.#reader?.hold();
    for (const part of partsWithId(reply, id)) this.peer.sendReply(part);
    this.#tapped.tap?.take({ side: "client", client: this, kind: "reply", reply, id, oob });
    this.#reader?.goOn();
  }

  /** Sends all replies up to the first pending one. */
  #settle(): void {
    // A local answer can add others; the loop below sends them in their turn.
    if (this.#settling) return;
    this.#settling = true;
    let sent = 0;
    for (const slot of this.#slots) {
      const reply = replyIn(slot);
      // The answer may have disconnected the client.
      if (this.left) return;
      if (reply === undefined) break;
      this.#send(reply, slot.id, false);
      sent++;
    }
    if (sent > 0) this.#slots.splice(0, sent);
    this.#settling = false;
    this.#push();
  }

  /** Pauses the client while it has as many pending commands as QEMU would accept, else resumes it. */
  #push(): void {
    const limit = WAITING_LIMIT[this.takesOob ? "withOob" : "inBand"];
    // QEMU runs an out-of-band command before it reads the next command, so it
    // replies to later commands afterwards.
    const full = this.#slots.length >= limit || this.#oobWaiting;
    if (full === this.#paused) return;
    this.#paused = full;
    if (full) this.peer.pause();
    else this.peer.resume();
  }
}
