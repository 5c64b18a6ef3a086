/**
 * A client's session with a monitor, for the one-shot commands.
 *
 * One command at a time; events that come meanwhile wait in their order. Works
 * with qmpmux and with QEMU's own monitor.
 *
 * @module
 */

import { type Address, addressText } from "../terms/address.ts";
import { MessageSplitter } from "../wire/balance.ts";
import { type Event, type Message, readMessage, type Reply } from "../wire/message.ts";
import { returned } from "../wire/reply.ts";
import { Failure } from "./failure.ts";

const ENCODER = new TextEncoder();
const DECODER = new TextDecoder();
const BUFFER_BYTES = 65536;

/** An error that answers a command. */
export interface Refusal {
  /** Its class. */
  readonly errorClass: string;
  /** Its text. */
  readonly desc: string;
}

/** The answer to a command: the text of its value, or its error. */
export type Answer = { readonly value: string } | Refusal;

/** A monitor whose queue of connections is full: it serves somebody else, and others wait already. */
export class BusyMonitor extends Failure {}

/** A negotiated session. */
export class Session implements Disposable {
  readonly #socket: Deno.Conn;
  readonly #address: string;
  readonly #splitter = new MessageSplitter();
  readonly #buffer = new Uint8Array(BUFFER_BYTES);
  readonly #events: Event[] = [];
  /** What is being waited for; it stays so where patience has ended before. */
  #coming: Promise<Message | undefined> | undefined;

  private constructor(socket: Deno.Conn, address: string) {
    this.#socket = socket;
    this.#address = address;
  }

  /**
   * Connects and negotiates, without any capability.
   *
   * @param connected is told when it is connected, before there is a greeting
   * @throws Failure where nobody listens there, or not a monitor
   */
  static async open(address: Address, connected = (): void => {}): Promise<Session> {
    const session = new Session(await connect(address), addressText(address));
    connected();
    try {
      const greeting = await session.#next();
      if (greeting?.kind !== "greeting") throw session.#notQmp();
      const answer = await session.execute("qmp_capabilities");
      if ("desc" in answer) throw new Failure(1, `${session.#address}: ${answer.desc}`);
      return session;
    } catch (error) {
      session[Symbol.dispose]();
      throw error;
    }
  }

  /**
   * Runs a command; events that come before its reply are kept for `event`.
   *
   * @param args the arguments as JSON text
   * @throws Failure where the connection ends before the reply
   */
  async execute(name: string, args = "{}"): Promise<Answer> {
    await this.#write(`{"execute":${JSON.stringify(name)},"arguments":${args}}\n`);
    for (;;) {
      const message = await this.#next();
      if (message === undefined) {
        throw new Failure(1, `${this.#address}: the connection ended before the reply to ${name}`);
      }
      if (message.kind === "event") this.#events.push(message);
      else if (message.kind !== "greeting") return answerOf(message);
    }
  }

  /** The next event as it was sent, without its line end; `undefined` at the end of the connection. */
  async event(): Promise<{ name: string; text: string } | undefined> {
    const event = this.#events.shift() ?? await this.#next();
    if (event === undefined) return undefined;
    if (event.kind !== "event") throw this.#notQmp();
    return { name: event.name, text: DECODER.decode(event.bytes).trimEnd() };
  }

  /** Waits until there is an event, or so many milliseconds; `false` at the end of the connection. */
  async quiet(patience: number): Promise<boolean> {
    if (this.#events.splice(0).length > 0) return true;
    const { promise: late, resolve } = Promise.withResolvers<"late">();
    const timer = setTimeout(() => resolve("late"), patience);
    try {
      const first = await Promise.race([this.#coming ??= this.#read(), late]);
      if (first === "late") return true;
    } finally {
      clearTimeout(timer);
    }
    return await this.event() !== undefined;
  }

  /** Hangs up. */
  [Symbol.dispose](): void {
    this.#socket.close();
  }

  async #write(text: string): Promise<void> {
    try {
      for (let bytes = ENCODER.encode(text); bytes.length > 0;) {
        bytes = bytes.subarray(await this.#socket.write(bytes));
      }
    } catch (error) {
      // Its end is then read, behind its last words.
      if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
    }
  }

  async #next(): Promise<Message | undefined> {
    const message = await (this.#coming ??= this.#read());
    this.#coming = undefined;
    return message;
  }

  async #read(): Promise<Message | undefined> {
    for (;;) {
      const found = this.#splitter.next();
      if (found !== undefined) {
        const message = "damage" in found ? undefined : readMessage(found);
        if (message === undefined) throw this.#notQmp();
        return message;
      }
      const length = await this.#chunk();
      if (length === null) return undefined;
      this.#splitter.load(this.#buffer.subarray(0, length));
    }
  }

  async #chunk(): Promise<number | null> {
    try {
      return await this.#socket.read(this.#buffer);
    } catch (error) {
      if (error instanceof Deno.errors.ConnectionReset) return null;
      throw error;
    }
  }

  #notQmp(): Failure {
    return new Failure(69, `${this.#address} does not speak QMP; name a monitor`);
  }
}

function answerOf(reply: Reply): Answer {
  const text = returned(reply);
  if (text !== undefined) return { value: text };
  const { error } = JSON.parse(DECODER.decode(reply.bytes));
  return { errorClass: String(error.class), desc: String(error.desc) };
}

async function connect(address: Address): Promise<Deno.Conn> {
  const text = addressText(address);
  try {
    if (address.transport === "unix") return await Deno.connect(address);
    return await Deno.connect({ hostname: address.hostname, port: address.port });
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.ConnectionRefused) {
      throw new Failure(69, `${text}: nobody listens there; start qmpmux, or correct --socket`);
    }
    if (error instanceof Deno.errors.PermissionDenied) {
      throw new Failure(77, `${text}: no permission to connect; ask for a role that has it`);
    }
    if (error instanceof Deno.errors.NotCapable) throw error;
    const { message } = error as Error;
    // QEMU's socket has room for the one client it serves and few that wait.
    if (/os error 11\b|temporarily unavailable/i.test(message)) {
      throw new BusyMonitor(69, `${text} is busy: it serves one client at a time, and others wait`);
    }
    throw new Failure(69, `${text}: ${message}`);
  }
}
