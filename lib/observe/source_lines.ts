/**
 * The lines of one hub in a recording.
 *
 * QEMU answers the in-band commands of a client in their order, and qmpmux does so too. So the
 * commands of each client that have no reply yet are a queue, and each reply belongs to the first.
 *
 * @module
 */

import { printable } from "../wire/printable.ts";
import type { Command, Id, Reply } from "../wire/message.ts";
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
import { jsonOf, plain, type TextMembers, type TrafficTexts } from "./traffic_texts.ts";

/** The parts of a recording that its hubs share. */
export interface LinesDeps {
  /** The choice of traffic. */
  readonly filter: TrafficFilter;
  /** Writes the texts of messages. */
  readonly texts: TrafficTexts;
  /** Members that begin each line. */
  readonly prefix: string;
  /** Returns the name of a program by its process id, if it can. */
  readonly programOf: ProgramOf;
  /** Returns the number of the present file. */
  file(): number;
  /** Whether a reply and its command are one line, and QEMU's side of them is left out. */
  readonly isBrief: boolean;
  /** Writes a line with these JSON members; returns its number in the present file, or 0 if it was dropped. */
  write(members: string, now: number): number;
}

/** A function that returns the name of a program by its process id, if it can. */
export type ProgramOf = ((pid: number) => string | undefined) | undefined;

/** A line that others may name. */
interface Line {
  /** Its number; 0 if it was not written. */
  readonly number: number;
  /** The number of its file. */
  readonly file: number;
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
  sentAt?: number;
  /** The time of QEMU's reply. */
  answeredAt?: number;
}

/** The commands of a client without a reply; `undefined` is one that is not recorded. */
interface ClientQueue {
  /** The in-band ones, in their order. */
  readonly inBand: (Pending | undefined)[];
  /** The out-of-band one. */
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
  #handshake: Line | undefined;
  /** The greeting of the present QEMU. */
  #greeting: Uint8Array | undefined;
  /** The time of the present traffic. */
  #now = 0;

  /** Creates a writer of what a hub does from now on. */
  constructor(source: TrafficSource, deps: LinesDeps) {
    this.#deps = deps;
    this.#greeting = source.greeting;
    for (const client of source.clients) {
      if (!this.#takes(client)) continue;
      const inBand = Array.from({ length: client.pendingInBand }, () => undefined);
      this.#clients.set(client, { inBand, oob: undefined });
    }
  }

  /** The greeting of the present QEMU, if there is one. */
  get greeting(): Uint8Array | undefined {
    return this.#greeting;
  }

  /** Writes what is there at the beginning of a file: QEMU's greeting, and the clients. */
  begin(now: number): void {
    this.#now = now;
    if (this.#greeting !== undefined) this.#qemuSays("greeting", "", plain(this.#greeting));
    const { programOf } = this.#deps;
    for (const client of this.#clients.keys()) {
      this.#connect(client, clientMembers(client, programOf));
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
      if (!this.#takes(client)) return;
      this.#clients.set(client, { inBand: [], oob: undefined });
      return this.#connect(client, described);
    }
    const queue = this.#clients.get(client);
    if (queue !== undefined) this.#takeClients(traffic, queue);
  }

  #takes({ name }: TappedClient): boolean {
    return this.#deps.filter.client?.(name) ?? true;
  }

  #connect(client: TappedClient, described: string): void {
    this.#ofClient(client, `"kind":"connect",${described}`);
  }

  #takeClients(traffic: ClientTraffic, queue: ClientQueue): void {
    const { client } = traffic;
    const { filter, texts } = this.#deps;
    switch (traffic.kind) {
      case "disconnect":
        this.#clients.delete(client);
        if (this.#deps.isBrief) this.#tellUnanswered(client, queue);
        this.#ofClient(client, `"kind":"disconnect","reason":"${traffic.ending}"`);
        return;
      case "greeting":
        this.#ofClient(client, `"dir":"<","kind":"greeting",${plain(traffic.bytes)}`);
        return;
      case "event": {
        const { event } = traffic;
        if (!(filter.event?.(event.name) ?? true)) return;
        this.#ofClient(client, `"dir":"<","kind":"event",${texts.event(event)}`);
        return;
      }
      case "damage":
        return expect(queue, this.#damage(client, traffic.reason, traffic.length), traffic.oob);
      case "command": {
        const { command, bytes } = traffic;
        return expect(queue, this.#command(client, command, bytes), command.oob);
      }
      case "reply": {
        const pending = traffic.oob ? queue.oob : queue.inBand.shift();
        if (traffic.oob) queue.oob = undefined;
        if (pending !== undefined) this.#reply(client, pending, traffic.reply, traffic.id);
      }
    }
  }

  #command(client: TappedClient, command: Command, bytes: Uint8Array): Pending | undefined {
    const { filter, texts, isBrief } = this.#deps;
    if (!(filter.command?.(command.name) ?? true)) return undefined;
    if (isBrief) return { ...UNWRITTEN, command, bytes, at: this.#now };
    const text = texts.command(command, bytes, command.id);
    const { number, file } = this.#ofClient(client, `"dir":">","kind":"command",${text}`);
    return { number, file, command, bytes, at: this.#now };
  }

  #damage(client: TappedClient, reason: string, length?: number): Pending | undefined {
    if (this.#deps.filter.command !== undefined) return undefined;
    const members = damageMembers(reason, length);
    const line = this.#ofClient(client, `"dir":">","kind":"damage",${members}`);
    return { ...line, command: undefined, bytes: undefined, at: this.#now };
  }

  #reply(client: TappedClient, pending: Pending, reply: Reply, id: Id): void {
    const { texts, isBrief } = this.#deps;
    const { command, bytes, at, sentAt, answeredAt } = pending;
    const text = command ? texts.reply(reply, id, command) : texts.damageReply(reply);
    const wait = `"wait":${micro((sentAt ?? this.#now) - at)}`;
    const run = sentAt === undefined || answeredAt === undefined
      ? ""
      : `,"run":${micro(answeredAt - sentAt)}`;
    const asked = isBrief && command && bytes
      ? `"ago":${micro(this.#now - at)},"command":${texts.commandValue(command, bytes)},`
      : this.#of(pending);
    this.#ofClient(client, `"dir":"<","kind":"reply",${asked}${wait}${run},${text}`);
  }

  /** Writes the unanswered commands of a client that has disconnected. */
  #tellUnanswered(client: TappedClient, { inBand, oob }: ClientQueue): void {
    for (const pending of [...inBand, oob]) {
      if (pending?.command === undefined || pending.bytes === undefined) continue;
      const { command, bytes } = pending;
      const text = this.#deps.texts.command(command, bytes, command.id);
      this.#ofClient(client, `"dir":">","kind":"command",${text}`);
    }
  }

  #ofClient({ name }: TappedClient, members: string): Line {
    return this.#write(`"side":"client","client":${jsonOf(name)},${members}`);
  }

  #takeQemus(traffic: QemuTraffic): void {
    const { filter, texts } = this.#deps;
    switch (traffic.kind) {
      case "greeting":
        this.#greeting = traffic.bytes;
        this.#qemuSays("greeting", "", plain(traffic.bytes));
        return;
      case "handshake":
        this.#handshake = this.#toQemu("", plain(traffic.bytes));
        return;
      case "command":
        return this.#request(traffic.request, traffic.askers);
      case "reply":
        return this.#answer(traffic.request, traffic.reply);
      case "event": {
        const { event } = traffic;
        if (filter.event?.(event.name) ?? true) {
          this.#qemuSays("event", "", texts.event(event));
        }
        return;
      }
      case "damage":
        this.#qemuSays("damage", "", damageMembers(traffic.reason, traffic.length));
        return;
      case "disconnect":
        this.#sent.clear();
        this.#handshake = this.#greeting = undefined;
        this.#write(
          `"side":"qemu","kind":"disconnect","reason":${jsonOf(traffic.reason)}`,
        );
    }
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
      const pending = asker.command.oob
        ? queue.oob
        : queue.inBand.find((each) => each?.command === asker.command);
      if (pending === undefined) continue;
      pending.sentAt = at;
      answers.push(pending);
    }
    const isShown = isChosen && !(isBrief && askers.length > 0) &&
      (filter.command?.(command.name) ?? true);
    if (!isShown && answers.length === 0) return;
    const line = isShown
      ? this.#toQemu(
        answers.filter((each) => this.#isPresent(each)).map(({ number }) => number).join(),
        texts.command(command, command.bytes, undefined),
      )
      : UNWRITTEN;
    this.#sent.set(request, { number: line.number, file: line.file, at, answers });
  }

  #answer(request: TappedRequest | undefined, reply: Reply): void {
    const { texts, filter } = this.#deps;
    if (request === undefined) {
      const line = this.#handshake;
      this.#handshake = undefined;
      if (filter.command !== undefined || filter.client !== undefined) return;
      const text = texts.reply(reply, undefined, undefined);
      return this.#qemuSays("reply", line ? this.#of(line) : "", text);
    }
    const sent = this.#sent.get(request);
    if (sent === undefined) return;
    this.#sent.delete(request);
    for (const pending of sent.answers) pending.answeredAt = this.#now;
    // A line that was not chosen has no reply either, but one that was dropped has.
    if (sent.file === 0) return;
    const run = `"run":${micro(this.#now - sent.at)},`;
    const text = texts.reply(reply, undefined, request.command);
    this.#qemuSays("reply", `${this.#of(sent)}${run}`, text);
  }

  #toQemu(lines: string, text: TextMembers): Line {
    return this.#write(`"side":"qemu","dir":">","kind":"command","for":[${lines}],${text}`);
  }

  #qemuSays(kind: string, members: string, text: TextMembers): void {
    this.#write(`"side":"qemu","dir":"<","kind":"${kind}",${members}${text}`);
  }

  #write(members: string): Line {
    const number = this.#deps.write(this.#deps.prefix + members, this.#now);
    return { number, file: this.#deps.file() };
  }

  /** Returns whether a line is in the present file. */
  #isPresent({ number, file }: Line): boolean {
    return number > 0 && file === this.#deps.file();
  }

  /** Returns the member that names a line, if that is in the present file. */
  #of(line: Line): string {
    return this.#isPresent(line) ? `"of":${line.number},` : "";
  }
}

/** Queues a command, or malformed input, that will be answered. */
function expect(queue: ClientQueue, pending: Pending | undefined, oob: boolean): void {
  if (oob) queue.oob = pending;
  else queue.inBand.push(pending);
}

/** Returns the members that describe a client, as JSON members. */
export function clientMembers(
  { grant, dialect, mode, capabilities, filter, peer }: TappedClient,
  programOf: ProgramOf,
): string {
  const { pid, uid, gid } = peer?.identity ?? {};
  const members = JSON.stringify({
    listener: grant.name,
    role: grant.role.name,
    dialect,
    mode,
    capabilities,
    filter: filter ?? null,
    peer: pid === undefined ? null : { pid, uid, gid, comm: programOf?.(pid) },
  });
  return printable(members.slice(1, -1));
}

/** The parts of an error that repeat input: between quotes, and before a phrase of QEMU's. */
const REPEATED = /'[^]*'|'[^']*$|(?<=JSON parse error, )[^]*(?= is not a valid)/;

/** Returns the members of malformed input: nothing of its text. */
function damageMembers(reason: string, length: number | undefined): string {
  const size = length === undefined ? "" : `"length":${length},`;
  return `${size}"reason":${jsonOf(reason.replace(REPEATED, "'...'"))}`;
}

/** Rounds seconds to microseconds. */
function micro(seconds: number): number {
  return Math.max(0, Math.round(seconds * 1e6) / 1e6);
}
