/**
 * The sending of an answer: its reply with events around it, in part, or not at all.
 *
 * @module
 */

import type { Answer, FakeEvent } from "./answer.ts";
import type { PendingCommand } from "./fake_connection.ts";

/** The parts of a fake QEMU that answers need. */
export interface FaultyQemu {
  /** Sends an event. */
  emit(event: FakeEvent): void;
  /** Ends all connections, and starts again. */
  restart(): Promise<void>;
  /** Ends for good. */
  end(): Promise<void>;
}

/** Sends an answer whose delay is over. */
export async function sendAnswer(
  { connection, reply, abandon }: PendingCommand,
  answer: Answer,
  qemu: FaultyQemu,
): Promise<void> {
  for (const event of answer.before) qemu.emit(event);
  const { end } = answer;
  switch (end.kind) {
    case "drop":
      abandon();
      return await connection.finish();
    case "restart":
      abandon();
      return await qemu.restart();
    case "silent":
      abandon();
      break;
    case "cut":
      connection.cutAfter(end.bytes);
      reply(answer.reply);
      break;
    default:
      reply(answer.reply);
  }
  for (const event of answer.after) qemu.emit(event);
  if (end.kind === "cut" || end.kind === "quit") await connection.finish();
  if (end.kind === "quit") await qemu.end();
}

/** The answers on one connection, some of which are delayed. */
export class LateAnswers {
  readonly #qemu: FaultyQemu;
  readonly #after: (seconds: number, run: () => void) => () => void;
  readonly #sending = new Set<Promise<void>>();
  /** Cancel what is delayed. */
  readonly #timers = new Set<() => void>();

  /**
   * Creates a connection without any answer yet.
   *
   * @param after calls back once after seconds; returns a function that cancels it
   */
  constructor(qemu: FaultyQemu, after: (seconds: number, run: () => void) => () => void) {
    this.#qemu = qemu;
    this.#after = after;
  }

  /** Sends an answer after its delay. */
  send(pending: PendingCommand, answer: Answer): void {
    if (answer.delay === 0) return this.#send(pending, answer);
    const cancel = this.#after(answer.delay / 1000, () => {
      this.#timers.delete(cancel);
      this.#send(pending, answer);
    });
    this.#timers.add(cancel);
  }

  /** Gives up what is delayed; resolves when the others are sent. */
  async end(): Promise<void> {
    for (const cancel of this.#timers) cancel();
    await Promise.all(this.#sending);
  }

  #send(pending: PendingCommand, answer: Answer): void {
    const sending: Promise<void> = sendAnswer(pending, answer, this.#qemu)
      .finally(() => this.#sending.delete(sending));
    this.#sending.add(sending);
  }
}
