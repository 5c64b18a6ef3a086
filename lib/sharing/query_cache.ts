/**
 * One question sent once.
 *
 * Fixed replies are cached as long as QEMU lives. A client joins an equal question
 * of another client while that still waits here, so that the reply is newer than
 * both commands.
 *
 * @module
 */

import { argumentsText, type Command, type Reply } from "../wire/message.ts";
import { OBSERVER_COMMANDS } from "../policy/observer_role.ts";

/**
 * Queries whose reply is fixed for the life of a QEMU process, each with the reason.
 *
 * This holds without arguments only. Replies of a QEMU 7.2 were compared byte for
 * byte before and after devices, objects, chardevs and block nodes were added and
 * the machine ran.
 */
const IMMUTABLE: ReadonlyMap<string, string> = new Map([
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

/** Commands of an observer that always run on their own. */
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

/** Queries that clients may share: a client that asks the same while one waits gets its reply. */
const SHARED: ReadonlySet<string> = new Set(
  OBSERVER_COMMANDS.filter((name) => !NOT_SHARED.has(name)),
);

/**
 * Equal questions in flight at a time.
 *
 * One more gains nothing: QEMU runs them one by one, and a waiting one can be
 * joined. With one only, two clients that ask in turns would lose QEMU's reading
 * of the next command while it runs the present one.
 */
const CONCURRENT_LIMIT = 2;

/** The longest command that is compared; QEMU's queries are far shorter. */
const QUESTION_BYTES_LIMIT = 512;

/** Longer replies are not cached. The longest of a real QEMU, that of `query-machines`, has 0.5 MB. */
export const CACHED_BYTES_LIMIT: number = 4 << 20;

/** The text that equal questions have in common. */
export type Question = string;

/** Cached replies, and questions that can be joined; `J` is the request of a question. */
export class QueryCache<J> {
  readonly #cached = new Map<string, Reply>();
  readonly #pending = new Map<Question, J>();
  readonly #started = new Map<Question, number>();

  /** Returns the cached reply to a command, if there is one. */
  cached(command: Command): Reply | undefined {
    return isPlain(command) ? this.#cached.get(command.name) : undefined;
  }

  /** Caches the reply to a command, if it is a fixed one. */
  store(command: Command, reply: Reply): void {
    const lasts = IMMUTABLE.has(command.name) && isPlain(command) && reply.kind === "return";
    if (lasts && reply.bytes.length <= CACHED_BYTES_LIMIT) this.#cached.set(command.name, reply);
  }

  /** Returns the question of a command, if others may share its reply. */
  question(command: Command): Question | undefined {
    const { name, oob, bytes } = command;
    if (oob || bytes.length > QUESTION_BYTES_LIMIT || !SHARED.has(name)) return undefined;
    return name + argumentsText(command);
  }

  /** Returns the request that asks the same and still waits here. */
  pending(question: Question): J | undefined {
    return this.#pending.get(question);
  }

  /** Registers a question that begins to wait. */
  add(question: Question, job: J): void {
    this.#pending.set(question, job);
  }

  /** Returns whether one more equal question may be sent to QEMU. */
  mayStart(question: Question): boolean {
    return (this.#started.get(question) ?? 0) < CONCURRENT_LIMIT;
  }

  /** Marks a question as sent: it cannot be joined any more. */
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

  /** Forgets the cached replies of a lost QEMU. All questions must have ended. */
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
