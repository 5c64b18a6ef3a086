/**
 * One connection to a monitor: the handshake, commands by id, and events.
 *
 * @module
 */

import { type Address, addressText } from "../policy/address.ts";
import { type ClientSocket, codeOf, connectSocket, isEnded } from "../platform/client_socket.ts";
import { MessageSplitter } from "../wire/message_splitter.ts";
import { shortened } from "../wire/shortened.ts";
import {
  ConnectError,
  ConnectionLost,
  type ConnectProblem,
  NotQmpError,
  ProtocolError,
  QmpError,
} from "./errors.ts";
import { parseExact } from "./exact_json.ts";
import type { QmpEvent } from "./schema.ts";

const ENCODER = new TextEncoder();
const DECODER = new TextDecoder("utf-8", { fatal: true });

/** The most characters of what was found, in an error. */
const SHOWN_LENGTH = 120;

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
  /** Called with each event. */
  readonly event: (event: QmpEvent) => void;
  /** Called when the connection has ended, before the commands in flight are rejected. */
  readonly ended: (error: Error) => void;
}

/** A command that was sent. */
interface Pending {
  readonly name: string;
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: unknown) => void;
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
  /** The commands that are not written yet. */
  #output = "";
  #writing = false;
  #closing = false;
  #error: Error | undefined;

  private constructor(address: Address, socket: ClientSocket, options: LinkOptions) {
    this.#address = addressText(address);
    this.#socket = socket;
    this.#options = options;
    this.#splitter = new MessageSplitter(options.messageLimit);
    // Nobody may be waiting for it when the connection is closed.
    this.#greeted.promise.catch(() => {});
    this.ended = this.#run();
  }

  /** Connects; the handshake follows by {@linkcode negotiate}. @throws ConnectError */
  static async connect(address: Address, options: LinkOptions): Promise<Link> {
    try {
      return new Link(address, await connectSocket(address), options);
    } catch (error) {
      throw connectError(addressText(address), error);
    }
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
    await this.request("qmp_capabilities", args).reply;
  }

  /**
   * Sends a command.
   *
   * @param args the arguments as JSON text
   * @returns the reply, and a function after whose call the reply is dropped when it comes
   */
  request(name: string, args?: string, oob = false): { reply: Promise<Reply>; abandon(): void } {
    const { promise, resolve, reject } = Promise.withResolvers<Reply>();
    if (this.#error !== undefined) {
      reject(this.#lost(name, false));
      return { reply: promise, abandon: () => {} };
    }
    const id = this.#nextId++;
    const pending = { name, resolve, reject };
    this.#pending.set(id, pending);
    const key = oob ? "exec-oob" : "execute";
    const rest = args === undefined ? "" : `,"arguments":${args}`;
    this.#send(`{"${key}":${JSON.stringify(name)}${rest},"id":${id}}\n`);
    const abandon = (): void => {
      if (this.#pending.get(id) === pending) this.#pending.set(id, { ...pending, ...NOBODY });
    };
    return { reply: promise, abandon };
  }

  /** Closes the connection. */
  close(): void {
    this.#closing = true;
    this.#socket.close();
  }

  #send(text: string): void {
    this.#output += text;
    if (this.#writing) return;
    this.#writing = true;
    this.#write();
  }

  async #write(): Promise<void> {
    try {
      // Commands of this turn are written together.
      await undefined;
      while (this.#output !== "") {
        const bytes = ENCODER.encode(this.#output);
        this.#output = "";
        await this.#socket.write(bytes);
      }
    } catch (error) {
      // After a hang-up the reader gets the last bytes, then the end.
      if (!isEnded(error)) this.#fail(error);
    } finally {
      this.#writing = false;
    }
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
    const inFlight = Array.from(this.#pending.values(), ({ name }) => name);
    this.#error ??= new ConnectionLost(
      this.#closing
        ? `${this.#address}: the connection was closed`
        : `${this.#address}: the other end has closed the connection` +
          (this.greeting === undefined ? " without a greeting" : ""),
      inFlight,
    );
    this.#socket.close();
    this.#options.ended(this.#error);
    this.#greeted.reject(this.#error);
    for (const { name, reject } of this.#pending.values()) reject(this.#lost(name, true));
    this.#pending.clear();
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
    let text: string;
    let message: Record<string, unknown>;
    try {
      text = DECODER.decode(found).trim();
      message = parseExact(text) as Record<string, unknown>;
    } catch (error) {
      throw this.#invalid(`not JSON: ${(error as Error).message}`);
    }
    if (this.greeting === undefined) return this.#greet(message, text);
    if (typeof message["event"] === "string") return this.#options.event(eventOf(message, text));
    if ("return" in message || "error" in message) return this.#settle(message, text);
    throw this.#invalid(`neither a reply nor an event: ${text}`);
  }

  #greet(message: Record<string, unknown>, text: string): void {
    const { version, capabilities } = Object(message["QMP"]);
    if (typeof message["QMP"] !== "object" || !Array.isArray(capabilities)) {
      throw this.#invalid(text);
    }
    this.greeting = { version: Object(version), capabilities: capabilities.map(String) };
    this.#greeted.resolve();
  }

  #settle(message: Record<string, unknown>, text: string): void {
    const { id } = message;
    const pending = typeof id === "number" ? this.#pending.get(id) : undefined;
    if (pending === undefined) throw this.#invalid(`a reply to no command: ${text}`);
    this.#pending.delete(id as number);
    if ("return" in message) return pending.resolve({ value: message["return"], text });
    const { class: errorClass, desc } = Object(message["error"]);
    if (typeof errorClass !== "string" || typeof desc !== "string") {
      throw this.#invalid(`an error without class or desc: ${text}`);
    }
    pending.reject(new QmpError(pending.name, errorClass, desc));
  }

  /** Returns the error for something that is not QMP. */
  #invalid(found: string): Error {
    const shown = JSON.stringify(shortened(found, SHOWN_LENGTH));
    return this.greeting === undefined
      ? new NotQmpError(`${this.#address} is not a QMP monitor: it begins with ${shown}`)
      : new ProtocolError(`${this.#address} sent what QMP does not have: ${shown}`);
  }
}

/** The receiver of a reply that nobody waits for. */
const NOBODY = { resolve: (): void => {}, reject: (): void => {} };

function eventOf(message: Record<string, unknown>, text: string): QmpEvent {
  const { seconds, microseconds } = Object(message["timestamp"]);
  return {
    name: message["event"] as string,
    data: message["data"] ?? {},
    timestamp: { seconds: Number(seconds ?? 0), microseconds: Number(microseconds ?? 0) },
    text,
  };
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
  const [problem, text] = known ?? ["other", (error as Error).message];
  return new ConnectError(problem, `${address}: ${text}`, { cause: error });
}
