/**
 * A fake QEMU for the tests of programs: a monitor without a machine.
 *
 * Its answers come from a script, or from the schema of a QEMU.
 *
 * @module
 */

import type { ByteStreams } from "../client/byte_streams.ts";
import { parseExact, stringifyExact } from "../client/exact_json.ts";
import { readIntrospection } from "../client/introspection.ts";
import { EventName } from "../policy/event_filter.ts";
import { frameOf } from "../wire/frame.ts";
import { argumentsText, type Command } from "../wire/message.ts";
import { type Answerer, eventOf, type FakeEvent } from "./answer.ts";
import { Answering } from "./answering.ts";
import { FakeServer } from "./fake_server.ts";
import { FaultPlan, readFault } from "./fault.ts";
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
  readonly #service: Answering;
  readonly #server: FakeServer;

  private constructor(
    { answerer, check }: Kind,
    version: QemuVersion,
    { capabilities = ["oob"], faults = [] }: FakeQemuOptions,
  ) {
    this.#answerer = answerer;
    this.#check = check;
    const read = faults.map(readFault);
    for (const { action } of read) if (action.kind === "event") this.#checkEvent(action);
    const greeting = greetingOf(version, capabilities);
    this.#service = new Answering({ answerer, greeting, faults: new FaultPlan(read) }, {
      received: (command) => this.#note(command),
      emit: (event) => this.emit(event),
      restart: () => this.#server.restart(),
      end: () => this.#server.end(),
      fail: (error) => this.#server.fail(error),
    });
    this.#server = new FakeServer(this.#service);
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
    await qemu.#listen(options);
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
    await qemu.#listen(options);
    return qemu;
  }

  /**
   * The address of its socket, `unix:/path` or `tcp:HOST:PORT`.
   *
   * @throws Error if it has none
   */
  get address(): string {
    return this.#server.address;
  }

  /**
   * Opens a connection in memory.
   *
   * @returns the client's end
   * @throws Error if it has ended
   */
  open(): ByteStreams {
    return this.#server.open();
  }

  /**
   * Sends an event, at once, to the client that is connected. Without one, or before its negotiation, the
   * event is lost, as with QEMU.
   *
   * @throws TypeError if the schema has no such event, or other data
   */
  emit(event: FakeEvent): void {
    this.#checkEvent(event);
    this.#service.sendEvent(new EventName(event.name), eventOf(event, Date.now() / 1000));
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
    await this.#server.close();
  }

  /** Ends it, as {@linkcode close} does. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #listen({ listen }: FakeQemuOptions): Promise<void> {
    if (listen !== false) await this.#server.listen(listen);
  }

  #note(command: Command): void {
    const { name, oob } = command;
    const args = parseExact(argumentsText(command)) as Record<string, unknown>;
    this.received.push({ name, arguments: args, oob });
  }
}
