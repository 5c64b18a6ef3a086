/**
 * The cache of fixed replies, and the sharing of equal questions.
 *
 * Fixed replies are cached until QEMU exits. A client can join an equal question of another
 * client only while that question waits in qmpmux. The reply is then newer than both commands.
 *
 * @module
 */

import { argumentsText, type Command, type Reply } from "../wire/message.ts";
import { OBSERVER_COMMANDS } from "../policy/observer_role.ts";

/**
 * The queries whose reply does not change in the lifetime of a QEMU process, with the reasons.
 *
 * This is true only for queries without arguments. The replies of QEMU 7.2 were compared byte
 * for byte before and after devices, objects, chardevs and block nodes were added and the
 * machine ran.
 */
export const IMMUTABLE: ReadonlyMap<string, string> = new Map([
  ["query-version", "compiled in"],
  ["query-qmp-schema", "compiled in, filtered by -compat at the start"],
  ["query-commands", "the commands are registered at the start"],
  ["query-command-line-options", "compiled in"],
  ["query-target", "compiled in"],
  ["query-chardev-backends", "compiled in"],
  ["query-tpm-models", "compiled in"],
  ["query-tpm-types", "compiled in"],
  ["query-machines", "the machine types are registered at the start"],
  ["query-name", "set by -name, which nothing changes later"],
  ["query-uuid", "set by -uuid, which nothing changes later"],
  ["query-kvm", "the accelerator is chosen at the start"],
]);

/** The commands of an observer that clients never share. */
const NOT_SHARED: ReadonlySet<string> = new Set([
  "qmp_capabilities",
  "query-accelerators",
  "query-migrationthreads",
  "query-rocker-of-dpa-flows",
  "query-rocker-of-dpa-groups",
  "query-rocker-ports",
  "query-s390x-cpu-polarization",
  "query-sev",
  "query-sgx-capabilities",
  "trace-event-get-state",
  "xen-event-list",
]);

/** The queries that clients may share. */
export const SHARED_NAMES: ReadonlySet<string> = new Set(
  OBSERVER_COMMANDS.filter((name) => !NOT_SHARED.has(name)),
);

/**
 * The most equal questions in flight.
 *
 * More would not help, because QEMU runs them one by one, and a waiting question can be joined.
 * With only one, QEMU could not read the next question while it runs the present one.
 */
const CONCURRENT_LIMIT = 2;

/** The most bytes of a question; QEMU's queries are far shorter. */
const QUESTION_BYTES_LIMIT = 512;

/** The most bytes of a cached reply. QEMU's longest fixed reply, to `query-machines`, has 0.5 MB. */
export const CACHED_BYTES_LIMIT: number = 4 << 20;

/** The text of a question; equal questions have equal texts. */
export type Question = string;

/** A cache of replies, and a register of questions; `J` is the request of a question. */
export class QueryCache<J> {
  readonly #cached = new Map<string, Reply>();
  readonly #pending = new Map<Question, J>();
  readonly #started = new Map<Question, number>();

  /** Returns the cached reply to a command, if there is one. */
  cached(command: Command): Reply | undefined {
    return isPlain(command) ? this.#cached.get(command.name) : undefined;
  }

  /** Caches the reply to a command, if the reply is fixed. */
  store(command: Command, reply: Reply): void {
    const lasts = IMMUTABLE.has(command.name) && isPlain(command) && reply.kind === "return";
    if (lasts && reply.bytes.length <= CACHED_BYTES_LIMIT) this.#cached.set(command.name, reply);
  }

  /** Returns the question of a command, if others may share its reply. */
  question(command: Command): Question | undefined {
    const { name, oob, bytes } = command;
    if (oob || bytes.length > QUESTION_BYTES_LIMIT || !SHARED_NAMES.has(name)) return undefined;
    return name + argumentsText(command);
  }

  /** Returns the waiting request of an equal question, if there is one. */
  pending(question: Question): J | undefined {
    return this.#pending.get(question);
  }

  /** Registers a waiting question. */
  add(question: Question, job: J): void {
    this.#pending.set(question, job);
  }

  /** Returns whether few enough equal questions are in flight to send another one. */
  mayStart(question: Question): boolean {
    return (this.#started.get(question) ?? 0) < CONCURRENT_LIMIT;
  }

  /** Marks a question as sent; it can no longer be joined. */
  started(question: Question): void {
    this.#pending.delete(question);
    this.#started.set(question, (this.#started.get(question) ?? 0) + 1);
  }

  /** Forgets a question that was sent. */
  finished(question: Question): void {
    const others = this.#started.get(question)! - 1;
    if (others > 0) this.#started.set(question, others);
    else this.#started.delete(question);
  }

  /** Forgets a question that waited. */
  remove(question: Question): void {
    this.#pending.delete(question);
  }

  /** Forgets the cached replies when QEMU is lost. All questions must have been removed. */
  clear(): void {
    const questions = this.#pending.size + this.#started.size;
    if (questions > 0) throw new Error(`Cannot clear: ${questions} questions are left`);
    this.#cached.clear();
  }
}

/** Returns whether a command is in-band and has no arguments. */
function isPlain({ oob, argumentBytes }: Command): boolean {
  return !oob && (argumentBytes === undefined || argumentBytes.length === "{}".length);
}
