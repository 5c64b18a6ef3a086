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
      await connection.flush();
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

/** The answers on one connection that are being sent. */
export class SentAnswers {
  readonly #qemu: FaultyQemu;
  readonly #sending = new Set<Promise<void>>();

  /** Creates a connection without any answer yet. */
  constructor(qemu: FaultyQemu) {
    this.#qemu = qemu;
  }

  /** Sends an answer whose delay is over. */
  send(pending: PendingCommand, answer: Answer): void {
    const sending: Promise<void> = sendAnswer(pending, answer, this.#qemu)
      .finally(() => this.#sending.delete(sending));
    this.#sending.add(sending);
  }

  /** Resolves when all answers are sent. */
  async end(): Promise<void> {
    await Promise.all(this.#sending);
  }
}
