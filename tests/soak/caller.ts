/**
 * A client that verifies everything: every line it gets must be an expected one.
 *
 * Each command has an id that no other client uses, in one of five forms. In-band replies must
 * arrive in the order of the commands, out-of-band ones at any time, each once, of the expected
 * kind and content; a follower checks the events.
 *
 * @module
 */

import { ALL, type EventRecord, type Filter, Follower } from "./events.ts";

const ENCODER = new TextEncoder();
const SMALL = 2048;
const LARGE = 65536;

/** The expected reply to a command: its text without the id, a pattern, or a test. */
export type Content = string | RegExp | ((text: string) => boolean);

/** A command and the expected reply. */
export interface Question {
  readonly name: string;
  /** JSON. */
  readonly args?: string;
  readonly oob?: boolean;
  readonly answer: Content;
  /** Whether the reply is an error. */
  readonly error?: boolean;
}

/** Malformed bytes, and their error, which has no id. */
export interface Nonsense {
  readonly bytes: Uint8Array;
  readonly error: Content;
}

interface Waiting {
  /** The id in QEMU's spelling; `undefined` if the reply has none. */
  readonly id: string | undefined;
  readonly what: string;
  readonly content: Content;
  readonly error: boolean;
  readonly oob: boolean;
  readonly since: number;
  readonly answered: (text: string) => void;
  readonly lost: (error: Error) => void;
}

/** The recipient of all callers' reports. */
export interface Desk {
  readonly record: EventRecord;
  /** Records that qmpmux broke a promise. */
  wrong(caller: Caller, what: string): void;
  /** Records the time in milliseconds that a reply took; not called for clients that read slowly. */
  took(ms: number): void;
  /** Counts commands that were sent. */
  sent(count: number): void;
  /** Counts a command that was answered, and whether the command was well-formed. */
  answered(wellFormed: boolean): void;
}

/** An error for a connection that has been closed. */
export class Gone extends Error {
  override name = "Gone";
}

/** The spellings of commands that clients use. */
type Style = "tight" | "spaced" | "single" | "pretty";

const STYLES: readonly Style[] = ["tight", "spaced", "single", "pretty"];

/** One connection. */
export class Caller {
  readonly number: number;
  readonly kind: string;
  readonly follower: Follower;
  readonly #socket: Deno.UnixConn;
  readonly #desk: Desk;
  readonly #style: Style;
  readonly #inBand: Waiting[] = [];
  readonly #outOfBand = new Map<string, Waiting>();
  readonly #greeting = Promise.withResolvers<string>();
  readonly #ended = Promise.withResolvers<void>();
  readonly #since = performance.now();
  #greeted = false;
  #awaitsEnd: { readonly what: string; readonly since: number } | undefined;
  #asked = 0;
  #writing: Promise<void> = Promise.resolve();
  #reading: PromiseWithResolvers<void> | undefined;
  /** Whether the end of the connection is expected. */
  #leaving = false;
  #closed = false;
  /** Whether it reads slowly, and does not count for latency. */
  slow = false;

  private constructor(socket: Deno.UnixConn, number: number, kind: string, desk: Desk) {
    this.#socket = socket;
    this.number = number;
    this.kind = kind;
    this.#desk = desk;
    this.#style = STYLES[number % STYLES.length]!;
    this.follower = new Follower(desk.record);
    this.#greeting.promise.catch(() => {});
    void this.#read();
  }

  /** Connects; `number` belongs to no other caller. */
  static async connect(path: string, number: number, kind: string, desk: Desk): Promise<Caller> {
    return new Caller(await Deno.connect({ transport: "unix", path }), number, kind, desk);
  }

  /** The greeting's line. */
  get greeting(): Promise<string> {
    return this.#greeting.promise;
  }

  /** A promise that resolves at the end of file. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /** Pending commands. */
  get pending(): number {
    return this.#inBand.length + this.#outOfBand.size;
  }

  /** Its oldest pending reply, and the time since when. */
  get oldest(): { readonly what: string; readonly since: number } | undefined {
    if (!this.#greeted) return { what: "the greeting", since: this.#since };
    return this.#inBand[0] ?? this.#outOfBand.values().next().value ?? this.#awaitsEnd;
  }

  /** Sends one command; returns its reply. */
  async ask(question: Question): Promise<string> {
    const [answer] = await this.askAll([question]);
    return answer!;
  }

  /** Sends several commands in one write; returns their replies. */
  async askAll(questions: readonly (Question | Nonsense)[]): Promise<string[]> {
    const parts = questions.map((each) => "bytes" in each ? this.#bad(each) : this.#good(each));
    this.#desk.sent(parts.length);
    const bytes = new Uint8Array(parts.reduce((sum, { bytes }) => sum + bytes.length, 0));
    let at = 0;
    for (const part of parts) {
      bytes.set(part.bytes, at);
      at += part.bytes.length;
    }
    const [answers] = await Promise.all([
      Promise.all(parts.map(({ answer }) => answer)),
      this.write(bytes),
    ]);
    return answers;
  }

  /** Writes bytes after all others. */
  write(bytes: Uint8Array): Promise<void> {
    this.#writing = this.#writing.then(async () => {
      try {
        let rest = bytes;
        while (rest.length > 0) rest = rest.subarray(await this.#socket.write(rest));
      } catch (error) {
        if (!isGone(error)) throw error;
        // The reading side reports the error, if it is one.
      }
    });
    return this.#writing;
  }

  /** Sets another filter. */
  async choose(filter: Filter): Promise<void> {
    await this.ask({
      name: "__org.qmpmux_set-event-filter",
      args: JSON.stringify({ enable: filter }),
      // Among the replies: everything after it obeys the filter.
      answer: (text) => {
        this.follower.choose(filter, Date.now());
        return text === "{}";
      },
    });
  }

  /** Negotiates in today's dialect. */
  async negotiate(greeting: string, enable: readonly string[] = []): Promise<void> {
    const said = await this.greeting;
    if (said !== greeting) this.#wrong(`the greeting ${said}`);
    await this.ask({
      name: "qmp_capabilities",
      args: JSON.stringify({ enable }),
      answer: (text) => {
        this.follower.choose(ALL, Date.now());
        return text === "{}";
      },
    });
  }

  /** Negotiates in the dialect of 2010; gets the named events from then on. */
  async negotiateOld(events: Filter): Promise<void> {
    const said = await this.greeting;
    if (said !== '{"QMP": {"capabilities": ["async messages"]}}') {
      this.#wrong(`the greeting ${said}`);
    }
    await this.ask({ name: "query-qmp-mode", answer: '{"mode": "handshake"}' });
    for (const name of events) {
      await this.ask({ name: "async_msg_enable", args: JSON.stringify({ name }), answer: "{}" });
    }
    await this.ask({
      name: "qmp_switch_mode",
      args: '{"mode": "operational"}',
      answer: (text) => {
        this.follower.choose(events, Date.now());
        return text === "{}";
      },
    });
  }

  /** Stops reading until `release`. */
  hold(): void {
    this.#reading ??= Promise.withResolvers();
  }

  /** Reads again. */
  release(): void {
    this.#reading?.resolve();
    this.#reading = undefined;
  }

  /** Ends its half of the connection; all replies still arrive, then the end of file. */
  async halfClose(): Promise<void> {
    this.#leaving = true;
    await this.#writing;
    try {
      await this.#socket.closeWrite();
    } catch (error) {
      if (!isGone(error)) throw error;
    }
    this.#awaitsEnd = { what: "the end of the connection", since: performance.now() };
    await this.ended;
    if (this.pending > 0) this.#wrong(`the end before ${this.pending} answers`);
  }

  /** Expects to be disconnected from now on. */
  expectEnd(): void {
    this.#leaving = true;
  }

  /** Disconnects at any moment; returns the number of unanswered commands. */
  leave(): number {
    const { pending } = this;
    this.#leaving = true;
    this.#close();
    return pending;
  }

  #good({ name, args, oob, answer, error }: Question): Part {
    const [id, echoed] = this.#newId();
    const verb = oob ? "exec-oob" : "execute";
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    promise.catch(() => {});
    const waiting: Waiting = {
      id: echoed,
      what: name,
      content: answer,
      error: error ?? false,
      oob: oob ?? false,
      since: performance.now(),
      answered: resolve,
      lost: reject,
    };
    this.#wait(waiting);
    return { bytes: ENCODER.encode(spelled(this.#style, verb, name, args, id)), answer: promise };
  }

  #bad({ bytes, error }: Nonsense): Part {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    promise.catch(() => {});
    this.#wait({
      id: undefined,
      what: "nonsense",
      content: error,
      error: true,
      oob: false,
      since: performance.now(),
      answered: resolve,
      lost: reject,
    });
    return { bytes, answer: promise };
  }

  #wait(waiting: Waiting): void {
    if (this.#closed) waiting.lost(new Gone(`${this.kind} ${this.number} is closed`));
    else if (waiting.oob) this.#outOfBand.set(waiting.id!, waiting);
    else this.#inBand.push(waiting);
  }

  /** Returns a unique id: as it is sent, and as QEMU prints it. */
  #newId(): [string, string] {
    const count = ++this.#asked;
    const number = this.number * 1e7 + count;
    switch ((this.number + count) % 5) {
      case 0:
        return [`${number}`, `${number}`];
      case 1:
        return [`"c\\u0041\\u00e9-${number}"`, `"cA\\u00E9-${number}"`];
      case 2: {
        const large = 18446744073709551615n - BigInt(number);
        return [`${large}`, `${large}`];
      }
      case 3:
        return [`["x",${number}]`, `["x", ${number}]`];
      default:
        return [`{"c":{"n":${number}}}`, `{"c": {"n": ${number}}}`];
    }
  }

  async #read(): Promise<void> {
    const decoder = new TextDecoder();
    let buffer = new Uint8Array(SMALL);
    let rest = "";
    try {
      for (;;) {
        await this.#reading?.promise;
        const length = await this.#socket.read(buffer);
        if (length === null) break;
        const lines = (rest + decoder.decode(buffer.subarray(0, length))).split("\r\n");
        rest = lines.pop()!;
        for (const line of lines) this.#hear(line);
        if (length === buffer.length && length < LARGE) buffer = new Uint8Array(4 * length);
      }
    } catch (error) {
      if (!isGone(error)) throw error;
    }
    if (!this.#leaving) this.#wrong("the end of the connection");
    else if (rest !== "" && !this.#closed) this.#wrong(`half a line: ${rest}`);
    this.#close();
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.release();
    this.#socket.close();
    const gone = new Gone(`${this.kind} ${this.number} is gone`);
    this.#greeting.reject(gone);
    for (const { lost } of [...this.#inBand, ...this.#outOfBand.values()]) lost(gone);
    this.#ended.resolve();
  }

  #hear(line: string): void {
    if (this.#closed) return;
    if (!this.#greeted) {
      this.#greeted = true;
      return this.#greeting.resolve(line);
    }
    if (line.startsWith('{"timestamp": ')) {
      const wrong = this.follower.hear(line);
      if (wrong !== undefined) this.#wrong(wrong);
      return;
    }
    const reply = readReply(line);
    if (reply === undefined) return this.#wrong(`what is no reply: ${line}`);
    const waiting = this.#claim(reply.id);
    if (waiting === undefined) {
      const first = this.#inBand[0];
      const next = first === undefined ? "nobody" : `${first.what} (${first.id})`;
      return this.#wrong(`a reply while ${next} waits: ${line}`);
    }
    this.#desk.answered(waiting.id !== undefined);
    if (!this.slow) this.#desk.took(performance.now() - waiting.since);
    if (waiting.error !== reply.error || !holds(waiting.content, reply.text)) {
      this.#wrong(`to ${waiting.what}: ${line}`);
    }
    waiting.answered(reply.text);
  }

  #claim(id: string | undefined): Waiting | undefined {
    const outOfBand = id === undefined ? undefined : this.#outOfBand.get(id);
    if (outOfBand !== undefined) {
      this.#outOfBand.delete(id!);
      return outOfBand;
    }
    return this.#inBand[0]?.id === id ? this.#inBand.shift() : undefined;
  }

  #wrong(what: string): void {
    this.#desk.wrong(this, what.length > 400 ? `${what.slice(0, 400)}…` : what);
  }
}

interface Part {
  readonly bytes: Uint8Array;
  readonly answer: Promise<string>;
}

/** Returns a command in a spelling of a client. */
function spelled(
  style: Style,
  verb: string,
  name: string,
  args: string | undefined,
  id: string,
): string {
  switch (style) {
    case "tight":
      return `{"${verb}":"${name}"${args === undefined ? "" : `,"arguments":${args}`},"id":${id}}`;
    case "spaced":
      return `{"id": ${id}, "${verb}": "${name}"${
        args === undefined ? "" : `, "arguments": ${args}`
      }}\r\n`;
    case "single":
      return `{'${verb}':'${name}'${args === undefined ? "" : `,'arguments':${args}`},'id':${id}}`;
    case "pretty":
      return `{\n    "${verb}": "${name}",\n${
        args === undefined ? "" : `    "arguments": ${args},\n`
      }    "id": ${id}\n}\n`;
  }
}

/** Returns the parts of a reply; our own ids are known to hold no quoted braces. */
function readReply(
  line: string,
): { id: string | undefined; error: boolean; text: string } | undefined {
  if (!line.endsWith("}")) return undefined;
  if (line.startsWith('{"return": ')) {
    const at = line.lastIndexOf(', "id": ');
    if (at < 0) return { id: undefined, error: false, text: line.slice(11, -1) };
    return { id: line.slice(at + 8, -1), error: false, text: line.slice(11, at) };
  }
  if (line.startsWith('{"error": ')) {
    return { id: undefined, error: true, text: line.slice(10, -1) };
  }
  const at = line.indexOf(', "error": ');
  if (!line.startsWith('{"id": ') || at < 0) return undefined;
  return { id: line.slice(7, at), error: true, text: line.slice(at + 11, -1) };
}

function holds(content: Content, text: string): boolean {
  if (typeof content === "string") return content === text;
  return content instanceof RegExp ? content.test(text) : content(text);
}

/** Returns whether an error means that the other side has closed a socket. */
export function isGone(error: unknown): boolean {
  return error instanceof Deno.errors.ConnectionReset ||
    error instanceof Deno.errors.BrokenPipe ||
    error instanceof Deno.errors.NotConnected ||
    error instanceof Deno.errors.Interrupted ||
    error instanceof Deno.errors.BadResource;
}
