/**
 * A QMP session with a monitor, for the one-shot subcommands.
 *
 * It runs one command at a time, and queues events that it receives before the reply. The monitor
 * may be qmpmux or QEMU's own monitor.
 *
 * @module
 */

import { type Address, addressText } from "../policy/address.ts";
import { MessageSplitter } from "../wire/message_splitter.ts";
import { readJsonObject } from "../wire/json_text.ts";
import { withTimeout } from "../platform/clock.ts";
import { DialError, dialOnce } from "../platform/dial.ts";
import { Failure } from "../platform/failure.ts";
import { isHangUp, type Stream } from "../platform/stream.ts";

const ENCODER = new TextEncoder();
const BUFFER_BYTES = 65536;

/** The most bytes of a message. QEMU's longest known message, a large memory dump as text, has 23 MB. */
export const MESSAGE_BYTES_LIMIT = 64 << 20;

/** The most bytes of events that are queued while a reply is pending. */
const EVENT_BYTES_LIMIT = 64 << 20;

/** The most bytes of an error; a long list of errors in a file has a hundredth of that. */
const ERROR_LENGTH_LIMIT = 1 << 20;

/** An error reply. */
export interface ErrorReply {
  /** The error class. */
  readonly errorClass: string;
  /** The text of the error; escape it before printing it to a terminal. */
  readonly desc: string;
}

/** The reply to a command: the value as JSON on one line of printable ASCII, or the error. */
export type SessionReply = { readonly value: string } | ErrorReply;

/** An event. */
export interface SessionEvent {
  /** The name; escape it before printing it to a terminal. */
  readonly name: string;
  /** The whole message, as JSON on one line of printable ASCII. */
  readonly text: string;
}

/** A message from the monitor; values and events are JSON on one line of printable ASCII. */
type SessionMessage =
  | { readonly kind: "greeting" }
  | { readonly kind: "return"; readonly value: string }
  | { readonly kind: "error"; readonly error: string }
  | { readonly kind: "event" } & SessionEvent
  | { readonly kind: "invalid"; readonly wrong: string };

/** A failure because no monitor answers at an address; a retry may succeed. */
export class NoMonitor extends Failure {}

/** A failure because the backlog of a monitor is full: it serves one client, and others are waiting. */
export class BusyMonitor extends NoMonitor {}

/** A negotiated session. */
export class Session implements Disposable {
  readonly #socket: Stream;
  readonly #address: string;
  // `#read` checks the actual limit, and names it in its error.
  readonly #splitter = new MessageSplitter(MESSAGE_BYTES_LIMIT + (1 << 20));
  readonly #buffer = new Uint8Array(BUFFER_BYTES);
  readonly #events: SessionEvent[] = [];
  #eventBytes = 0;
  /** The number of bytes received of an incomplete message. */
  #partial = 0;
  /** The pending read, which a timeout in `quiet` does not cancel. */
  #reading: Promise<SessionMessage | undefined> | undefined;

  private constructor(socket: Stream, address: string) {
    this.#socket = socket;
    this.#address = address;
  }

  /**
   * Connects and negotiates, without enabling capabilities.
   *
   * @param connected called when the connection is open, before the greeting
   * @throws NoMonitor if nothing listens or the peer disconnects; Failure if the peer is not a monitor
   */
  static async open(address: Address, connected = (): void => {}): Promise<Session> {
    const session = new Session(await connect(address), addressText(address));
    connected();
    try {
      const greeting = await session.#next();
      if (greeting === undefined) {
        throw new NoMonitor(
          69,
          `${session.#address} closed the connection without a greeting: its QEMU is away, ` +
            "or it does not admit this client",
        );
      }
      if (greeting.kind !== "greeting") throw session.#notQmp();
      const answer = await session.execute("qmp_capabilities");
      if ("desc" in answer) throw new Failure(1, `${session.#address}: ${answer.desc}`);
      return session;
    } catch (error) {
      session[Symbol.dispose]();
      throw error;
    }
  }

  /**
   * Runs a command; events received before its reply are queued for `event`.
   *
   * @param args the arguments as JSON text
   * @throws Failure if the connection closes before the reply, or the reply is malformed
   */
  async execute(name: string, args = "{}"): Promise<SessionReply> {
    await this.#write(`{"execute":${JSON.stringify(name)},"arguments":${args}}\n`);
    for (;;) {
      const message = await this.#next();
      switch (message?.kind) {
        case undefined:
          throw this.#failed(`the connection was closed before the reply to ${name}`);
        case "invalid":
          throw this.#failed(`invalid reply to ${name}: ${message.wrong}`);
        case "return":
          return { value: message.value };
        case "error":
          return this.#refusalOf(name, message.error);
        case "event":
          this.#keep(message);
      }
    }
  }

  /**
   * Waits for the next event.
   *
   * @returns `undefined` when the connection is closed
   * @throws Failure if it receives any other message
   */
  async event(): Promise<SessionEvent | undefined> {
    const kept = this.#events.shift();
    if (kept !== undefined) {
      this.#eventBytes -= kept.text.length;
      return kept;
    }
    const message = await this.#next();
    if (message === undefined) return undefined;
    if (message.kind === "invalid") throw this.#failed(`invalid event: ${message.wrong}`);
    if (message.kind !== "event") throw this.#notQmp();
    return message;
  }

  /** Waits for an event or a timeout in milliseconds; returns `false` when the connection is closed. */
  async quiet(patience: number): Promise<boolean> {
    this.#eventBytes = 0;
    if (this.#events.splice(0).length > 0) return true;
    if (await withTimeout(patience, this.#reading ??= this.#read(), "late") === "late") return true;
    return await this.event() !== undefined;
  }

  /** Disconnects. */
  [Symbol.dispose](): void {
    this.#socket.close();
  }

  async #write(text: string): Promise<void> {
    try {
      for (let bytes = ENCODER.encode(text); bytes.length > 0;) {
        bytes = bytes.subarray(await this.#socket.write(bytes));
      }
    } catch (error) {
      // The next read returns the peer's last bytes, and then the end of the stream.
      if (!isHangUp(error)) throw this.#broken(error);
    }
  }

  async #next(): Promise<SessionMessage | undefined> {
    const message = await (this.#reading ??= this.#read());
    this.#reading = undefined;
    return message;
  }

  async #read(): Promise<SessionMessage | undefined> {
    for (;;) {
      const found = this.#splitter.next();
      if (found !== undefined) {
        this.#partial = 0;
        return "damage" in found ? { kind: "invalid", wrong: "not JSON" } : messageOf(found);
      }
      if (this.#partial > MESSAGE_BYTES_LIMIT) {
        throw this.#failed(`a message is longer than ${MESSAGE_BYTES_LIMIT} bytes (64 MiB)`);
      }
      const length = await this.#chunk();
      if (length === null) return undefined;
      this.#partial += length;
      this.#splitter.load(this.#buffer.subarray(0, length));
    }
  }

  async #chunk(): Promise<number | null> {
    try {
      return await this.#socket.read(this.#buffer);
    } catch (error) {
      if (isHangUp(error)) return null;
      throw this.#broken(error);
    }
  }

  #keep(event: SessionEvent): void {
    this.#events.push(event);
    this.#eventBytes += event.text.length;
    if (this.#eventBytes <= EVENT_BYTES_LIMIT) return;
    throw this.#failed(`received more than ${EVENT_BYTES_LIMIT} bytes of events before the reply`);
  }

  #refusalOf(name: string, text: string): ErrorReply {
    if (text.length > ERROR_LENGTH_LIMIT) {
      throw this.#failed(`invalid reply to ${name}: the error has ${text.length} bytes`);
    }
    const { class: errorClass, desc } = Object(JSON.parse(text));
    if (typeof errorClass === "string" && typeof desc === "string") return { errorClass, desc };
    throw this.#failed(`invalid reply to ${name}: the error has no class or desc that is a string`);
  }

  #failed(what: string): Failure {
    return new Failure(1, `${this.#address}: ${what}`);
  }

  /** Converts an error of the socket to a failure; returns an internal error unchanged. */
  #broken(error: unknown): unknown {
    if (!(error instanceof Error) || !/\(os error \d+\)/.test(error.message)) return error;
    return this.#failed(error.message);
  }

  #notQmp(): Failure {
    return new Failure(69, `${this.#address} does not speak QMP; use the address of a monitor`);
  }
}

/** Reads a message; its kind is `invalid` if it is not a greeting, a reply or an event. */
function messageOf(bytes: Uint8Array): SessionMessage {
  const read = readJsonObject(bytes);
  if ("wrong" in read) return { kind: "invalid", wrong: `not JSON: ${read.wrong}` };
  const { text, members } = read;
  const value = members.get("return");
  if (value !== undefined) return { kind: "return", value };
  const error = members.get("error");
  if (error !== undefined) return { kind: "error", error };
  const event = members.get("event");
  if (event?.startsWith('"')) return { kind: "event", name: JSON.parse(event), text };
  if (members.get("QMP")?.startsWith("{")) return { kind: "greeting" };
  return { kind: "invalid", wrong: "it is neither a reply nor an event" };
}

async function connect(address: Address): Promise<Stream> {
  const text = addressText(address);
  try {
    return await dialOnce(address);
  } catch (error) {
    if (!(error instanceof DialError)) throw error;
    switch (error.problem) {
      case "no directory":
      case "no socket":
      case "refused":
        throw new NoMonitor(
          69,
          `${text}: nothing listens there; start qmpmux, or correct the address`,
        );
      case "denied":
        throw new Failure(
          77,
          `${text}: no permission to connect; run this command as a user who may use the socket`,
        );
      case "busy":
        throw new BusyMonitor(
          69,
          `${text} is busy: it serves one client at a time, and others are waiting`,
        );
      default:
        throw new NoMonitor(69, `${text}: ${error.message}`);
    }
  }
}
