/**
 * One world: the real hub, simulated clients, a simulated QEMU, simulated time.
 *
 * It plays actions one by one, does what the daemon does with sockets, and passes every message to
 * the model, which throws if a promise is broken.
 *
 * @module
 */

import type { Grant } from "../../lib/policy/admission.ts";
import type { MuxOptions } from "../../lib/hub/mux_options.ts";
import type { ClientPeer, Monitor, Mux, QemuPeer, Source } from "../../lib/mod.ts";
import { grant, options } from "../support/stage.ts";
import {
  type Action,
  COMMAND_LIMIT,
  HANDSHAKE_TIME,
  type Message,
  type Rules,
  type Setting,
  type Spoken,
  STALL_TIME,
} from "./actions.ts";
import type { SimulatedFds } from "./holdings.ts";
import { Broken } from "./broken.ts";
import { checkPending } from "./checks.ts";
import { RUN } from "./journal.ts";
import { Model } from "./model.ts";
import { SimulatedQemu } from "./qemu.ts";
import { GUEST, type SimGrant, written } from "./rules.ts";
import type { Seat } from "./seat.ts";
import { Wire } from "./wire.ts";

/** The code under test. */
export type Core = typeof import("../../lib/mod.ts");

/** The number of queued bytes past which a client is no longer read. */
const SOFT_MARK = 2000;
/** The number of queued bytes past which it is dropped. */
const HARD_MARK = 6000;
/**
 * The number of bytes for which each unread byte stands when qmpmux asks: a client that leaves a
 * kilobyte unread has no room for more events.
 */
const UNREAD_SCALE = 64;
/** The unread bytes above which a client that subscribes has no room for another event. */
const ROOM = 65536;
/** The number of cursors that clients remember. */
const CURSORS = 40;
const DECODER = new TextDecoder();

function bytesOf(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

function optionsOf(rules: Rules): MuxOptions {
  const { onLoss, deadlines, probesWhenIdle, eventLog } = rules;
  const times = { handshakeTime: HANDSHAKE_TIME, stallTime: STALL_TIME };
  return options({ onLoss, deadlines, probesWhenIdle, eventLog, run: RUN, ...times });
}

/** A client with its buffers. */
class SimulatedClient implements ClientPeer {
  readonly seat: Seat;
  monitor!: Monitor;
  paused = false;
  stalled = false;
  /** Whether it will send no more. */
  ended = false;
  /** The bytes that it has not read. */
  left = 0;
  /** The cursors among them. */
  #unreadCursors: string[] = [];
  /** The lines on their way to it, once it subscribes. */
  wire: Wire | undefined;
  /** Text that has not arrived. */
  outbox = "";
  /** The values that the splitter must find, in order. */
  readonly spoken: Spoken[] = [];
  #at = 0;
  /** The number of characters that have arrived. */
  #arrived = 0;
  #said = 0;
  /** The positions, among all its characters, at which descriptors are sent. */
  #withFds: number[] = [];
  #ahead: { bytes: Uint8Array; fds: string | undefined }[] = [];
  #splitter: InstanceType<Core["FrameSplitter"]> | undefined;
  readonly #world: World;

  constructor(world: World, seat: Seat) {
    this.#world = world;
    this.seat = seat;
  }

  send(bytes: Uint8Array): void {
    // An event and its bookmark may be sent together.
    const [line, mark] = DECODER.decode(bytes).split(
      /(?=\{"timestamp": .*"__org.qmpmux_BOOKMARK")/,
    );
    this.#send(line!);
    if (mark !== undefined) this.#send(mark);
  }

  #send(text: string): void {
    const plain = this.#plain(text);
    const { wire } = this;
    if (plain === this.seat.farewell) {
      this.seat.farewell = undefined;
      return wire?.reply(plain, undefined);
    }
    const isEvent = wire !== undefined && plain.startsWith('{"timestamp"');
    if (isEvent && this.unread > ROOM && !plain.includes("BOOKMARK")) {
      throw new Broken("bounds", `${this.seat.label} has no room, but was sent ${text}`);
    }
    if (this.stalled) this.left += text.length;
    if (isEvent) return wire.event(plain);
    this.#world.tell(`${this.seat.label}< `, text);
    // The reply may show the place that the client has reached.
    wire?.told();
    this.#world.model.replies.heard(this.seat, plain);
    const { change } = this.seat;
    this.seat.change = undefined;
    if (wire !== undefined) wire.reply(plain, change);
    else if (change?.begins !== undefined) {
      this.wire = new Wire(change.begins, this.#world.model.journal, this.#eventLeft);
    }
  }

  sendFrom(source: Source): void {
    this.wire!.source(source);
  }

  readonly #eventLeft = (text: string, cursor: string | undefined): void => {
    this.#world.tell(`${this.seat.label}< `, text);
    if (cursor === undefined) return;
    if (this.stalled) this.#unreadCursors.push(cursor);
    else this.#world.remember([cursor]);
  };

  /** Lets some lines of its sources leave, or all. */
  sip(lines: number): void {
    this.wire?.flow(lines, (text) => this.#plain(text));
  }

  /** Reads everything. */
  readOn(): void {
    this.stalled = false;
    this.left = 0;
    this.#world.remember(this.#unreadCursors.splice(0));
    this.read();
  }

  /** The unread bytes as qmpmux sees them. */
  get unread(): number {
    return this.left * UNREAD_SCALE;
  }

  sendReply(bytes: Uint8Array): void {
    this.send(bytes);
  }

  /** Returns a line in the form of a QEMU that is not pretty. */
  #plain(text: string): string {
    const plain = this.#world.qemu.pretty ? written(text, false) : text;
    // Lines of qmpmux's own are always plain.
    const own = plain.includes('"event": "__') || plain.includes('["async messages"]');
    if (this.#world.qemu.pretty && !own && written(text, true) !== text) {
      throw new Broken("bytes", `${this.seat.label} got a reply that is not pretty: ${text}`);
    }
    return plain;
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
    this.#world.resumed.add(this);
  }

  close(reason: string): void {
    this.#world.tell(`${this.seat.label}< `, "EOF");
    this.#world.model.closed(this.seat, reason);
    this.wire?.close(this.seat.lastEvent);
  }

  get behind(): boolean {
    return this.left > SOFT_MARK;
  }

  say(messages: readonly Message[]): void {
    if (this.ended) return;
    for (const { text, spoken, fds } of messages) {
      if (fds !== undefined) this.#withFds.push(this.#said + fds);
      this.#said += text.length;
      this.outbox += text;
      this.spoken.push(...spoken);
    }
  }

  flow(count: number): void {
    const chunk = this.outbox.slice(0, count);
    if (chunk === "") return;
    this.outbox = this.outbox.slice(count);
    // The kernel ends a read at descriptors: they are received with the first byte of a read.
    for (let rest = chunk; rest !== "";) {
      const fds = this.#withFds[0] === this.#arrived ? this.#world.newFds(this.seat) : undefined;
      if (fds !== undefined) this.#withFds.shift();
      const next = Math.min(rest.length, (this.#withFds[0] ?? Infinity) - this.#arrived);
      const bytes = bytesOf(rest.slice(0, next));
      rest = rest.slice(next);
      this.#arrived += next;
      this.#world.tell(`${this.seat.label}> `, bytes);
      this.#ahead.push({ bytes, fds });
    }
    this.read();
  }

  /** Passes on as much as the monitor accepts. */
  read(): void {
    while (!this.paused && !this.behind && this.#next());
  }

  #next(): boolean {
    const { core, mux, model } = this.#world;
    if (this.#splitter === undefined) {
      this.#splitter = new core.FrameSplitter(this.monitor.grammar);
      this.#splitter.limit = COMMAND_LIMIT;
    }
    const input = this.#splitter.next();
    if (input !== undefined) {
      if (this.seat.closed) {
        // Bytes that were sent earlier are still read, without an effect.
        mux.received(this.monitor, input);
        return true;
      }
      model.read(this.seat, this.spoken[this.#at++], "damage" in input);
      mux.received(this.monitor, input);
      model.readDone(this.seat);
      return true;
    }
    const chunk = this.#ahead.shift();
    if (chunk === undefined) return false;
    if (chunk.fds !== undefined) {
      mux.fdsReceived(this.monitor, model.fdsReceived(this.seat, chunk.fds));
    }
    this.#splitter.load(chunk.bytes);
    return true;
  }

  /** Whether everything that it sent has been read. */
  get heardOut(): boolean {
    return this.#at === this.spoken.length;
  }
}

/** A world; `trace` records the conversation. */
export class World {
  readonly core: Core;
  readonly mux: Mux;
  readonly model: Model;
  readonly qemu: SimulatedQemu;
  readonly clients = new Map<number, SimulatedClient>();
  /** Cursors that clients have read. */
  readonly cursors: string[] = [];
  /** Clients that are read when the step is over. */
  readonly resumed = new Set<SimulatedClient>();
  /** The conversation, in the notation of transcripts. */
  readonly lines: string[] = [];
  now = 0;
  drained = false;
  #splitter!: InstanceType<Core["MessageSplitter"]>;
  #nonce = 1000;
  #fdMessages = 0;
  #attached = 0;
  #over: Monitor[] = [];
  #closed: string | undefined;
  readonly #trace: boolean;

  constructor(core: Core, setting: Setting, trace = false) {
    this.core = core;
    this.#trace = trace;
    this.qemu = new SimulatedQemu(setting.pretty);
    this.model = new Model(setting, this.qemu, ({ name }) => this.#note(`! closed ${name}`));
    const { onLoss, deadlines, probesWhenIdle } = setting;
    if (trace) {
      this.lines.push("! no qemu");
      if (onLoss === "hold") this.lines.push("! hold");
      if (probesWhenIdle) this.lines.push("! probes when idle");
      for (const { glob, seconds } of deadlines) this.lines.push(`! deadline ${glob} ${seconds}`);
    }
    this.mux = new core.Mux(
      optionsOf(setting),
      {
        ready: (): void => {},
        lost: (): void => {},
        stalled: (stalled): void => {
          if (this.#trace) this.lines.push(`! notice ${stalled ? "stalled" : "answers"}`);
          this.model.link.notice(stalled);
        },
        reload: (done): void => done([]),
        idle: (): void => this.model.idle(),
        failed: (where, error): void => {
          if (error instanceof Broken) throw error;
          throw new Broken("errors", `an error occurred (${where}): ${(error as Error).stack}`);
        },
      },
      { observers: [this.model.records] },
    );
  }

  /** Delivers descriptors; returns their name. */
  newFds({ label }: Seat): string {
    const name = `c${++this.#fdMessages}`;
    this.#note(`${label}+ ${name}`);
    return name;
  }

  /** Records a message for the trace. */
  tell(who: string, said: string | Uint8Array): void {
    if (!this.#trace) return;
    const text = typeof said === "string" ? said : DECODER.decode(said);
    this.lines.push(who + text.trimEnd());
  }

  #note(text: string): void {
    if (this.#trace) this.lines.push(text);
  }

  /** Plays one step; @throws Broken if a promise is broken */
  play(action: Action): void {
    this.#do(action);
    this.#catchUp();
    this.model.stepDone(this.#paused);
    for (const { wire } of this.clients.values()) wire?.stepDone();
    const counts = this.mux.administered.inFlight();
    for (const { seat, monitor } of this.clients.values()) {
      if (!seat.closed) checkPending(seat, monitor.pending, counts.get(monitor) ?? 0);
    }
    const left = this.#attached - this.mux.monitors.size;
    if (this.model.records.left !== left) {
      throw new Broken(
        "records",
        `${left} clients have disconnected, not ${this.model.records.left}`,
      );
    }
    const { waiting, inFlight } = this.mux.status();
    if (waiting + inFlight === 0) this.model.atRest();
  }

  /** Whether a connected client subscribes. */
  get isSubscribed(): boolean {
    for (const { wire, seat } of this.clients.values()) {
      if (wire !== undefined && !seat.closed) return true;
    }
    return false;
  }

  readonly #paused = (who: number): boolean => this.clients.get(who)!.paused;

  /** Remembers cursors that a client has read; each client may use them. */
  remember(cursors: readonly string[]): void {
    this.cursors.push(...cursors);
    if (this.cursors.length > CURSORS) this.cursors.splice(CURSORS / 2, 1);
  }

  /** Acts as the daemon does when the core has finished. */
  #catchUp(): void {
    if (this.#closed !== undefined) this.#lose(this.#closed);
    // The daemon detaches it once more when its socket is closed.
    for (const monitor of this.#over.splice(0)) this.mux.detached(monitor);
    while (this.resumed.size > 0) {
      for (const client of this.resumed) {
        this.resumed.delete(client);
        client.read();
      }
    }
    for (const client of this.clients.values()) if (!client.stalled) client.sip(Infinity);
    for (const [who, client] of this.clients) {
      if (client.left > HARD_MARK && !client.seat.closed) this.#leave(who);
    }
    for (const [who, client] of this.clients) {
      if (client.ended && !client.seat.closed && this.#isDone(client)) this.#leave(who);
    }
  }

  /**
   * Returns whether a client that will send no more has got everything. QEMU drops the rest if
   * `oob` is on.
   */
  #isDone({ monitor, heardOut }: SimulatedClient): boolean {
    return monitor.takesOob || (heardOut && monitor.idle && monitor.greeted);
  }

  #do(action: Action): void {
    const { qemu } = this;
    switch (action.do) {
      case "connect":
        return this.#connect(action.who, action.grant);
      case "leave":
        return this.#leave(action.who);
      case "say":
        return this.clients.get(action.who)?.say(action.messages);
      case "flow":
        return this.clients.get(action.who)?.flow(action.bytes);
      case "stall": {
        const client = this.clients.get(action.who);
        if (client === undefined) return;
        client.stalled = action.stalled;
        return action.stalled ? undefined : client.readOn();
      }
      case "sip":
        return this.clients.get(action.who)?.sip(action.lines);
      case "end": {
        const client = this.clients.get(action.who);
        if (client !== undefined && client.outbox === "") client.ended = true;
        return;
      }
      case "retune":
        this.#note(`# on-loss=${action.rules.onLoss} from now on`);
        this.model.retune(action.rules);
        return this.mux.adopt(optionsOf(action.rules));
      case "adopt":
        return this.#adopt(action.who, action.grant);
      case "run":
        return qemu.run(action.fails, action.shape, action.event);
      case "defy":
        return this.model.ready ? qemu.defy(action.shape) : undefined;
      case "event":
        return this.model.ready ? qemu.event(action.name) : undefined;
      case "hear":
        return qemu.connected ? this.#hear(action.bytes) : undefined;
      case "lose":
        return qemu.connected ? this.#lose("QEMU disconnected") : undefined;
      case "arrive":
        return this.#arrive(action);
      case "junk":
        return qemu.connected ? qemu.junk(action.text) : undefined;
      case "stale":
        return qemu.connected && qemu.oob ? qemu.stale() : undefined;
      case "tick":
        this.now += action.by;
        this.#note(`! tick ${this.now}`);
        this.model.tick(this.now);
        this.mux.tick(this.now);
        this.model.tickDone();
        return this.model.bounds(this.mux.status().waiting);
      case "settle":
        return this.#settle();
      case "drain":
        if (this.drained) return;
        this.drained = true;
        this.model.drain();
        this.#note("! drain");
        return this.mux.drain();
    }
  }

  #grant({ name, role, dialect, events, caches, joins }: SimGrant): Grant {
    const { ROLES, EventFilter, readRole } = this.core;
    const made = role === "guest" ? readRole(GUEST, "simulation") : ROLES.get(role)!;
    const filter = events && new EventFilter(events);
    return { ...grant({ name, dialect, caches, joins }), role: made, events: filter };
  }

  #connect(who: number, simTerms: SimGrant): void {
    if (this.clients.get(who)?.seat.closed === false) return;
    const { role, dialect, events, caches, joins } = simTerms;
    const words = [
      `role=${role}`,
      `dialect=${dialect}`,
      ...(events ? [`events=${events.join("+")}`] : []),
    ];
    if (!caches) words.push("cache=off");
    if (!joins) words.push("join=off");
    const seat = this.model.attach(who, simTerms);
    this.#note(`! connect ${seat.label} ${words.join(" ")}`);
    const client = new SimulatedClient(this, seat);
    this.clients.set(who, client);
    this.#attached++;
    client.monitor = this.mux.attach(client, this.#grant(simTerms));
  }

  #leave(who: number): void {
    const client = this.clients.get(who);
    if (client === undefined) return;
    this.clients.delete(who);
    this.#note(`! leave ${client.seat.label}`);
    this.model.left(who);
    client.seat.closed = client.seat.mustClose = true;
    this.mux.detached(client.monitor);
    this.#over.push(client.monitor);
  }

  #adopt(who: number, simTerms: SimGrant): void {
    const client = this.clients.get(who);
    if (client === undefined || client.seat.closed) return;
    // It keeps the dialect of its greeting.
    const adopted = { ...simTerms, dialect: client.seat.grant.dialect };
    this.#note(`# ${client.seat.label} continues with role=${adopted.role}`);
    this.model.adopt(who, adopted);
    client.monitor.adopt(this.#grant(adopted));
  }

  #arrive(action: Action & { do: "arrive" }): void {
    const { qemu } = this;
    if (qemu.connected) return;
    const { fresh, version, oob, slips, refuses, stale } = action;
    qemu.arrive(fresh, version, oob, refuses);
    if (slips) qemu.event("RESET");
    qemu.greet();
    if (stale && qemu.oob) qemu.stale();
    this.#splitter = new this.core.MessageSplitter();
    const nonce = String(++this.#nonce);
    this.#note("! qemu arrives");
    this.model.link.arrive(nonce);
    const upstream: QemuPeer = {
      send: (bytes, fds) => {
        const text = DECODER.decode(bytes);
        const along = fds as SimulatedFds | undefined;
        this.tell(along ? `q< +${along.name} ` : "q< ", text);
        const exec = this.#received(text, along);
        this.model.toQemu(
          exec?.oob === undefined ? this.model.inFlight.asAsked(text) : text,
          exec,
          along,
        );
        if (exec?.oob !== undefined) this.qemu.overtake(exec);
      },
      close: ({ text }) => {
        this.#note("q< EOF");
        this.model.link.closed();
        this.#closed = text;
      },
    };
    this.mux.qemuArrived(upstream, nonce);
  }

  /** Handles a message to QEMU. */
  #received(
    text: string,
    fds: SimulatedFds | undefined,
  ): ReturnType<SimulatedQemu["received"]> {
    if (this.#closed !== undefined || !this.qemu.connected) {
      throw new Broken("loss", `QEMU was sent ${text} after the connection closed`);
    }
    const exec = this.qemu.received(text, fds);
    if (exec !== undefined) exec.text = this.model.inFlight.asAsked(exec.text);
    return exec;
  }

  #lose(reason: string): void {
    this.#closed = undefined;
    this.qemu.lose();
    this.#note("! qemu goes");
    this.model.lost(reason);
    this.mux.qemuLeft(reason);
    this.#told();
  }

  /** Notes that qmpmux has handled the events that have come. */
  #told(): void {
    for (const { wire } of this.clients.values()) wire?.told();
    this.model.journal.handled();
  }

  #hear(count: number): void {
    const { qemu } = this;
    const chunk = qemu.wire.slice(0, count);
    qemu.wire = qemu.wire.slice(count);
    this.#splitter.load(bytesOf(chunk));
    for (let input = this.#splitter.next(); input !== undefined; input = this.#splitter.next()) {
      const said = qemu.out.shift();
      if (said === undefined) throw new Broken("bytes", "QEMU has not sent that many messages");
      this.tell("q> ", said.wire);
      if (!("damage" in input) && DECODER.decode(input).trim() !== said.wire.trim()) {
        throw new Broken("bytes", `QEMU sent ${said.text}, but it was read differently`);
      }
      this.model.fromQemu(said);
      this.mux.answered(input);
      this.#told();
      this.model.heardDone();
      if (this.#closed !== undefined) return;
    }
    if (qemu.wire === "" && qemu.out[0]?.kind === "end") this.#lose("QEMU disconnected");
  }

  /** Lets all pending work finish. */
  #settle(): void {
    const { qemu } = this;
    for (let round = 0; round < 2000; round++) {
      if (!qemu.connected) {
        this.#arrive({
          do: "arrive",
          fresh: true,
          version: qemu.version,
          oob: qemu.oob,
          slips: false,
          refuses: false,
          stale: false,
        });
      }
      let moved = qemu.queue.length > 0 || qemu.out.length > 0 || qemu.wire !== "";
      qemu.run(false, 0, "");
      this.#hear(Infinity);
      this.#catchUp();
      for (const client of this.clients.values()) {
        if (client.seat.closed) continue;
        if (client.stalled) {
          moved = true;
          client.readOn();
        }
        moved ||= client.outbox !== "";
        client.flow(Infinity);
      }
      this.#catchUp();
      if (!moved && this.model.ready) return this.#settled();
    }
    throw new Broken("none lost", "it never becomes idle");
  }

  #settled(): void {
    for (const { seat, heardOut } of this.clients.values()) {
      if (!seat.closed && !heardOut) {
        throw new Broken("none lost", `${seat.label} sent bytes that were never read`);
      }
    }
    this.model.settled(this.mux.status());
  }
}
