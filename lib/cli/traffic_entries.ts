/**
 * Traffic as people read it: one entry for a command with its reply, and one for everything else.
 *
 * A command waits here for its reply. The number of waiting commands and their size are limited, so
 * that a recording without replies takes no more memory.
 *
 * @module
 */

import type {
  RecordedGap,
  RecordedMessage,
  RecordedPeer,
  RecordingLine,
} from "../observe/recording_line.ts";
import { memberTexts } from "../wire/json_text.ts";
import { shortened } from "../wire/shortened.ts";
import { commandMembers, commandName, eventName, OWN, textIn, textOf } from "./traffic_names.ts";
import { TrafficFilter, type TrafficPlace } from "./traffic_filters.ts";

/** Members of every entry. */
export interface EntryPlace extends TrafficPlace {
  /** The number of the line. */
  readonly line: number;
  /** Seconds since the beginning. */
  readonly t: number;
  /** The client's process, if it is known. */
  readonly peer?: RecordedPeer | undefined;
}

/** The answer to a command; its texts are JSON as QEMU wrote it, and may be shortened. */
export type Answer =
  | { readonly kind: "return"; readonly value: string }
  | { readonly kind: "error"; readonly errorClass: string; readonly desc: string }
  /** A reply that cannot be read. */
  | { readonly kind: "other"; readonly text: string }
  /** The recording has no reply, for a reason. */
  | { readonly kind: "none"; readonly because: string };

/** A command with its answer. */
export interface CommandEntry extends EntryPlace {
  /** The kind. */
  readonly kind: "command";
  /** The decoded name; `undefined` if the command cannot be read, or is not in the recording. */
  readonly name: string | undefined;
  /** The arguments as JSON, if there are any; without a name, the whole text. */
  readonly args: string | undefined;
  /** Whether it is out of band. */
  readonly oob: boolean;
  /** The answer. */
  readonly answer: Answer;
  /** The number of the reply's line, if there is one. */
  readonly replyLine: number | undefined;
  /** Seconds since the beginning when the reply was sent; `undefined` if there is none. */
  readonly ended: number | undefined;
  /** Seconds that it waited in qmpmux, if known. */
  readonly wait: number | undefined;
  /** Seconds that it was at QEMU; `undefined` if it was not, or if this is not known. */
  readonly run: number | undefined;
}

/** An event from QEMU, or as it was sent to a client. */
export interface EventEntry extends EntryPlace {
  /** The kind. */
  readonly kind: "event";
  /** The decoded name; `undefined` if the event cannot be read. */
  readonly name: string | undefined;
  /** Its data as JSON, if there are any; without a name, the whole text. */
  readonly data: string | undefined;
}

/** A connection that begins or ends, a greeting of QEMU, or damage. */
export interface ConnectionEntry extends EntryPlace {
  /** The kind. */
  readonly kind: "connect" | "disconnect" | "greeting" | "damage";
  /** The line. */
  readonly message: RecordedMessage;
}

/** Messages that are missing. */
export interface GapEntry extends EntryPlace {
  /** The kind. */
  readonly kind: "gap";
  /** Their number. */
  readonly dropped: number;
}

/** An entry. */
export type Entry = CommandEntry | EventEntry | ConnectionEntry | GapEntry;

/** Settings of entries. */
export interface EntryOptions {
  /** The filter; by default everything passes. */
  readonly filter?: TrafficFilter | undefined;
  /** The name of the VM, for lines without one. */
  readonly vm?: string | undefined;
  /** The most characters of arguments, of a value and of data. */
  readonly textLimit: number;
}

/** The most commands that wait for their replies; qmpmux itself has far fewer in flight. */
export const WAITING_LIMIT = 16384;

/** The most characters of all their arguments. */
const WAITING_CHARS_LIMIT = 16 << 20;

/** The most clients whose processes are remembered, and the most damaged commands. */
const REMEMBERED_LIMIT = 16384;

/** The most characters of a name. */
const NAME_LIMIT = 256;

/** A command without its answer. */
type Waiting = Omit<CommandEntry, "answer" | "replyLine" | "ended" | "wait" | "run">;

/** A client that is connected. */
interface Client {
  readonly peer: RecordedPeer | undefined;
  /** The lines of its commands that wait. */
  readonly waiting: Set<number>;
}

/** The maker of entries. */
export class TrafficEntries {
  readonly #filter: TrafficFilter;
  readonly #vm: string | undefined;
  readonly #textLimit: number;
  readonly #waiting = new Map<number, Waiting>();
  #waitingChars = 0;
  readonly #clients = new Map<string, Client>();
  /** The VMs whose QEMU is connected. */
  readonly #greeted = new Set<string>();
  /** The lines with damage, whose replies have nothing to tell. */
  readonly #damaged = new Set<number>();

  /** Creates a maker without any lines. */
  constructor({ filter = new TrafficFilter(), vm, textLimit }: EntryOptions) {
    this.#filter = filter;
    this.#vm = vm;
    this.#textLimit = textLimit;
  }

  /**
   * Takes the next line.
   *
   * @param number the number by which later lines refer to it
   * @returns the entries that are complete with it
   */
  take(number: number, line: RecordingLine): readonly Entry[] {
    if (line.kind === "gap") return [this.#gap(number, line)];
    switch (line.kind) {
      case "command":
        return this.#command(number, line);
      case "reply":
        return this.#reply(number, line);
      case "event":
        return this.#event(number, line);
      case "damage":
        remember(this.#damaged, number);
        return this.#connection(number, line, line.kind);
      case "connect":
        return this.#connect(number, line);
      case "disconnect":
        return this.#disconnect(number, line);
      case "greeting":
        return this.#greeting(number, line);
    }
  }

  /** The number of commands that wait for their replies. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Returns an entry for each command that still waits. */
  end(): readonly Entry[] {
    return [...this.#waiting.keys()].map((number) => this.#unanswered(number, "at the end"));
  }

  #place(line: number, message: RecordedMessage): EntryPlace {
    const { t, client, vm = this.#vm } = message;
    return { line, t, vm, client, peer: this.#clients.get(this.#keyOf(message))?.peer };
  }

  #keyOf({ vm = this.#vm ?? "", client = "" }: TrafficPlace): string {
    return `${vm}\n${client}`;
  }

  #gap(line: number, { t, dropped }: RecordedGap): Entry {
    return { kind: "gap", line, t, vm: this.#vm, dropped };
  }

  #command(number: number, message: RecordedMessage): readonly Entry[] {
    // A command at QEMU that answers clients is told as theirs.
    if (message.side === "qemu" && (message.for?.length ?? 0) > 0) return [];
    const waiting = this.#read(number, message);
    if (waiting === undefined) return [];
    this.#waiting.set(number, waiting);
    this.#waitingChars += charsOf(waiting);
    this.#clients.get(this.#keyOf(message))?.waiting.add(number);
    const gone: Entry[] = [];
    while (
      this.#waiting.size > WAITING_LIMIT ||
      this.#waitingChars > WAITING_CHARS_LIMIT && this.#waiting.size > 1
    ) {
      const [oldest] = this.#waiting.keys();
      gone.push(this.#unanswered(oldest!, "among the commands that follow"));
    }
    return gone;
  }

  /** Reads a command; returns `undefined` if the filter does not choose it. */
  #read(number: number, message: RecordedMessage): Waiting | undefined {
    const place = this.#place(number, message);
    const where = message.side === "qemu" ? { ...place, client: OWN } : place;
    const text = textOf(message);
    const members = commandMembers(text);
    const [whole, oob] = commandName(members);
    if (!this.#filter.command(where, whole)) return undefined;
    const args = this.#kept(whole === undefined ? text : members?.get("arguments"), text);
    return { kind: "command", ...where, name: whole && shortened(whole, NAME_LIMIT), args, oob };
  }

  #reply(number: number, message: RecordedMessage): readonly Entry[] {
    const { t, of, wait, run } = message;
    if (of !== undefined && this.#damaged.delete(of)) return [];
    const waiting = (of === undefined ? this.#carried(number, message) : this.#settled(of)) ??
      this.#unknown(number, message);
    if (waiting === undefined) return [];
    const answer = this.#answer(message);
    return [{ ...waiting, answer, replyLine: number, ended: t, wait, run }];
  }

  #event(number: number, message: RecordedMessage): readonly Entry[] {
    const place = this.#place(number, message);
    const text = textOf(message);
    const members = memberTexts(text);
    const whole = eventName(members);
    if (!this.#filter.event(place, whole) || !this.#filter.isShownAt(place, whole)) return [];
    const data = this.#kept(whole === undefined ? text : members?.get("data"), text);
    return [{ kind: "event", ...place, name: whole && shortened(whole, NAME_LIMIT), data }];
  }

  /** Takes a client that connects; each later file of a recording tells again of those that are there. */
  #connect(number: number, message: RecordedMessage): readonly Entry[] {
    const key = this.#keyOf(message);
    if (this.#clients.has(key)) return [];
    remember(this.#clients, key, { peer: message.peer, waiting: new Set() });
    return this.#connection(number, message, "connect");
  }

  /** Takes a greeting; that of a client, and that at the beginning of a later file, is QEMU's again. */
  #greeting(number: number, message: RecordedMessage): readonly Entry[] {
    const key = this.#keyOf(message);
    if (message.side === "client" || this.#greeted.has(key)) return [];
    remember(this.#greeted, key);
    return this.#connection(number, message, "greeting");
  }

  #connection(
    line: number,
    message: RecordedMessage,
    kind: ConnectionEntry["kind"],
  ): readonly Entry[] {
    const place = this.#place(line, message);
    return this.#filter.connection(place) ? [{ kind, ...place, message }] : [];
  }

  #disconnect(number: number, message: RecordedMessage): readonly Entry[] {
    const key = this.#keyOf(message);
    const waiting = [...this.#clients.get(key)?.waiting ?? []];
    const entries = waiting.map((each) => this.#unanswered(each, "before it disconnected"));
    const end = this.#connection(number, message, "disconnect");
    if (message.side === "client") this.#clients.delete(key);
    else this.#greeted.delete(key);
    return [...entries, ...end];
  }

  /** Removes a command that waits. */
  #settled(number: number): Waiting | undefined {
    const waiting = this.#waiting.get(number);
    if (waiting === undefined) return undefined;
    this.#waiting.delete(number);
    this.#waitingChars -= charsOf(waiting);
    this.#clients.get(this.#keyOf(waiting))?.waiting.delete(number);
    return waiting;
  }

  /**
   * Returns the command that a reply repeats. If it waits, because an earlier file has its line, it does not
   * wait any more.
   */
  #carried(number: number, message: RecordedMessage): Waiting | undefined {
    const { command: text, t, ago = 0 } = message;
    if (text === undefined) return undefined;
    const at = Math.max(0, t - ago);
    const command = this.#read(number, { ...message, kind: "command", dir: ">", t: at, text });
    if (command === undefined) return undefined;
    const { name, args, oob } = command;
    const earlier = this.#clients.get(this.#keyOf(message))?.waiting.values().find((each) => {
      const other = this.#waiting.get(each);
      return other !== undefined && other.name === name && other.args === args && other.oob === oob;
    });
    return earlier === undefined ? command : this.#settled(earlier);
  }

  /** Returns what is known of a command that is not in the recording; nothing if it may be filtered. */
  #unknown(number: number, message: RecordedMessage): Waiting | undefined {
    if (!this.#filter.isEmpty || message.side === "qemu") return undefined;
    const place = this.#place(number, message);
    return { kind: "command", ...place, name: undefined, args: undefined, oob: false };
  }

  #unanswered(number: number, when: string): Entry {
    const answer: Answer = { kind: "none", because: `no reply ${when}` };
    const none = { replyLine: undefined, ended: undefined, wait: undefined, run: undefined };
    return { ...this.#settled(number)!, answer, ...none };
  }

  #answer(message: RecordedMessage): Answer {
    const { length } = message;
    const text = textOf(message);
    if (length !== undefined && text === "") {
      return { kind: "none", because: `a reply of ${length} bytes, too long for the recording` };
    }
    const isCut = length !== undefined;
    const limit = this.#textLimit;
    // The value of a long reply is cut without reading the reply.
    if ((isCut || text.length > 4 * limit) && text.startsWith(RETURN)) {
      return { kind: "return", value: this.#kept(text.slice(RETURN.length, -1), text) };
    }
    const members = memberTexts(text);
    const value = members?.get("return");
    if (value !== undefined) return { kind: "return", value: this.#kept(value, text) };
    const error = memberTexts(members?.get("error") ?? "");
    const [errorClass, desc] = [textIn(error?.get("class")), textIn(error?.get("desc"))];
    if (errorClass === undefined || desc === undefined) {
      return { kind: "other", text: this.#kept(text, text) };
    }
    return {
      kind: "error",
      errorClass: this.#kept(errorClass, errorClass),
      desc: this.#kept(desc, desc),
    };
  }

  /** Returns a part of a text that does not keep a much longer text alive. */
  #kept<Part extends string | undefined>(part: Part, whole: string): Part;
  #kept(part: string | undefined, whole: string): string | undefined {
    if (part === undefined) return undefined;
    const limit = this.#textLimit;
    if (part.length > limit) return copyOf(`${part.slice(0, limit - 1).toWellFormed()}…`);
    return part.length * 2 < whole.length ? copyOf(part) : part;
  }
}

/** Returns a copy of a text: a slice of V8's keeps the whole text alive. */
function copyOf(text: string): string {
  return ` ${text}`.slice(1);
}

/** The beginning of a reply with a value, as QEMU writes it. */
const RETURN = '{"return": ';

function charsOf({ name = "", args = "" }: Waiting): number {
  return name.length + args.length;
}

/** Adds to a set or a map, whose oldest item is removed if there are too many. */
function remember<T>(set: Set<T>, item: T): void;
function remember<K, V>(map: Map<K, V>, key: K, value: V): void;
function remember(
  all: Set<unknown> | Map<unknown, unknown>,
  key: unknown,
  value?: unknown,
): void {
  if (all instanceof Map) all.set(key, value);
  else all.add(key);
  if (all.size > REMEMBERED_LIMIT) all.delete(all.keys().next().value);
}
