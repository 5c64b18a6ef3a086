/**
 * One connection to a fake QEMU: the virtual monitor of `lib/session`, on a socket.
 *
 * Its framing, handshake, ids, order of replies and limits are those of qmpmux, which were compared
 * with QEMU's byte by byte.
 *
 * @module
 */

import type { ClientSocket } from "../platform/client_socket.ts";
import { isEnded } from "../platform/client_socket.ts";
import type { DialectName, Grant } from "../policy/admission.ts";
import type { EventName } from "../policy/event_filter.ts";
import { defaultLimits } from "../policy/limits.ts";
import { Role } from "../policy/policy.ts";
import { DIALECTS } from "../session/dialect.ts";
import { Monitor } from "../session/monitor.ts";
import { readCommand } from "../wire/command_reader.ts";
import { type Damage, type Frame, FrameSplitter } from "../wire/frame.ts";
import { type Command, type Event, type Greeting, isPretty, type Reply } from "../wire/message.ts";
import { prettyBytes } from "../wire/qemu_json.ts";

type Ticket = ReturnType<Monitor["reserve"]>;

/** A client that may do everything; the fake QEMU asks no role. */
const GRANT: Grant = {
  name: "fake",
  dialect: "qmp",
  role: new Role({ name: "full", rules: [], events: undefined, administers: false }),
  events: undefined,
  caches: false,
  joins: false,
  limits: defaultLimits("full"),
};

/** A command that waits for its reply. */
export interface PendingCommand {
  /** The command. */
  readonly command: Command;
  /** The connection that it came by. */
  readonly connection: FakeConnection;
  /** Sends the reply in its turn. */
  reply(reply: Reply): void;
  /** Gives up: no reply will come. */
  abandon(): void;
}

/** Runs a command. */
export type Runner = (pending: PendingCommand) => void;

/** Options of a connection. */
export interface ConnectionOptions {
  /** The dialect of the client; `qmp` by default. */
  readonly dialect?: DialectName;
  /** Called once when the client has completed its negotiation. */
  readonly ready?: () => void;
  /** Called with each command before anything else; returns whether it has dealt with it. */
  readonly first?: ((command: Command, connection: FakeConnection) => boolean) | undefined;
}

/** A connection. */
export class FakeConnection {
  readonly #socket: ClientSocket;
  readonly #monitor: Monitor;
  readonly #run: Runner;
  #written: Promise<void> = Promise.resolve();
  /** The bytes that are still sent before the connection is closed. */
  #left = Infinity;
  #isClosed = false;
  /** Resolves when it is closed. */
  readonly #closed = Promise.withResolvers<void>();
  #paused = false;
  /** Whether the client has ended its stream. */
  #hasEnded = false;
  /** The commands that will get a reply. */
  #pending = 0;
  #changed = Promise.withResolvers<void>();
  /** Called when the negotiation is complete. */
  #ready: (() => void) | undefined;
  readonly #first: ConnectionOptions["first"];

  /** Creates a connection that runs its commands by a function. */
  constructor(
    socket: ClientSocket,
    number: number,
    run: Runner,
    { dialect = "qmp", ready, first }: ConnectionOptions = {},
  ) {
    this.#socket = socket;
    this.#run = run;
    this.#ready = ready;
    this.#first = first;
    const send = (bytes: Uint8Array): void => this.write(bytes);
    this.#monitor = new Monitor(
      {
        send,
        sendReply: send,
        close: () => this.close(),
        pause: () => void (this.#paused = true),
        resume: () => {
          this.#paused = false;
          this.#change();
        },
      },
      { ...GRANT, dialect },
      number,
    );
  }

  /** Whether it has been closed. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Greets the client and serves it to the end of its stream, and until its commands are answered. */
  async serve(greeting: Greeting): Promise<void> {
    this.#monitor.greet(greeting);
    const splitter = new FrameSplitter(this.#monitor.grammar);
    for (let chunk = await this.#read(); chunk !== null;) {
      splitter.load(chunk);
      // Reading ahead tells when a client leaves that waits for a reply.
      const next = this.#read();
      for (let input = splitter.next(); input !== undefined; input = splitter.next()) {
        this.#take(input);
        while (this.#paused && !this.#isOver) await this.#changed.promise;
        if (this.#isOver && this.#paused) break;
      }
      chunk = await next;
    }
    while (this.#pending > 0 && !this.#isClosed) await this.#changed.promise;
    await this.finish();
  }

  /** Whether nobody waits for anything: it is closed, or the client has ended and has all replies. */
  get #isOver(): boolean {
    return this.#isClosed || (this.#hasEnded && this.#pending === 0);
  }

  /** Sends an event, if the client has finished its negotiation. */
  sendEvent(name: EventName, event: Event): void {
    const monitor = this.#monitor;
    if (!monitor.wants(name)) return;
    // A recorded event has the style of its QEMU already; one of a fault is plain.
    const isStyled = !monitor.isPretty || isPretty(event.bytes);
    monitor.sendEvent(isStyled ? event : { ...event, bytes: prettyBytes(event.bytes) });
  }

  /** Sends bytes as they are. */
  write(bytes: Uint8Array): void {
    if (this.#left <= 0) return;
    const part = bytes.subarray(0, this.#left);
    this.#left -= part.length;
    const isLast = this.#left === 0;
    this.#written = this.#written.then(async () => {
      if (this.#isClosed) return;
      try {
        await this.#socket.write(part);
      } catch (error) {
        if (!this.#isClosed && !isEnded(error)) throw error;
        this.close();
      }
      if (isLast) this.close();
    });
  }

  /** Sends only some bytes more than what is queued; {@linkcode finish} then closes the connection. */
  cutAfter(bytes: number): void {
    this.#left = bytes;
  }

  /** Sends what is queued, and nothing more. */
  async flush(): Promise<void> {
    this.#left = 0;
    // Closing the socket ends a write that the client does not read, but not in Deno 2.6.
    await Promise.race([this.#written, this.#closed.promise]);
  }

  /** Sends what is queued, then closes the connection. */
  async finish(): Promise<void> {
    await this.flush();
    this.close();
  }

  /** Closes the connection at once. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#closed.resolve();
    this.#monitor.leave("qemu");
    this.#socket.close();
    this.#change();
  }

  /** Reads a chunk, which is a copy; returns `null` at the end. */
  async #read(): Promise<Uint8Array | null> {
    try {
      const chunk = await this.#socket.read();
      if (chunk !== null) return chunk.slice();
    } catch (error) {
      if (!this.#isClosed && !isEnded(error)) throw error;
    }
    this.#hasEnded = true;
    this.#change();
    return null;
  }

  /** Handles an input: answers it, or runs it. */
  #take(input: Frame | Damage): void {
    const monitor = this.#monitor;
    if ("damage" in input) return monitor.damaged(input.damage);
    const command = readCommand(input, monitor.takesOob, monitor.isPretty);
    const { id, oob } = command;
    if ("because" in command) return monitor.refuse(id, oob, "GenericError", command.because);
    if (this.#first?.(command, this)) return;
    const answer = monitor.admit(command);
    if (answer === "run") return this.#start(command);
    if (!oob) {
      monitor.answer(id, false, answer);
      return this.#noteReady();
    }
    monitor.refuse(id, true, "GenericError", `The command ${command.name} does not support OOB`);
  }

  /** Calls back once the mode is the one after the negotiation. */
  #noteReady(): void {
    const { mode, dialect } = this.#monitor;
    if (mode !== DIALECTS[dialect as DialectName].modes.command) return;
    this.#ready?.();
    this.#ready = undefined;
  }

  #start(command: Command): void {
    const ticket: Ticket = this.#monitor.reserve(command.id, command.oob);
    this.#pending++;
    const abandon = (): void => {
      this.#pending--;
      this.#change();
    };
    const reply = (reply: Reply): void => {
      if (!this.#isClosed) this.#monitor.fill(ticket, reply);
      abandon();
    };
    this.#run({ command, connection: this, reply, abandon });
  }

  #change(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}
