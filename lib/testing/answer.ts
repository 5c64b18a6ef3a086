/**
 * The answer of a fake QEMU to one command: a reply, with events around it, or something worse.
 *
 * @module
 */

import { stringifyExact } from "../client/exact_json.ts";
import type { Command, Event, Reply } from "../wire/message.ts";
import { canonical } from "../wire/qemu_json.ts";
import { errorReply, returnReply } from "../wire/reply.ts";
import { frameOf } from "../wire/frame.ts";
import { asciiBytes } from "../wire/text.ts";
import type { FaultAction } from "./fault.ts";

/** An event that a fake QEMU sends. */
export interface FakeEvent {
  /** The name, such as `STOP`. */
  readonly name: string;
  /** The data; without it the event has none. */
  readonly data?: object | undefined;
}

/** The end of an answer: something instead of the reply, or after it. */
export type AnswerEnd =
  /** Nothing else; the connection goes on. */
  | { readonly kind: "none" }
  /** No reply comes. */
  | { readonly kind: "silent" }
  /** The connection is closed without a reply. */
  | { readonly kind: "drop" }
  /** The connection is closed after these bytes of the reply. */
  | { readonly kind: "cut"; readonly bytes: number }
  /** QEMU ends without a reply, and starts again. */
  | { readonly kind: "restart" }
  /** QEMU ends after the reply. */
  | { readonly kind: "quit" };

/** An answer. */
export interface Answer {
  /** The reply, without an id. */
  readonly reply: Reply;
  /** The events before it. */
  readonly before: readonly FakeEvent[];
  /** The events after it. */
  readonly after: readonly FakeEvent[];
  /** The time before all of that, in milliseconds. */
  readonly delay: number;
  /** The end. */
  readonly end: AnswerEnd;
}

/** A source of answers: a script, or a schema. */
export interface Answerer {
  /** Returns the answer to the next command. */
  answer(command: Command): Answer | Promise<Answer>;
}

/** Returns an answer that is only a reply. */
export function plainAnswer(reply: Reply): Answer {
  return { reply, before: [], after: [], delay: 0, end: { kind: "none" } };
}

/**
 * Returns a reply with a value, in QEMU's spelling.
 *
 * @param value a value of JSON; integers beyond 2⁵³ are bigints
 * @throws Error if it is not a value of JSON
 */
export function valueReply(value: unknown): Reply {
  return returnReply(qemuTextOf(value));
}

/** Returns a value in QEMU's spelling; a bigint is an integer. */
export function qemuTextOf(value: unknown): string {
  const { bytes } = frameOf(stringifyExact([value]));
  return canonical(bytes, 1, bytes.length - 1);
}

/**
 * Returns an event as QEMU sends it.
 *
 * @param now the time in seconds since 1970
 */
export function eventOf({ name, data }: FakeEvent, now: number): Event {
  const time = Math.round(now * 1e6);
  const timestamp = { seconds: Math.floor(time / 1e6), microseconds: time % 1e6 };
  const event = data === undefined ? { event: name } : { event: name, data };
  const bytes = asciiBytes(`${qemuTextOf({ timestamp, ...event })}\r\n`);
  return { kind: "event", bytes, name };
}

/** Returns an answer with the effects of faults. Of several that end it, the first counts. */
export function withFaults(answer: Answer, actions: readonly FaultAction[]): Answer {
  let { reply, before, after, delay, end } = answer;
  let isOver = false;
  for (const action of actions) {
    switch (action.kind) {
      case "delay":
        delay += action.ms;
        break;
      case "event": {
        const event = { name: action.name, data: action.data };
        if (action.when === "before") before = [...before, event];
        else after = [...after, event];
        break;
      }
      case "error":
        if (!isOver) reply = errorReply(action.errorClass, action.desc);
        isOver = true;
        break;
      default:
        if (!isOver) end = action;
        isOver = true;
    }
  }
  return { reply, before, after, delay, end };
}
