/**
 * How the hub tells a recorder what became of commands.
 *
 * Each asker of a command is told of by itself, also one that has left since:
 * what it asked has run. Where nobody records, nothing is measured.
 *
 * @module
 */

import type { Observer, Outcome, Result } from "../observe/observer.ts";
import type { Answer, Monitor } from "../session/monitor.ts";
import type { Command, Reply } from "../wire/message.ts";

/** A command, and who waits for its answer since when. */
export interface Entry {
  /** What was asked. */
  readonly command: Command;
  /** Who asked it, and when. */
  readonly askers: readonly { readonly monitor: Monitor; readonly since: number }[];
  /** When QEMU was sent it. */
  readonly sentAt: number;
}

/** A command that is answered here when its turn comes. */
interface Noted {
  readonly monitor: Monitor;
  readonly command: Command;
  readonly since: number;
}

/** What the hub writes down; the times are seconds of a steady clock. */
export class RequestRecorder {
  #observer: Observer | undefined;
  readonly #clock: () => number;
  /** What answers of ours belong to that have not been given yet. */
  readonly #noted = new WeakMap<Answer, Noted>();

  /** Without a recorder all it does is nothing. */
  constructor(observer: Observer | undefined, clock: () => number) {
    this.#observer = observer;
    this.#clock = clock;
  }

  /** Who records, if anybody does. */
  get observer(): Observer | undefined {
    return this.#observer;
  }

  /** From now on another records, or nobody; what has begun unrecorded stays so. */
  set observer(observer: Observer | undefined) {
    this.#observer = observer;
  }

  /** The time; `NaN` while nobody records. */
  get now(): number {
    return this.#observer === undefined ? NaN : this.#clock();
  }

  /** QEMU has answered. */
  settled({ command, askers, sentAt }: Entry, reply: Reply): void {
    const observer = this.#observer;
    if (observer === undefined) return;
    const now = this.#clock();
    for (const { monitor, since } of askers) {
      if (Number.isNaN(since)) continue;
      // Who joined after it was sent did not wait.
      const waited = Math.max(0, sentAt - since) || 0;
      observer.ended(monitor, command, { result: reply.kind, reply, took: now - since, waited });
    }
  }

  /** QEMU will not answer: it was sent these, or was not. */
  unanswered(entries: readonly Entry[], result: "lost" | "dropped"): void {
    const observer = this.#observer;
    if (observer === undefined) return;
    const now = this.#clock();
    for (const { command, askers } of entries) {
      for (const { monitor, since } of askers) {
        if (!Number.isNaN(since)) observer.ended(monitor, command, { result, took: now - since });
      }
    }
  }

  /** Records a command that was answered here, at once; `rule` names the rule that refused it. */
  recordLocal(monitor: Monitor, command: Command, result: Result, rule?: string): void {
    this.#observer?.ended(monitor, command, { result, took: 0, rule });
  }

  /** Wraps an answer of ours so that it is recorded when it gives its reply, which may be at a later call. */
  recordWhenSent(monitor: Monitor, command: Command, answer: Answer): Answer {
    const observer = this.#observer;
    if (observer === undefined) return answer;
    const noted: Noted = { monitor, command, since: this.#clock() };
    const wrapped: Answer = (slot) => {
      this.#noted.delete(wrapped);
      const reply = answer(slot);
      if (reply === undefined) this.#noted.set(wrapped, noted);
      else {
        const took = this.#clock() - noted.since;
        observer.ended(monitor, command, { result: reply.kind, reply, took });
      }
      return reply;
    };
    this.#noted.set(wrapped, noted);
    return wrapped;
  }

  /** Answers of ours will not be given: their client has left before their turn came. */
  recordDropped(answers: readonly Answer[]): void {
    for (const answer of answers) {
      const noted = this.#noted.get(answer);
      if (noted === undefined) continue;
      const { monitor, command, since } = noted;
      const outcome: Outcome = { result: "dropped", took: this.#clock() - since };
      this.#observer?.ended(monitor, command, outcome);
    }
  }
}
