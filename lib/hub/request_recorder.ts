/**
 * The recorder, which passes happenings from the hub to the observers.
 *
 * The end of a command is recorded for each of its askers, even if the asker has
 * left since, because its command has run. Without observers nothing is measured.
 *
 * @module
 */

import type { Happening, Outcome, Recording, Result } from "../observe/observer.ts";
import type { Tap, Tapped } from "../observe/traffic.ts";
import type { Monitor } from "../session/monitor.ts";
import type { LocalAnswer } from "../session/slot.ts";
import type { Command, Reply } from "../wire/message.ts";

/** The end of a command to which QEMU has not replied. */
export type Unanswered = "lost" | "dropped" | "refused";

/** A command, and the clients that wait for its reply. */
export interface Entry {
  /** The command. */
  readonly command: Command;
  /** The clients, each with the time of its command. */
  readonly askers: readonly { readonly monitor: Monitor; readonly since: number }[];
  /** The time at which the command was sent to QEMU. */
  readonly sentAt: number;
}

/** Passes happenings to the observers; the times are seconds of a steady clock. */
export class RequestRecorder implements Tapped {
  /** The tap that takes the traffic; `undefined` while nobody looks. */
  tap: Tap | undefined;
  /** The observers and the gate. Commands that arrived while there were no observers are not recorded. */
  recording: Recording;
  readonly #clock: () => number;
  /** The functions that record a local answer as dropped, for answers that have not been sent yet. */
  readonly #drops = new WeakMap<LocalAnswer, () => void>();

  /** Creates a recorder for these observers. */
  constructor(recording: Recording, clock: () => number) {
    this.recording = recording;
    this.#clock = clock;
  }

  /** The time; `NaN` without observers. */
  get now(): number {
    return this.recording.observers.length === 0 ? NaN : this.#clock();
  }

  /** Passes a happening to every observer. */
  observe(happening: Happening): void {
    for (const observer of this.recording.observers) observer.observe(happening);
  }

  /** Records the end of a command for each of its askers: QEMU's reply, or the lack of one. */
  ended({ command, askers, sentAt }: Entry, end: Reply | Unanswered): void {
    const { now } = this;
    for (const { monitor, since } of askers) {
      const took = now - since;
      if (Number.isNaN(took)) continue;
      if (typeof end === "string") this.#command(monitor, command, { result: end, took });
      else {
        // An asker that joined after the command was sent did not wait.
        const waited = Math.max(0, sentAt - since) || 0;
        this.#command(monitor, command, { result: end.kind, reply: end, took, waited });
      }
    }
  }

  /** Answers a command with an error at once, and records it; `rule` names the rule that refused it. */
  refuse(
    monitor: Monitor,
    command: Command,
    result: Result,
    desc: string,
    { errorClass = "GenericError", rule }: { errorClass?: string; rule?: string } = {},
  ): void {
    this.#command(monitor, command, { result, took: 0, rule });
    monitor.refuse(command.id, command.oob, errorClass, desc);
  }

  /** Wraps a local answer so that it is recorded when it returns its reply, which may be at a later call. */
  recordWhenSent(monitor: Monitor, command: Command, answer: LocalAnswer): LocalAnswer {
    const since = this.now;
    if (Number.isNaN(since)) return answer;
    const record = (result: Result, reply?: Reply): void =>
      this.#command(monitor, command, {
        result,
        took: this.#clock() - since,
        ...(reply && { reply }),
      });
    const wrapped: LocalAnswer = (slot) => {
      this.#drops.delete(wrapped);
      const reply = answer(slot);
      if (reply === undefined) this.#drops.set(wrapped, () => record("dropped"));
      else record(reply.kind, reply);
      return reply;
    };
    this.#drops.set(wrapped, () => record("dropped"));
    return wrapped;
  }

  /** Records local answers that will not be sent, because their client has left. */
  recordDropped(answers: readonly LocalAnswer[]): void {
    for (const answer of answers) this.#drops.get(answer)?.();
  }

  #command(client: Monitor, command: Command, outcome: Outcome): void {
    this.observe({ kind: "command", client, command, outcome });
  }
}
