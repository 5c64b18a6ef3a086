/**
 * A fake QEMU on a unix socket that can send anything.
 *
 * It is the fake QEMU of `lib/testing` with a few commands of a machine. A test sees each command first, and may
 * answer it with bytes that no QEMU sends. `FakePeer` is the same without a socket; the simulation has its own
 * QEMU, which decides by a seed and records which replies it owes.
 *
 * @module
 */

import type { ClientSocket } from "../../lib/platform/client_socket.ts";
import { EventName } from "../../lib/policy/event_filter.ts";
import { type Answer, eventOf, type FakeEvent, plainAnswer } from "../../lib/testing/answer.ts";
import { Answering } from "../../lib/testing/answering.ts";
import type { FakeConnection } from "../../lib/testing/fake_connection.ts";
import { FakeServer } from "../../lib/testing/fake_server.ts";
import { FaultPlan } from "../../lib/testing/fault.ts";
import { greetingOf } from "../../lib/testing/qemu_version.ts";
import type { Command, Greeting } from "../../lib/wire/message.ts";
import { qemuText } from "../../lib/wire/qemu_json.ts";
import { errorReply, returnReply } from "../../lib/wire/reply.ts";
import { joined } from "../../lib/wire/text.ts";

const ENCODER = new TextEncoder();

/** Bytes, as they are or as text. */
export type Bytes = string | Uint8Array;

/** Returns the line of a reply that returns an empty object, with the id of its command. */
export function emptyReturn({ id }: Pick<Command, "id">): string {
  return `{"return": {}${id === undefined ? "" : `, "id": ${id}`}}\r\n`;
}

/** Settings of a fake QEMU. */
export interface FakeQemuManners {
  readonly version?: { readonly major: number; readonly minor: number; readonly micro: number };
  readonly capabilities?: readonly string[];
  /** Bytes that replace the greeting; none if this is empty. */
  readonly greeting?: Bytes;
  /** Bytes right after the greeting. */
  readonly blurts?: Bytes;
  /** Whether it closes each connection right after the greeting. */
  readonly leaves?: boolean;
  /** Returns raw bytes that answer a command, "" for no reply, `undefined` for the usual one. */
  answer?(command: Command, connection: FakeQemuConnection): string | undefined;
}

/** The connection that a fake QEMU serves. */
export interface FakeQemuConnection {
  /** Sends bytes. */
  say(bytes: Bytes): void;
  /** Closes the connection at once. */
  hangUp(): void;
  /** Closes the connection when everything has been sent. */
  finish(): void;
  /** Reads nothing more from the connection. */
  stopReading(): void;
}

/** A listening fake QEMU. */
export class FakeQemu implements AsyncDisposable {
  readonly path: string;
  /** The text of all input after its greeting, one entry for each read. */
  readonly heard: string[] = [];
  /** The number of connections it has served. */
  connections = 0;
  readonly #manners: FakeQemuManners;
  readonly #machine = new Machine();
  readonly #server: FakeServer;
  readonly #listening: Promise<void>;
  /** The socket that is served. */
  #socket: HeardSocket | undefined;

  constructor(path: string, manners: FakeQemuManners = {}) {
    this.path = path;
    this.#manners = manners;
    const answering = new Answering({
      answerer: { answer: (command) => this.#usual(command) },
      get greeting() {
        return greetingFor(manners);
      },
      faults: new FaultPlan([]),
      connection: { first: (command, connection) => this.#first(command, connection) },
    }, {
      received: () => {},
      emit: (event) => answering.sendEvent(new EventName(event.name), eventOf(event, now())),
      restart: () => Promise.resolve(),
      // The next QEMU is there at once.
      end: () => Promise.resolve(),
      fail: (error) => this.#server.fail(error),
    });
    this.#server = new FakeServer({
      serve: (socket) => answering.serve(this.#heard(socket)),
      closeConnections: () => answering.closeConnections(),
      finish: () => answering.finish(),
    });
    // It listens before the first promise.
    this.#listening = this.#server.listen(`unix:${path}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#listening;
    await this.#server.close();
  }

  /** Returns a socket whose input is noted. */
  #heard(socket: ClientSocket): HeardSocket {
    const heard: HeardSocket = new HeardSocket(socket, {
      heard: (bytes) => void this.heard.push(new TextDecoder().decode(bytes)),
      greeted: () => {
        this.connections++;
        this.#socket = heard;
      },
      leaves: this.#manners.leaves ?? false,
    });
    return heard;
  }

  /** Lets the test answer a command; returns whether it has. */
  #first(command: Command, connection: FakeConnection): boolean {
    const socket = this.#socket!;
    if (socket.isFinished) return true;
    const say = (said: Bytes): void =>
      connection.write(typeof said === "string" ? ENCODER.encode(said) : said);
    let isAnswered = false;
    const own = this.#manners.answer?.(command, {
      say,
      hangUp: () => connection.close(),
      finish: () => {
        socket.isFinished = true;
        if (isAnswered) void connection.finish();
      },
      stopReading: () => void (socket.reads = false),
    });
    isAnswered = true;
    if (own === undefined) {
      // The monitor itself answers it, at once.
      if (socket.isFinished && command.name === "qmp_capabilities") {
        queueMicrotask(() => void connection.finish());
      }
      return false;
    }
    say(own);
    if (socket.isFinished) void connection.finish();
    return true;
  }

  /** Returns the usual answer, behind which a connection that is finished is closed. */
  #usual(command: Command): Answer {
    const answer = this.#machine.answer(command);
    return this.#socket!.isFinished ? { ...answer, end: { kind: "quit" } } : answer;
  }
}

/** The greeting that its settings say. */
function greetingFor(manners: FakeQemuManners): Greeting {
  const { capabilities = ["oob"], version = { major: 0, minor: 0, micro: 0 } } = manners;
  const usual = greetingOf({ ...version, package: "stand-in" }, capabilities);
  const parts = [manners.greeting ?? usual.bytes, manners.blurts ?? ""];
  const bytes = parts.map((part) => typeof part === "string" ? ENCODER.encode(part) : part);
  return { ...usual, bytes: joined(bytes) };
}

/** The callbacks of a socket whose input is noted. */
interface Hearing {
  heard(bytes: Uint8Array): void;
  /** Called before the greeting is sent. */
  greeted(): void;
  /** Whether it closes right after the greeting. */
  readonly leaves: boolean;
}

/** A socket whose input is noted, and that can stop reading. */
class HeardSocket implements ClientSocket {
  reads = true;
  /** Whether no further command is answered. */
  isFinished = false;
  readonly #socket: ClientSocket;
  readonly #hearing: Hearing;
  #isGreeted = false;
  readonly #closed = Promise.withResolvers<void>();

  constructor(socket: ClientSocket, hearing: Hearing) {
    this.#socket = socket;
    this.#hearing = hearing;
  }

  async read(): Promise<Uint8Array | null> {
    const bytes = this.reads ? await this.#socket.read() : null;
    if (!this.reads) await this.#closed.promise;
    else if (bytes !== null) {
      this.#hearing.heard(bytes);
      return bytes;
    }
    return null;
  }

  async write(bytes: Uint8Array): Promise<void> {
    const isGreeting = !this.#isGreeted;
    this.#isGreeted = true;
    if (isGreeting) this.#hearing.greeted();
    await this.#socket.write(bytes);
    if (isGreeting && this.#hearing.leaves) this.close();
  }

  close(): void {
    this.#closed.resolve();
    this.#socket.close();
  }
}

/** The few commands of a machine that it knows. */
class Machine {
  #running = false;

  answer({ name }: Command): Answer {
    switch (name) {
      case "cont":
        return this.#change(true, "RESUME");
      case "stop":
        return this.#change(false, "STOP");
      case "quit": {
        const data = { guest: false, reason: "host-qmp-quit" };
        const before = [{ name: "SHUTDOWN", data }];
        return { ...returned("{}"), before, end: { kind: "quit" } };
      }
      case "query-name":
        return returned("{}");
      case "query-yank":
        return returned("[]");
      case "query-status": {
        const status = this.#running ? "running" : "paused";
        return returned(qemuText({ status, running: this.#running }));
      }
      default:
        return plainAnswer(
          errorReply("CommandNotFound", `The command ${name} has not been found`),
        );
    }
  }

  #change(running: boolean, event: string): Answer {
    const before: FakeEvent[] = this.#running === running ? [] : [{ name: event }];
    this.#running = running;
    return { ...returned("{}"), before };
  }
}

function returned(text: string): Answer {
  return plainAnswer(returnReply(text));
}

function now(): number {
  return Date.now() / 1000;
}

/** Returns an event in QEMU's form, with the present time. */
export function eventLine(name: string, data?: object): string {
  return new TextDecoder().decode(eventOf({ name, data }, now()).bytes);
}
