/**
 * One connection to a monitor: the handshake, commands by id, and events.
 *
 * @module
 */

import { type ClientSocket, codeOf, isEnded } from "../platform/client_socket.ts";
import { MessageSplitter } from "../wire/message_splitter.ts";
import { printable } from "../wire/printable.ts";
import { shortened } from "../wire/shortened.ts";
import {
  ConnectError,
  ConnectionLost,
  type ConnectProblem,
  NotQmpError,
  ProtocolError,
  QmpError,
} from "./errors.ts";
import { isTooDeep, NESTING_LIMIT } from "./nesting.ts";
import { parseMessage } from "./odd_numbers.ts";
import type { QmpEvent } from "./schema.ts";
import type { Way } from "./way.ts";

const ENCODER = new TextEncoder();
const DECODER = new TextDecoder("utf-8", { fatal: true });

/** The number of a command that is sent without an id, because no other is in flight. */
const UNNUMBERED = 0;
/** The least id of a negotiation, which has 15 digits. */
const FIRST_ID = 1e14;

/** The most characters of what was found, in an error. */
const SHOWN_LENGTH = 120;
/** The characters after which one write is full. Commands that wait behind it can still be given up. */
const WRITE_LENGTH = 65536;
/** The time for the last bytes of the other end, after it has stopped reading. */
const LAST_BYTES_MS = 1000;

/** The greeting of a monitor. */
export interface Greeting {
  /** The version of QEMU, or of qmpmux on its control socket. */
  readonly version: Readonly<Record<string, unknown>>;
  /** The capabilities that can be enabled. */
  readonly capabilities: readonly string[];
}

/** A reply: the whole message, read and as text. */
export interface Reply {
  /** The value that the command has returned. */
  readonly value: unknown;
  /** The message as JSON on one line. */
  readonly text: string;
}

/** The options of a connection. */
export interface LinkOptions {
  /** The capabilities to enable. */
  readonly enable: readonly string[];
  /** The most bytes of a message. */
  readonly messageLimit: number;
  /** Called when the greeting has come. */
  readonly greeted: (() => void) | undefined;
  /** Called with each event. */
  readonly event: (event: QmpEvent) => void;
  /** Called when the connection has ended, before the commands in flight are rejected. */
  readonly ended: (error: Error, link: Link) => void;
}

/** A command that has no reply yet. */
interface Pending {
  readonly name: string;
  /** The command itself, until it is sent. */
  line: string | undefined;
  resolve(reply: Reply): void;
  reject(error: unknown): void;
}

/** A command, and the way to give it up. */
export interface Request {
  /** The reply. */
  readonly reply: Promise<Reply>;
  /** Gives the command up: it is not sent, or its reply is dropped. Returns whether it was sent. */
  abandon(): boolean;
}

/** A connection. */
export class Link {
  /** The greeting; `undefined` before it has come. */
  greeting: Greeting | undefined;
  /** Resolves when the connection has ended; it never rejects. */
  readonly ended: Promise<void>;
  readonly #address: string;
  readonly #socket: ClientSocket;
  readonly #options: LinkOptions;
  readonly #splitter: MessageSplitter;
  readonly #pending = new Map<number, Pending>();
  readonly #greeted = Promise.withResolvers<void>();
  #nextId = 1;
  /** Whether the negotiation was answered. */
  #isNegotiated = false;
  /** The commands that are not sent yet, in order. */
  readonly #unsent = new Set<Pending>();
  #writing = false;
  #closing = false;
  #error: Error | undefined;
  /** Closes the socket if the other end reads no more, but does not end. */
  #lastBytes: ReturnType<typeof setTimeout> | undefined;

  private constructor(address: string, socket: ClientSocket, options: LinkOptions) {
    this.#address = address;
    this.#socket = socket;
    this.#options = options;
    this.#splitter = new MessageSplitter(options.messageLimit);
    // Nobody may be waiting for it when the connection is closed.
    this.#greeted.promise.catch(() => {});
    this.ended = this.#run();
  }

  /**
   * Connects; the handshake follows by {@linkcode negotiate}.
   *
   * @param signal ends the attempt
   * @throws ConnectError
   */
  static async connect(
    way: Way,
    options: LinkOptions,
    signal: AbortSignal,
  ): Promise<Link> {
    try {
      return new Link(way.text, await way.open(signal), options);
    } catch (error) {
      throw connectError(way.text, error);
    }
  }

  /** The reason why the connection has ended; `undefined` before. */
  get error(): Error | undefined {
    return this.#error;
  }

  /**
   * Waits for the greeting, and enables the capabilities.
   *
   * @throws NotQmpError, ProtocolError, QmpError, ConnectionLost
   */
  async negotiate(): Promise<void> {
    await this.#greeted.promise;
    const { enable } = this.#options;
    const args = enable.length > 0 ? JSON.stringify({ enable }) : undefined;
    // No earlier client of the monitor can have had this id.
    const id = FIRST_ID + Math.floor(Math.random() * 9 * FIRST_ID);
    await this.#send("qmp_capabilities", id, args).reply;
  }

  /**
   * Sends a command.
   *
   * @param args the arguments as JSON text
   * @param returned called when the value comes, before any later event is taken
   */
  request(name: string, args?: string, oob?: boolean, returned?: (reply: Reply) => void): Request {
    // QEMU takes longer to read a command with an id.
    const isAlone = this.#pending.size === 0 && !oob;
    return this.#send(name, isAlone ? UNNUMBERED : this.#nextId++, args, oob, returned);
  }

  #send(
    name: string,
    id: number,
    args?: string,
    oob?: boolean,
    returned?: (reply: Reply) => void,
  ): Request {
    const { promise, resolve: answer, reject } = Promise.withResolvers<Reply>();
    const resolve = (reply: Reply): void => {
      returned?.(reply);
      answer(reply);
    };
    if (this.#error !== undefined) {
      reject(this.#lost(name, false));
      return { reply: promise, abandon: () => false };
    }
    const key = oob ? "exec-oob" : "execute";
    const rest = args === undefined ? "" : `,"arguments":${args}`;
    const end = id === UNNUMBERED ? "" : `,"id":${id}`;
    const line = `{"${key}":${JSON.stringify(name)}${rest}${end}}\n`;
    const pending: Pending = { name, line, resolve, reject };
    this.#pending.set(id, pending);
    this.#unsent.add(pending);
    if (!this.#writing) this.#write();
    const abandon = (): boolean => {
      if (this.#pending.get(id) !== pending) return true;
      const isSent = pending.line === undefined;
      // The reply to a sent command still comes.
      if (isSent) Object.assign(pending, NOBODY);
      else {
        this.#pending.delete(id);
        this.#unsent.delete(pending);
      }
      return isSent;
    };
    return { reply: promise, abandon };
  }

  /** Closes the connection. */
  close(): void {
    this.#closing = true;
    this.#socket.close();
  }

  async #write(): Promise<void> {
    this.#writing = true;
    try {
      // Commands of this turn are written together.
      await undefined;
      for (let text = this.#nextText(); text !== ""; text = this.#nextText()) {
        await this.#socket.write(ENCODER.encode(text));
      }
    } catch (error) {
      if (!isEnded(error)) return this.#fail(error);
      // After a hang-up the reader gets the last bytes, then the end.
      if (this.#error === undefined) {
        this.#lastBytes = setTimeout(() => this.#socket.close(), LAST_BYTES_MS);
      }
    }
    this.#writing = this.#lastBytes !== undefined;
  }

  /** Takes the commands of the next write. */
  #nextText(): string {
    let text = "";
    for (const pending of this.#unsent) {
      text += pending.line!;
      pending.line = undefined;
      this.#unsent.delete(pending);
      if (text.length >= WRITE_LENGTH) break;
    }
    return text;
  }

  async #run(): Promise<void> {
    try {
      for (;;) {
        const chunk = await this.#socket.read();
        if (chunk === null) break;
        this.#splitter.load(chunk);
        for (
          let found = this.#splitter.next();
          found !== undefined;
          found = this.#splitter.next()
        ) {
          this.#take(found);
        }
      }
    } catch (error) {
      if (!isEnded(error)) this.#fail(error);
    }
    this.#end();
  }

  /** Notes why the connection ends, and closes it. */
  #fail(error: unknown): void {
    this.#error ??= error instanceof Error ? error : new Error(String(error));
    this.#socket.close();
  }

  /** Ends everything that waits. */
  #end(): void {
    const pending = [...this.#pending.values()];
    const inFlight = pending.filter(({ line }) => line === undefined).map(({ name }) => name);
    this.#error ??= new ConnectionLost(
      this.#closing
        ? `${this.#address}: the connection was closed`
        : `${this.#address}: the other end has closed the connection` +
          (this.greeting === undefined ? " without a greeting" : ""),
      inFlight,
    );
    clearTimeout(this.#lastBytes);
    this.#socket.close();
    this.#options.ended(this.#error, this);
    this.#greeted.reject(this.#error);
    for (const { name, line, reject } of pending) reject(this.#lost(name, line === undefined));
    this.#pending.clear();
    this.#unsent.clear();
  }

  /** Returns the error of a command that gets no reply. */
  #lost(command: string, isSent: boolean): Error {
    const cause = this.#error!;
    // An error of the other end says more than the end of the connection.
    if (!(cause instanceof ConnectionLost)) return cause;
    const what = isSent
      ? `${command} got no reply, and its effect is unknown`
      : `${command} was not sent`;
    return new ConnectionLost(`${cause.message}: ${what}`, cause.inFlight, { command, cause });
  }

  #take(found: Uint8Array | { readonly damage: string }): void {
    if ("damage" in found) throw this.#invalid(found.damage);
    if (isTooDeep(found)) {
      throw this.#invalid(`a message that is nested deeper than ${NESTING_LIMIT} levels`);
    }
    let text: string;
    let message: Record<string, unknown>;
    try {
      text = DECODER.decode(found).trim();
      message = parseMessage(text) as Record<string, unknown>;
    } catch (error) {
      throw this.#invalid(`not JSON: ${(error as Error).message}`);
    }
    if (this.greeting === undefined) return this.#greet(message, text);
    const isReturn = "return" in message;
    if (isReturn || "error" in message) {
      if (isReturn && "error" in message) {
        throw this.#invalid(`both a return and an error: ${text}`);
      }
      return this.#settle(message, text);
    }
    const event = eventOf(message, text);
    if (event !== undefined) return this.#options.event(event);
    throw this.#invalid(`neither a reply nor an event: ${text}`);
  }

  #greet(message: Record<string, unknown>, text: string): void {
    const { version = {}, capabilities } = Object(message["QMP"]);
    const isGreeting = isObject(message["QMP"]) && isObject(version) &&
      Array.isArray(capabilities) && capabilities.every((each) => typeof each === "string");
    if (!isGreeting) throw this.#invalid(text);
    this.greeting = { version, capabilities };
    this.#options.greeted?.();
    this.#greeted.resolve();
  }

  #settle(message: Record<string, unknown>, text: string): void {
    const { id = UNNUMBERED } = message;
    // QEMU may owe replies to the client before; they come before the one to the negotiation.
    if (!this.#isNegotiated && !this.#pending.has(id as number)) return;
    this.#isNegotiated = true;
    const pending = typeof id === "number" ? this.#pending.get(id) : undefined;
    // A command that is not sent yet has a guessed id.
    if (pending?.line !== undefined || pending === undefined) {
      throw this.#invalid(`a reply to no command: ${text}`);
    }
    if ("return" in message) {
      this.#pending.delete(id as number);
      return pending.resolve({ value: message["return"], text });
    }
    const { class: errorClass, desc } = Object(message["error"]);
    if (typeof errorClass !== "string" || typeof desc !== "string") {
      throw this.#invalid(`an error without class or desc: ${text}`);
    }
    this.#pending.delete(id as number);
    pending.reject(new QmpError(pending.name, errorClass, desc));
  }

  /** Returns the error for something that is not QMP. */
  #invalid(found: string): Error {
    const shown = printable(JSON.stringify(shortened(found, SHOWN_LENGTH)));
    return this.greeting === undefined
      ? new NotQmpError(`${this.#address} is not a QMP monitor: it begins with ${shown}`)
      : new ProtocolError(`${this.#address} sent what QMP does not have: ${shown}`);
  }
}

/** The receiver of a reply that nobody waits for. */
const NOBODY = { resolve: (): void => {}, reject: (): void => {} };

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Returns the event in a message; `undefined` if it is none. */
function eventOf(message: Record<string, unknown>, text: string): QmpEvent | undefined {
  const { event: name, data = {}, timestamp = {} } = message;
  if (typeof name !== "string" || !isObject(data) || !isObject(timestamp)) return undefined;
  const { seconds = 0, microseconds = 0 } = timestamp;
  if (typeof seconds !== "number" || typeof microseconds !== "number") return undefined;
  return { name, data, timestamp: { seconds, microseconds }, text };
}

const PROBLEMS: Readonly<Record<string, readonly [ConnectProblem, string]>> = {
  ENOENT: ["absent", "nothing is there; start QEMU or qmpmux, or correct the address"],
  ECONNREFUSED: ["refused", "nothing listens there; start QEMU or qmpmux, or correct the address"],
  EACCES: ["denied", "no permission to connect"],
  EPERM: ["denied", "no permission to connect"],
  EAGAIN: ["busy", "it serves one client at a time, and others are waiting"],
};

function connectError(address: string, error: unknown): ConnectError {
  const known = PROBLEMS[codeOf(error) ?? ""];
  const { name, message } = error as Error;
  // Deno's own permissions are named in its message.
  const [problem, text] = known ?? [name === "NotCapable" ? "denied" : "other", message] as const;
  return new ConnectError(problem, `${address}: ${text}`, { cause: error });
}
