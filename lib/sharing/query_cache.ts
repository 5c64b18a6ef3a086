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
import { LASTING, READING } from "./queries.ts";

/**
 * Twins of one question at QEMU at a time.
 *
 * One more gains nothing: QEMU runs them one by one, and what waits here can be
 * joined. With one only, two clients that ask in turns would lose QEMU's reading
 * of the next command while it runs the present one.
 */
const FLYING_LIMIT = 2;

/** Longer commands are not compared; no query of QEMU comes near. */
const QUESTION_BYTES_LIMIT = 512;

/** Longer answers are not kept: QEMU's longest has 0.2 MB, and only what claims to be QEMU sends more. */
export const KEPT_BYTES_LIMIT: number = 4 << 20;

/** The text that twins have in common. */
export type Question = string;

/** Kept answers, and questions that can be joined; `J` is a question on its way. */
export class QueryCache<J> {
  readonly #kept = new Map<string, Reply>();
  readonly #waiting = new Map<Question, J>();
  readonly #flying = new Map<Question, number>();

  /** The answer that was kept for a command, if there is one. */
  answer(command: Command): Reply | undefined {
    return isPlain(command) ? this.#kept.get(command.name) : undefined;
  }

  /** Keeps the answer to a command, if it is one that lasts. */
  keep(command: Command, reply: Reply): void {
    const lasts = LASTING.has(command.name) && isPlain(command) && reply.kind === "return";
    if (lasts && reply.bytes.length <= KEPT_BYTES_LIMIT) this.#kept.set(command.name, reply);
  }

  /** What a command asks, if others may share its answer. */
  question(command: Command): Question | undefined {
    const { name, oob, bytes } = command;
    if (oob || bytes.length > QUESTION_BYTES_LIMIT || !READING.has(name)) return undefined;
    return name + argumentsText(command);
  }

  /** The same question that still waits here. */
  twin(question: Question): J | undefined {
    return this.#waiting.get(question);
  }

  /** A question begins to wait. */
  waits(question: Question, job: J): void {
    this.#waiting.set(question, job);
  }

  /** May one more of these go to QEMU? */
  mayFly(question: Question): boolean {
    return (this.#flying.get(question) ?? 0) < FLYING_LIMIT;
  }

  /** A question leaves for QEMU: from now on it cannot be joined. */
  flies(question: Question): void {
    this.#waiting.delete(question);
    this.#flying.set(question, (this.#flying.get(question) ?? 0) + 1);
  }

  /** Its answer has come. */
  landed(question: Question): void {
    const others = this.#flying.get(question)! - 1;
    if (others > 0) this.#flying.set(question, others);
    else this.#flying.delete(question);
  }

  /** Nobody waits for a question any more. */
  forgotten(question: Question): void {
    this.#waiting.delete(question);
  }

  /** QEMU has gone, and all it knew. */
  clear(): void {
    this.#kept.clear();
    this.#waiting.clear();
    this.#flying.clear();
  }
}

/** Is a command sent in-band and without arguments? */
function isPlain({ oob, argumentBytes }: Command): boolean {
  return !oob && (argumentBytes === undefined || argumentBytes.length === "{}".length);
}
