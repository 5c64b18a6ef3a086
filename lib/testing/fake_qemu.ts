/**
 * A fake QEMU for the tests of programs: a monitor without a machine.
 *
 * Its answers come from a script, from the schema of a QEMU, or from a recording.
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
import type { FakeKind, FakeService } from "./fake_kind.ts";
import { FakeServer } from "./fake_server.ts";
import { FaultPlan, readFault } from "./fault.ts";
import { checkList, checkMembers } from "./known_members.ts";
import { greetingOf, type QemuVersion, readVersion } from "./qemu_version.ts";
import { recordedKind, type RecordingOptions } from "./recorded.ts";
import { type Replies, SchemaAnswers } from "./schema_answers.ts";
import { SchemaCheck } from "./schema_check.ts";
import { Script, type ScriptEntry } from "./script.ts";

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

const OPTIONS = ["listen", "version", "capabilities", "faults"];
const RECORDING_OPTIONS = ["listen", "faults", "lenient", "speed", "as", "vm", "listener"];

const DEFAULT_VERSION = "11.1.0";

/** A fake QEMU. */
export class FakeQemu implements AsyncDisposable {
  /** The commands that have been received, in order, without `qmp_capabilities` and without malformed ones. */
  readonly received: ReceivedCommand[] = [];
  readonly #kind: FakeKind;
  readonly #service: FakeService;
  readonly #server: FakeServer;

  private constructor(kind: FakeKind) {
    this.#kind = kind;
    for (const { action } of kind.faults) if (action.kind === "event") this.#checkEvent(action);
    this.#service = kind.service({
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
    checkOptions(options, [...OPTIONS, "replies"]);
    const list = Array.isArray(schema) ? schema : (Object(schema) as { return?: unknown }).return;
    const introspection = readIntrospection(list);
    const version = readVersion(options.version ?? DEFAULT_VERSION);
    const check = new SchemaCheck(introspection, [version.major, version.minor]);
    const answerer = new SchemaAnswers(introspection, check, version, list, options.replies ?? {});
    const parts = { check, mismatches: [], missing: () => [] };
    return await FakeQemu.#start({ ...answering(answerer, version, options), ...parts }, options);
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
    checkOptions(options, OPTIONS);
    const version = readVersion(options.version ?? DEFAULT_VERSION);
    const script = new Script(entries);
    const { mismatches } = script;
    const parts = { check: undefined, mismatches, missing: () => script.missing() };
    return await FakeQemu.#start({ ...answering(script, version, options), ...parts }, options);
  }

  /**
   * Starts a QEMU that plays a recording, or another file that `qmpmux replay` plays.
   *
   * Each connection gets the session of a recorded client. A command that was not recorded, or comes in
   * another order, gets an error.
   *
   * @param file its path or its URL
   * @throws PlayError if it cannot be played; TypeError, RangeError or SyntaxError if an option is invalid; Error
   *   with the `code` of the system's error if it cannot read or listen
   */
  static async fromRecording(
    file: string | URL,
    options: RecordingOptions = {},
  ): Promise<FakeQemu> {
    checkOptions(options, RECORDING_OPTIONS);
    return await FakeQemu.#start(await recordedKind(file, options), options);
  }

  static async #start(
    kind: FakeKind,
    { listen }: Pick<FakeQemuOptions, "listen">,
  ): Promise<FakeQemu> {
    const qemu = new FakeQemu(kind);
    if (listen !== false) await qemu.#server.listen(listen);
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
   * Sends an event, at once, to the clients that are connected. Without one, or before its negotiation, the
   * event is lost, as with QEMU.
   *
   * @throws TypeError if the schema has no such event, or other data
   */
  emit(event: FakeEvent): void {
    this.#checkEvent(event);
    this.#service.sendEvent(new EventName(event.name), eventOf(event, Date.now() / 1000));
  }

  #checkEvent({ name, data }: FakeEvent): void {
    const problem = this.#kind.check?.eventProblem(name, frameOf(stringifyExact(data ?? {})).bytes);
    if (problem === undefined) return;
    throw new TypeError(`${name} is not an event of the schema: ${problem}`);
  }

  /**
   * The commands that a script or a recording did not expect, each as a sentence.
   *
   * The client got an error for each of them.
   */
  get mismatches(): readonly string[] {
    return this.#kind.mismatches;
  }

  /**
   * Checks that a script or a recording has been followed to its end.
   *
   * @throws Error that names the commands that were not expected, or have not come
   */
  verify(): void {
    const problems = [...this.mismatches, ...this.#kind.missing()];
    if (problems.length > 0) throw new Error(problems.join("\n"));
  }

  /**
   * Ends it: closes its connections and its socket. A command that is delayed, or whose function of `replies` has not
   * returned, gets no reply.
   *
   * @throws what a function of `replies` has thrown before
   */
  async close(): Promise<void> {
    await this.#server.close();
  }

  /** Ends it, as {@linkcode close} does. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #note(command: Command): void {
    const { name, oob } = command;
    const args = parseExact(argumentsText(command)) as Record<string, unknown>;
    this.received.push({ name, arguments: args, oob });
  }
}

/** Checks the names of options, and that the faults are a list; @throws TypeError if not */
function checkOptions(options: Pick<FakeQemuOptions, "faults">, known: readonly string[]): void {
  checkMembers("options", options, known);
  checkList("faults", options.faults ?? []);
}

/** Returns the parts of a kind whose answers are made. */
function answering(
  answerer: Answerer,
  version: QemuVersion,
  { capabilities = ["oob"], faults: texts = [] }: FakeQemuOptions,
): Pick<FakeKind, "faults" | "service"> {
  const greeting = greetingOf(version, capabilities);
  const faults = texts.map(readFault);
  const options = { answerer, greeting, faults: new FaultPlan(faults) };
  return { faults, service: (host) => new Answering(options, host) };
}
