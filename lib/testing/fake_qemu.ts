/**
 * A fake QEMU for the tests of programs: a monitor without a machine.
 *
 * It serves one client at a time, as QEMU does; others wait.
 *
 * @module
 */

import type { ByteStreams } from "../client/byte_streams.ts";
import { parseExact, stringifyExact } from "../client/exact_json.ts";
import { readIntrospection } from "../client/introspection.ts";
import type { ClientSocket } from "../platform/client_socket.ts";
import { listenSocket, type ServerSocket, temporaryAddress } from "../platform/server_socket.ts";
import { type Address, addressText, parseAddress } from "../policy/address.ts";
import { EventName } from "../policy/event_filter.ts";
import { frameOf } from "../wire/frame.ts";
import { argumentsText, type Greeting } from "../wire/message.ts";
import { asciiBytes } from "../wire/text.ts";
import { type Answerer, type FakeEvent, qemuTextOf, withFaults } from "./answer.ts";
import { FakeConnection, type PendingCommand } from "./fake_connection.ts";
import { FaultPlan, readFault } from "./fault.ts";
import { memoryPair } from "./memory_socket.ts";
import { greetingOf, type QemuVersion, readVersion } from "./qemu_version.ts";
import { type Replies, SchemaAnswers } from "./schema_answers.ts";
import { SchemaCheck } from "./schema_check.ts";
import { Script, type ScriptEntry, textOf } from "./script.ts";

/** The options of a fake QEMU. */
export interface FakeQemuOptions {
  /**
   * The address to listen on, such as `unix:/run/vm.sock` or `tcp:127.0.0.1:0`, where port 0 lets the system
   * choose. By default it is a unix socket in a new directory. With `false` there is no socket, only
   * {@linkcode FakeQemu.open}.
   */
  readonly listen?: string | false;
  /** Its version, `11.1.0` by default. The texts of some errors depend on it. */
  readonly version?: string;
  /** The capabilities that it offers, `oob` by default. */
  readonly capabilities?: readonly string[];
  /** Faults, such as `query-block: delay 5s` or `stop#2: drop`. */
  readonly faults?: readonly string[];
}

/** The options of a fake QEMU with a schema. */
export interface SchemaOptions extends FakeQemuOptions {
  /**
   * The values that commands return, by name, or functions that return them. Without a value here, a command returns
   * the emptiest value of its type.
   */
  readonly replies?: Replies;
}

/** A command that has been received. */
export interface ReceivedCommand {
  /** The name. */
  readonly name: string;
  /** The arguments; integers beyond 2⁵³ are bigints. */
  readonly arguments: Readonly<Record<string, unknown>>;
  /** Whether it came out of band. */
  readonly oob: boolean;
}

const DEFAULT_VERSION = "11.1.0";

/** The parts of a fake QEMU that differ by its kind. */
interface Kind {
  readonly answerer: Answerer;
  readonly check: SchemaCheck | undefined;
}

/** A fake QEMU. */
export class FakeQemu implements AsyncDisposable {
  /** The commands that have been received, in order, without `qmp_capabilities` and without malformed ones. */
  readonly received: ReceivedCommand[] = [];
  readonly #answerer: Answerer;
  readonly #check: SchemaCheck | undefined;
  readonly #greeting: Greeting;
  readonly #faults: FaultPlan;
  readonly #stop = new AbortController();
  /** Removes the directory of the socket. */
  #remove = (): void => {};
  #server: ServerSocket | undefined;
  #accepting: Promise<void> = Promise.resolve();
  #serving: Promise<void> = Promise.resolve();
  readonly #waiting: ClientSocket[] = [];
  #current: FakeConnection | undefined;
  #connections = 0;
  /** The end of the command that runs. */
  #lane: Promise<void> = Promise.resolve();
  /** The commands that run beside it, out of band. */
  readonly #beside = new Set<Promise<void>>();
  /** Whether it has quit, or has been closed. */
  #hasEnded = false;
  #failure: { readonly error: unknown } | undefined;

  private constructor(
    { answerer, check }: Kind,
    version: QemuVersion,
    { capabilities = ["oob"], faults = [] }: FakeQemuOptions,
  ) {
    this.#answerer = answerer;
    this.#check = check;
    this.#greeting = greetingOf(version, capabilities);
    const read = faults.map(readFault);
    for (const { action } of read) if (action.kind === "event") this.#checkEvent(action);
    this.#faults = new FaultPlan(read);
  }

  /**
   * Starts a QEMU of which only the schema is known.
   *
   * It refuses what the QEMU of this schema refuses, with the same error. It knows no machine: what the schema
   * allows succeeds.
   *
   * @param schema the value that `query-qmp-schema` returns, or the whole reply
   * @throws SchemaError if it is not one; TypeError or SyntaxError if an option is invalid; Error with the
   *   `code` of the system's error if it cannot listen
   */
  static async fromSchema(schema: unknown, options: SchemaOptions = {}): Promise<FakeQemu> {
    const list = Array.isArray(schema) ? schema : (Object(schema) as { return?: unknown }).return;
    const introspection = readIntrospection(list);
    const version = readVersion(options.version ?? DEFAULT_VERSION);
    const check = new SchemaCheck(introspection, [version.major, version.minor]);
    const answerer = new SchemaAnswers(introspection, check, version, list, options.replies ?? {});
    const qemu = new FakeQemu({ answerer, check }, version, options);
    await qemu.#listen(options.listen);
    return qemu;
  }

  /**
   * Starts a QEMU that expects certain commands in order. Any other gets an error that names the expected one.
   *
   * @throws TypeError or SyntaxError if an option or a fault is invalid; Error with the `code` of the system's
   *   error if it cannot listen
   */
  static async scripted(
    entries: readonly ScriptEntry[],
    options: FakeQemuOptions = {},
  ): Promise<FakeQemu> {
    const version = readVersion(options.version ?? DEFAULT_VERSION);
    const kind = { answerer: new Script(entries), check: undefined };
    const qemu = new FakeQemu(kind, version, options);
    await qemu.#listen(options.listen);
    return qemu;
  }

  /**
   * The address of its socket, `unix:/path` or `tcp:HOST:PORT`.
   *
   * @throws Error if it has none
   */
  get address(): string {
    if (this.#server === undefined) {
      throw new Error("this fake QEMU has no socket; connect with open()");
    }
    return addressText(this.#server.address);
  }

  /**
   * Opens a connection in memory.
   *
   * @returns the client's end
   * @throws Error if it has ended
   */
  open(): ByteStreams {
    if (this.#hasEnded) throw new Error("this fake QEMU has ended");
    const { socket, streams } = memoryPair();
    this.#arrived(socket);
    return streams;
  }

  /**
   * Sends an event, at once, to the client that is connected. Without one, or before its negotiation, the
   * event is lost, as with QEMU.
   *
   * @throws TypeError if the schema has no such event, or other data
   */
  emit(event: FakeEvent): void {
    const { name, data } = event;
    this.#checkEvent(event);
    const now = Date.now();
    const timestamp = { seconds: Math.floor(now / 1000), microseconds: now % 1000 * 1000 };
    const body = data === undefined ? { timestamp, event: name } : { timestamp, event: name, data };
    const bytes = asciiBytes(`${qemuTextOf(body)}\r\n`);
    this.#current?.sendEvent(new EventName(name), { kind: "event", bytes, name });
  }

  #checkEvent({ name, data }: FakeEvent): void {
    const problem = this.#check?.eventProblem(name, frameOf(stringifyExact(data ?? {})).bytes);
    if (problem === undefined) return;
    throw new TypeError(`${name} is not an event of the schema: ${problem}`);
  }

  /**
   * Checks that a script has been followed to its end.
   *
   * @throws Error that names the commands that were not expected, or have not come
   */
  verify(): void {
    if (!(this.#answerer instanceof Script)) return;
    const { unexpected, remaining } = this.#answerer;
    const missing = remaining.map((entry) => `Expected command ${textOf(entry)} has not come`);
    const problems = [...unexpected, ...missing];
    if (problems.length > 0) throw new Error(problems.join("\n"));
  }

  /**
   * Ends it: closes its connections and its socket. A command that is delayed gets no reply.
   *
   * @throws what a function of `replies` has thrown
   */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#end();
    await this.#accepting;
    await this.#serving;
    await this.#lane;
    await Promise.all(this.#beside);
    this.#remove();
    this.#remove = () => {};
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure !== undefined) throw failure.error;
  }

  /** Ends it, as {@linkcode close} does. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #listen(listen: string | false | undefined): Promise<void> {
    if (listen === false) return;
    let address: Address;
    if (listen === undefined) {
      const place = temporaryAddress();
      this.#remove = place.remove;
      address = place.address;
    } else address = parseAddress(listen);
    this.#server = await listenSocket(address);
    this.#accepting = this.#accept(this.#server).catch((error) => this.#fail(error));
  }

  async #accept(server: ServerSocket): Promise<void> {
    for (let socket = await server.accept(); socket; socket = await server.accept()) {
      this.#arrived(socket);
    }
  }

  #arrived(socket: ClientSocket): void {
    if (this.#hasEnded) return socket.close();
    this.#waiting.push(socket);
    if (this.#waiting.length === 1 && this.#current === undefined) {
      this.#serving = this.#serving.then(() => this.#serve()).catch((error) => this.#fail(error));
    }
  }

  /** Serves the clients that wait, one after the other. */
  async #serve(): Promise<void> {
    for (let socket = this.#waiting.shift(); socket; socket = this.#waiting.shift()) {
      this.#connections++;
      const connection = new FakeConnection(
        socket,
        this.#connections,
        (pending) => this.#take(pending),
      );
      this.#current = connection;
      await connection.serve(this.#greeting);
      this.#current = undefined;
    }
  }

  /** Runs a command after those before it, or at once if it is out of band. */
  #take(pending: PendingCommand): void {
    const { command } = pending;
    const args = parseExact(argumentsText(command)) as Record<string, unknown>;
    this.received.push({ name: command.name, arguments: args, oob: command.oob });
    const run = (): Promise<void> => this.#run(pending).catch((error) => this.#fail(error));
    if (!command.oob) {
      this.#lane = this.#lane.then(run);
      return;
    }
    const running = run().finally(() => this.#beside.delete(running));
    this.#beside.add(running);
  }

  async #run({ command, connection, reply, abandon }: PendingCommand): Promise<void> {
    // QEMU drops the waiting commands of a client that has left.
    if (connection.isClosed) return abandon();
    const plain = await this.#answerer.answer(command);
    const answer = withFaults(plain, this.#faults.next(command.name));
    if (answer.delay > 0) await passed(answer.delay, this.#stop.signal);
    if (this.#stop.signal.aborted) return abandon();
    for (const event of answer.before) this.emit(event);
    const { end } = answer;
    switch (end.kind) {
      case "none":
        reply(answer.reply);
        break;
      case "silent":
        abandon();
        break;
      case "drop":
        abandon();
        await connection.finish();
        break;
      case "cut":
        connection.cutAfter(end.bytes);
        reply(answer.reply);
        await connection.finish();
        break;
      case "restart":
        abandon();
        await this.#restart();
        break;
      case "quit":
        reply(answer.reply);
        await connection.finish();
        await this.#end();
    }
    for (const event of answer.after) this.emit(event);
  }

  /** Ends all connections, and listens again at the same address. */
  async #restart(): Promise<void> {
    this.#closeConnections();
    if (this.#server === undefined) return;
    const { address } = this.#server;
    await this.#server.close();
    await this.#accepting;
    if (this.#hasEnded) return;
    this.#server = await listenSocket(address);
    this.#accepting = this.#accept(this.#server).catch((error) => this.#fail(error));
  }

  /** Ends all connections, and listens no more. */
  async #end(): Promise<void> {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#closeConnections();
    await this.#server?.close();
  }

  #closeConnections(): void {
    for (const socket of this.#waiting.splice(0)) socket.close();
    this.#current?.close();
  }

  /** Ends with an error, which {@linkcode close} throws. */
  async #fail(error: unknown): Promise<void> {
    this.#failure ??= { error };
    await this.#end();
  }
}

/** Waits for some milliseconds, or until a signal. */
async function passed(ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  signal.addEventListener("abort", () => resolve());
  await promise;
  clearTimeout(timer);
}
