/**
 * The lines of one hub in a recording.
 *
 * QEMU answers the in-band commands of a client in their order, and qmpmux does so too. So the
 * commands of each client that have no reply yet are a queue, and each reply belongs to the first.
 *
 * @module
 */

import type { Command } from "../wire/message.ts";
import type {
  ClientTraffic,
  QemuTraffic,
  Tap,
  TappedClient,
  TappedRequest,
  Traffic,
  TrafficFilter,
  TrafficSource,
} from "./traffic.ts";
import { plain, type TextMembers, type TrafficTexts } from "./traffic_texts.ts";

/** The parts of a recording that its hubs share. */
export interface LinesDeps {
  /** The choice of traffic. */
  readonly filter: TrafficFilter;
  /** Writes the texts of messages. */
  readonly texts: TrafficTexts;
  /** Members that begin each line. */
  readonly prefix: string;
  /** Returns the name of a program by its process id, if it can. */
  readonly programOf: ((pid: number) => string | undefined) | undefined;
  /** Returns the seconds of a steady clock. */
  now(): number;
  /** Returns the number of the present file. */
  file(): number;
  /** Begins a new file if the present one is full. Lines that name others are made afterwards. */
  turnPage(): void;
  /** Writes a line with these JSON members; returns its number in the present file, or 0 if it was dropped. */
  write(members: string): number;
}

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
}

/** Writes the traffic of one hub. */
export class SourceLines implements Tap {
  readonly #source: TrafficSource;
  readonly #deps: LinesDeps;
  readonly #clients = new Map<TappedClient, ClientQueue>();
  readonly #sent = new Map<TappedRequest, Sent>();
  #handshake: Line | undefined;

  /** Creates a writer of what a hub does from now on. */
  constructor(source: TrafficSource, deps: LinesDeps) {
    this.#source = source;
    this.#deps = deps;
    for (const client of source.clients) {
      if (!this.#takes(client)) continue;
      const inBand = Array.from({ length: client.pendingInBand }, () => undefined);
      this.#clients.set(client, { inBand, oob: undefined });
    }
  }

  /** Writes what is there at the beginning of a file: QEMU's greeting, and the clients. */
  begin(): void {
    const { greeting } = this.#source;
    if (greeting !== undefined) this.#qemuSays("greeting", "", plain(greeting));
    for (const client of this.#clients.keys()) this.#connect(client);
  }

  /** Writes a line for traffic that was chosen. */
  take(traffic: Traffic): void {
    this.#deps.turnPage();
    if (traffic.side === "qemu") return this.#takeQemus(traffic);
    const { client } = traffic;
    if (traffic.kind === "connect") {
      if (!this.#takes(client)) return;
      this.#clients.set(client, { inBand: [], oob: undefined });
      return this.#connect(client);
    }
    const queue = this.#clients.get(client);
    if (queue !== undefined) this.#takeClients(traffic, queue);
  }

  #takes({ name }: TappedClient): boolean {
    return this.#deps.filter.client?.(name) ?? true;
  }

  #connect(client: TappedClient): void {
    this.#ofClient(client, `"kind":"connect",${clientMembers(client, this.#deps.programOf)}`);
  }

  #takeClients(traffic: ClientTraffic, queue: ClientQueue): void {
    const { client } = traffic;
    const { filter, texts } = this.#deps;
    switch (traffic.kind) {
      case "disconnect":
        this.#clients.delete(client);
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
        if (pending !== undefined) this.#reply(client, pending, traffic.parts);
      }
    }
  }

  #command(client: TappedClient, command: Command, bytes: Uint8Array): Pending | undefined {
    const { filter, texts } = this.#deps;
    if (!(filter.command?.(command.name) ?? true)) return undefined;
    const at = this.#deps.now();
    const text = texts.command(command, bytes, command.id);
    return { ...this.#ofClient(client, `"dir":">","kind":"command",${text}`), command, at };
  }

  #damage(client: TappedClient, reason: string, length?: number): Pending | undefined {
    if (this.#deps.filter.command !== undefined) return undefined;
    const members = damageMembers(reason, length);
    const line = this.#ofClient(client, `"dir":">","kind":"damage",${members}`);
    return { ...line, command: undefined, at: this.#deps.now() };
  }

  #reply(client: TappedClient, pending: Pending, parts: readonly Uint8Array[]): void {
    const { texts, now } = this.#deps;
    const { command, at, sentAt, answeredAt } = pending;
    const text = command === undefined ? texts.damageReply(parts) : texts.reply(parts, command);
    const wait = `"wait":${micro((sentAt ?? now()) - at)}`;
    const run = sentAt === undefined || answeredAt === undefined
      ? ""
      : `,"run":${micro(answeredAt - sentAt)}`;
    this.#ofClient(client, `"dir":"<","kind":"reply",${this.#of(pending)}${wait}${run},${text}`);
  }

  #ofClient({ name }: TappedClient, members: string): Line {
    const client = JSON.stringify(name);
    return this.#write(`"side":"client","client":${client},${members}`);
  }

  #takeQemus(traffic: QemuTraffic): void {
    const { filter, texts } = this.#deps;
    switch (traffic.kind) {
      case "greeting":
        this.#qemuSays("greeting", "", plain(traffic.bytes));
        return;
      case "handshake":
        this.#handshake = this.#toQemu("", plain(traffic.bytes));
        return;
      case "command":
        return this.#request(traffic.request);
      case "reply":
        return this.#answer(traffic.request, [traffic.reply.bytes]);
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
        this.#handshake = undefined;
        this.#write(
          `"side":"qemu","kind":"disconnect","reason":${JSON.stringify(traffic.reason)}`,
        );
    }
  }

  #request(request: TappedRequest): void {
    const { filter, texts } = this.#deps;
    const { command, askers } = request;
    const at = this.#deps.now();
    const lines: number[] = [];
    let isChosen = filter.client === undefined;
    for (const { monitor, command } of askers) {
      const queue = this.#clients.get(monitor);
      if (queue === undefined) continue;
      isChosen = true;
      const pending = command.oob
        ? queue.oob
        : queue.inBand.find((each) => each?.command === command);
      if (pending === undefined) continue;
      pending.sentAt = at;
      if (this.#isPresent(pending)) lines.push(pending.number);
    }
    if (!isChosen || !(filter.command?.(command.name) ?? true)) return;
    const text = texts.command(command, command.bytes, undefined);
    this.#sent.set(request, { ...this.#toQemu(lines.join(), text), at });
  }

  #answer(request: TappedRequest | undefined, parts: readonly Uint8Array[]): void {
    const { texts, filter, now } = this.#deps;
    if (request === undefined) {
      const line = this.#handshake;
      this.#handshake = undefined;
      if (filter.command !== undefined || filter.client !== undefined) return;
      return void this.#qemuSays(
        "reply",
        line ? this.#of(line) : "",
        texts.reply(parts, undefined),
      );
    }
    const answeredAt = now();
    for (const { monitor, command } of request.askers) {
      const queue = this.#clients.get(monitor);
      const pending = command.oob
        ? queue?.oob
        : queue?.inBand.find((each) => each?.command === command);
      if (pending !== undefined) pending.answeredAt = answeredAt;
    }
    const sent = this.#sent.get(request);
    this.#sent.delete(request);
    if (sent === undefined) return;
    const run = `"run":${micro(answeredAt - sent.at)},`;
    this.#qemuSays("reply", `${this.#of(sent)}${run}`, texts.reply(parts, request.command));
  }

  #toQemu(lines: string, text: TextMembers): Line {
    return this.#write(`"side":"qemu","dir":">","kind":"command","for":[${lines}],${text}`);
  }

  #qemuSays(kind: string, members: string, text: TextMembers): void {
    this.#write(`"side":"qemu","dir":"<","kind":"${kind}",${members}${text}`);
  }

  #write(members: string): Line {
    const number = this.#deps.write(this.#deps.prefix + members);
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

function clientMembers(
  { grant, dialect, mode, capabilities, filter, peer }: TappedClient,
  programOf: LinesDeps["programOf"],
): string {
  const { pid, uid, gid } = peer?.identity ?? {};
  return JSON.stringify({
    listener: grant.name,
    role: grant.role.name,
    dialect,
    mode,
    capabilities,
    filter: filter ?? null,
    peer: pid === undefined ? null : { pid, uid, gid, comm: programOf?.(pid) },
  }).slice(1, -1);
}

/** The parts of an error that repeat input: between quotes, and before a phrase of QEMU's. */
const REPEATED = /'[^]*'|'[^']*$|(?<=JSON parse error, )[^]*(?= is not a valid)/;

/** Returns the members of malformed input: nothing of its text. */
function damageMembers(reason: string, length: number | undefined): string {
  const size = length === undefined ? "" : `"length":${length},`;
  return `${size}"reason":${JSON.stringify(reason.replace(REPEATED, "'…'"))}`;
}

/** Rounds seconds to microseconds. */
function micro(seconds: number): number {
  return Math.max(0, Math.round(seconds * 1e6) / 1e6);
}
