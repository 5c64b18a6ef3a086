/**
 * One question asked once.
 *
 * Answers that last are kept as long as QEMU lives. Who asks what somebody else
 * is waiting to ask joins that question while it still waits here, so that the
 * answer is newer than both.
 *
 * @module
 */

import { argumentsText, type Command, type Reply } from "../wire/message.ts";
import { IMMUTABLE, READ_ONLY } from "./queries.ts";

/**
 * Twins of one question at QEMU at a time.
 *
 * One more gains nothing: QEMU runs them one by one, and what waits here can be
 * joined. With one only, two clients that ask in turns would lose QEMU's reading
 * of the next command while it runs the present one.
 */
const CONCURRENT_LIMIT = 2;

/** Longer commands are not compared; no query of QEMU comes near. */
const QUESTION_BYTES_LIMIT = 512;

/** Longer answers are not kept: QEMU's longest has 0.2 MB, and only what claims to be QEMU sends more. */
export const CACHED_BYTES_LIMIT: number = 4 << 20;

/** The text that twins have in common. */
export type Question = string;

/** Kept answers, and questions that can be joined; `J` is a question on its way. */
export class QueryCache<J> {
  readonly #cached = new Map<string, Reply>();
  readonly #pending = new Map<Question, J>();
  readonly #started = new Map<Question, number>();

  /** The answer that was kept for a command, if there is one. */
  answer(command: Command): Reply | undefined {
    return isPlain(command) ? this.#cached.get(command.name) : undefined;
  }

  /** Keeps the answer to a command, if it is one that lasts. */
  store(command: Command, reply: Reply): void {
    const lasts = IMMUTABLE.has(command.name) && isPlain(command) && reply.kind === "return";
    if (lasts && reply.bytes.length <= CACHED_BYTES_LIMIT) this.#cached.set(command.name, reply);
  }

  /** What a command asks, if others may share its answer. */
  question(command: Command): Question | undefined {
    const { name, oob, bytes } = command;
    if (oob || bytes.length > QUESTION_BYTES_LIMIT || !READ_ONLY.has(name)) return undefined;
    return name + argumentsText(command);
  }

  /** The same question that still waits here. */
  pending(question: Question): J | undefined {
    return this.#pending.get(question);
  }

  /** A question begins to wait. */
  add(question: Question, job: J): void {
    this.#pending.set(question, job);
  }

  /** May one more of these go to QEMU? */
  mayStart(question: Question): boolean {
    return (this.#started.get(question) ?? 0) < CONCURRENT_LIMIT;
  }

  /** A question leaves for QEMU: from now on it cannot be joined. */
  started(question: Question): void {
    this.#pending.delete(question);
    this.#started.set(question, (this.#started.get(question) ?? 0) + 1);
  }

  /** Its answer has come. */
  finished(question: Question): void {
    const others = this.#started.get(question)! - 1;
    if (others > 0) this.#started.set(question, others);
    else this.#started.delete(question);
  }

  /** Nobody waits for a question any more. */
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

/** Is a command sent in-band and without arguments? */
function isPlain({ oob, argumentBytes }: Command): boolean {
  return !oob && (argumentBytes === undefined || argumentBytes.length === "{}".length);
}
