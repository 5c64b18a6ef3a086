/**
 * The lines of one hub in a recording.
 *
 * QEMU answers the in-band commands of a client in their order, and qmpmux does so too. So the
 * commands of each client that have no reply yet are a queue, and each reply belongs to the first.
 *
 * @module
 */

import type { Command, Id, Reply } from "../wire/message.ts";
import type { Output } from "../wire/output.ts";
import {
  clientMembers,
  damageMembers,
  type Heads,
  headsOf,
  type Line,
  MEMBERS,
  type ProgramOf,
  putSeconds,
} from "./line_members.ts";
import type {
  ClientTraffic,
  QemuTraffic,
  TappedAsker,
  TappedClient,
  TappedRequest,
  Traffic,
  TrafficFilter,
  TrafficSource,
} from "./traffic.ts";
import { jsonOf, plain, type TrafficTexts } from "./traffic_texts.ts";

/** The parts of a recording that its hubs share. */
export interface LinesDeps {
  /** The choice of traffic. */
  readonly filter: TrafficFilter;
  /** Writes the texts of messages. */
  readonly texts: TrafficTexts;
  /** Members that begin each line, in ASCII. */
  readonly prefix: string;
  /** Returns the name of a program by its process id, if it can. */
  readonly programOf: ProgramOf;
  /** Returns the number of the present file. */
  file(): number;
  /** Whether a reply and its command are one line, and QEMU's side of them is left out. */
  readonly isBrief: boolean;
  /** Begins a line with its time; the other members are written into what it returns. */
  begin(now: number): Output;
  /** Ends the line; returns its number in the present file, or 0 if it was dropped. */
  end(): number;
}

/** A client's command without a reply. */
interface Pending extends Line {
  /** The command; `undefined` for malformed input. */
  readonly command: Command | undefined;
  /** The command as it is recorded. */
  readonly bytes: Uint8Array | undefined;
  /** The time at which it arrived. */
  readonly at: number;
  /** The time at which it was sent to QEMU. */
  sentAt: number | undefined;
  /** The time of QEMU's reply. */
  answeredAt: number | undefined;
}

/** A client that is recorded. */
interface ClientQueue {
  /** The members that begin its lines. */
  readonly heads: Heads;
  /** Its in-band commands without a reply, in their order; `undefined` is one that is not recorded. */
  readonly inBand: (Pending | undefined)[];
  /** Its out-of-band command without a reply. */
  oob: Pending | undefined;
}

/** A command at QEMU without a reply. */
interface Sent extends Line {
  /** The time at which it was sent. */
  readonly at: number;
  /** The commands that its reply answers. */
  readonly answers: readonly Pending[];
}

/** The number of a line that is not written. */
const UNWRITTEN: Line = { number: 0, file: 0 };

/** Writes the traffic of one hub. */
export class SourceLines {
  readonly #deps: LinesDeps;
  readonly #clients = new Map<TappedClient, ClientQueue>();
  readonly #sent = new Map<TappedRequest, Sent>();
  readonly #heads: Heads;
  #handshake: Line | undefined;
  /** The greeting of the present QEMU. */
  #greeting: Uint8Array | undefined;
  /** The time of the present traffic. */
  #now = 0;

  /** Creates a writer of what a hub does from now on. */
  constructor(source: TrafficSource, deps: LinesDeps) {
    this.#deps = deps;
    this.#heads = headsOf(`${deps.prefix}"side":"qemu",`, '"for":[');
    this.#greeting = source.greeting;
    for (const client of source.clients) {
      if (this.#takes(client)) this.#add(client, client.pendingInBand);
    }
  }

  #add(client: TappedClient, pendingInBand: number): ClientQueue {
    const side = `"side":"client","client":${jsonOf(client.name)},`;
    const inBand = Array.from({ length: pendingInBand }, () => undefined);
    const queue = { heads: headsOf(this.#deps.prefix + side), inBand, oob: undefined };
    this.#clients.set(client, queue);
    return queue;
  }

  /** The greeting of the present QEMU, if there is one. */
  get greeting(): Uint8Array | undefined {
    return this.#greeting;
  }

  /** Writes what is there at the beginning of a file: QEMU's greeting, and the clients. */
  begin(now: number): void {
    this.#now = now;
    if (this.#greeting !== undefined) this.#greet(this.#heads, this.#greeting);
    const { programOf } = this.#deps;
    for (const [client, { heads }] of this.#clients) {
      this.#connect(heads, clientMembers(client, programOf));
    }
  }

  /**
   * Writes a line for traffic that was chosen.
   *
   * @param now its time
   * @param described the members that describe a client that has connected
   */
  write(traffic: Traffic, now: number, described = ""): void {
    this.#now = now;
    if (traffic.side === "qemu") return this.#takeQemus(traffic);
    const { client } = traffic;
    if (traffic.kind === "connect") {
      if (this.#takes(client)) this.#connect(this.#add(client, 0).heads, described);
      return;
    }
    const queue = this.#clients.get(client);
    if (queue !== undefined) this.#takeClients(traffic, queue);
  }

  #takes({ name }: TappedClient): boolean {
    return this.#deps.filter.client?.(name) ?? true;
  }

  #connect(heads: Heads, described: string): void {
    this.#write(heads, `"kind":"connect",${described}`);
  }

  #takeClients(traffic: ClientTraffic, queue: ClientQueue): void {
    const { filter, texts } = this.#deps;
    const { heads } = queue;
    switch (traffic.kind) {
      case "disconnect":
        this.#clients.delete(traffic.client);
        if (this.#deps.isBrief) this.#tellUnanswered(queue);
        this.#write(heads, `"kind":"disconnect","reason":"${traffic.ending}"`);
        return;
      case "greeting":
        return this.#greet(heads, traffic.bytes);
      case "event": {
        const { event } = traffic;
        if (!(filter.event?.(event.name) ?? true)) return;
        texts.event(this.#begin(heads.event), event);
        this.#end();
        return;
      }
      case "damage":
        return expect(queue, this.#damage(heads, traffic.reason, traffic.length), traffic.oob);
      case "command": {
        const { command, bytes } = traffic;
        return expect(queue, this.#command(heads, command, bytes), command.oob);
      }
      case "reply": {
        const pending = traffic.oob ? queue.oob : queue.inBand.shift();
        if (traffic.oob) queue.oob = undefined;
        if (pending !== undefined) this.#reply(heads, pending, traffic.reply, traffic.id);
      }
    }
  }

  #command(heads: Heads, command: Command, bytes: Uint8Array): Pending | undefined {
    const { filter, isBrief } = this.#deps;
    if (!(filter.command?.(command.name) ?? true)) return undefined;
    const line = isBrief ? UNWRITTEN : this.#writeCommand(heads, command, bytes);
    return {
      number: line.number,
      file: line.file,
      command,
      bytes,
      at: this.#now,
      sentAt: undefined,
      answeredAt: undefined,
    };
  }

  #writeCommand(heads: Heads, command: Command, bytes: Uint8Array): Line {
    const out = this.#begin(heads.command);
    this.#deps.texts.command(out, command, bytes, command.id);
    return this.#end();
  }

  #damage(heads: Heads, reason: string, length?: number): Pending | undefined {
    if (this.#deps.filter.command !== undefined) return undefined;
    const members = damageMembers(reason, length);
    const { number, file } = this.#write(heads, `"dir":">","kind":"damage",${members}`);
    const noCommand = { command: undefined, bytes: undefined };
    return { number, file, ...noCommand, at: this.#now, sentAt: undefined, answeredAt: undefined };
  }

  #reply(heads: Heads, pending: Pending, reply: Reply, id: Id): void {
    const { texts } = this.#deps;
    const { command, bytes, at, sentAt, answeredAt } = pending;
    const out = this.#begin(heads.reply);
    // The command may have no line, or one in an earlier file.
    if (command && bytes && !this.#isPresent(pending)) {
      putSeconds(out, MEMBERS.ago, this.#now - at);
      out.append(MEMBERS.command);
      texts.commandValue(out, command, bytes);
      out.append(MEMBERS.comma);
    } else this.#of(out, pending);
    putSeconds(out, MEMBERS.wait, (sentAt ?? this.#now) - at);
    if (sentAt !== undefined && answeredAt !== undefined) {
      putSeconds(out, MEMBERS.run, answeredAt - sentAt);
    }
    if (command) texts.reply(out, reply, id, command);
    else texts.damageReply(out, reply);
    this.#end();
  }

  /** Writes the unanswered commands of a client that has disconnected. */
  #tellUnanswered({ heads, inBand, oob }: ClientQueue): void {
    for (const pending of [...inBand, oob]) {
      if (pending?.command === undefined || pending.bytes === undefined) continue;
      this.#writeCommand(heads, pending.command, pending.bytes);
    }
  }

  #takeQemus(traffic: QemuTraffic): void {
    const { filter, texts } = this.#deps;
    switch (traffic.kind) {
      case "greeting":
        this.#greeting = traffic.bytes;
        return this.#greet(this.#heads, traffic.bytes);
      case "handshake":
        plain(this.#toQemu([]), traffic.bytes);
        this.#handshake = this.#end();
        return;
      case "command":
        return this.#request(traffic.request, traffic.askers);
      case "reply":
        return this.#answer(traffic.request, traffic.reply);
      case "event": {
        const { event } = traffic;
        if (!(filter.event?.(event.name) ?? true)) return;
        texts.event(this.#begin(this.#heads.event), event);
        this.#end();
        return;
      }
      case "damage":
        this.#write(
          this.#heads,
          `"dir":"<","kind":"damage",${damageMembers(traffic.reason, traffic.length)}`,
        );
        return;
      case "disconnect":
        this.#sent.clear();
        this.#handshake = this.#greeting = undefined;
        this.#write(this.#heads, `"kind":"disconnect","reason":${jsonOf(traffic.reason)}`);
    }
  }

  #greet({ all }: Heads, greeting: Uint8Array): void {
    const out = this.#deps.begin(this.#now);
    out.utf8(`${all}"dir":"<","kind":"greeting",`);
    plain(out, greeting);
    this.#end();
  }

  #request(request: TappedRequest, askers: readonly TappedAsker[]): void {
    const { filter, texts, isBrief } = this.#deps;
    const { command } = request;
    const at = this.#now;
    const answers: Pending[] = [];
    let isChosen = filter.client === undefined;
    for (const asker of askers) {
      const queue = this.#clients.get(asker.monitor);
      if (queue === undefined) continue;
      isChosen = true;
      const pending = pendingOf(queue, asker.command);
      if (pending === undefined) continue;
      pending.sentAt = at;
      answers.push(pending);
    }
    const isShown = isChosen && !(isBrief && askers.length > 0) &&
      (filter.command?.(command.name) ?? true);
    if (!isShown && answers.length === 0) return;
    let line = UNWRITTEN;
    if (isShown) {
      texts.command(this.#toQemu(answers), command, command.bytes, undefined);
      line = this.#end();
    }
    this.#sent.set(request, { number: line.number, file: line.file, at, answers });
  }

  #answer(request: TappedRequest | undefined, reply: Reply): void {
    const { texts, filter } = this.#deps;
    if (request === undefined) {
      const line = this.#handshake;
      this.#handshake = undefined;
      if (filter.command !== undefined || filter.client !== undefined) return;
      const out = this.#begin(this.#heads.reply);
      if (line) this.#of(out, line);
      texts.reply(out, reply, undefined, undefined);
      this.#end();
      return;
    }
    const sent = this.#sent.get(request);
    if (sent === undefined) return;
    this.#sent.delete(request);
    for (const pending of sent.answers) pending.answeredAt = this.#now;
    // A line that was not chosen has no reply either, but one that was dropped has.
    if (sent.file === 0) return;
    const out = this.#begin(this.#heads.reply);
    this.#of(out, sent);
    putSeconds(out, MEMBERS.run, this.#now - sent.at);
    texts.reply(out, reply, undefined, request.command);
    this.#end();
  }

  /** Begins the line of a command to QEMU, which names the lines of the clients' commands. */
  #toQemu(answers: readonly Line[]): Output {
    const out = this.#begin(this.#heads.command);
    let isFirst = true;
    for (const each of answers) {
      if (!this.#isPresent(each)) continue;
      if (!isFirst) out.append(MEMBERS.comma);
      isFirst = false;
      out.integer(each.number);
    }
    out.append(MEMBERS.listEnd);
    return out;
  }

  #begin(head: Output): Output {
    const out = this.#deps.begin(this.#now);
    out.append(head);
    return out;
  }

  /** Writes a line of a rare kind. */
  #write({ all }: Heads, members: string): Line {
    this.#deps.begin(this.#now).utf8(all + members);
    return this.#end();
  }

  #end(): Line {
    return { number: this.#deps.end(), file: this.#deps.file() };
  }

  /** Returns whether a line is in the present file. */
  #isPresent({ number, file }: Line): boolean {
    return number > 0 && file === this.#deps.file();
  }

  /** Writes the member that names a line, if that is in the present file. */
  #of(out: Output, line: Line): void {
    if (!this.#isPresent(line)) return;
    out.append(MEMBERS.of);
    out.integer(line.number);
    out.append(MEMBERS.comma);
  }
}

/** Returns the pending command of a client that is this one. */
function pendingOf({ inBand, oob }: ClientQueue, command: Command): Pending | undefined {
  if (command.oob) return oob;
  for (const each of inBand) if (each?.command === command) return each;
  return undefined;
}

/** Queues a command, or malformed input, that will be answered. */
function expect(queue: ClientQueue, pending: Pending | undefined, oob: boolean): void {
  if (oob) queue.oob = pending;
  else queue.inBand.push(pending);
}
