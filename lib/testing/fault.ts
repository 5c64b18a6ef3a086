/**
 * Faults of a fake QEMU, and the form in which they are written: `COMMAND[#N]: ACTION`.
 *
 * `COMMAND` is the name of a command or a glob. With `#N` only the N-th of these commands is meant.
 * The negotiation has no faults.
 *
 * | action                              | effect                                                        |
 * | ----------------------------------- | ------------------------------------------------------------- |
 * | `delay TIME`                        | the reply comes later; `TIME` is `5s` or `200ms`              |
 * | `error CLASS TEXT`                  | the reply is this error                                       |
 * | `event NAME [{…}] [before\|after]`  | an event comes before the reply, or after it                  |
 * | `silent`                            | no reply comes                                                |
 * | `drop`                              | the connection is closed instead of a reply                   |
 * | `cut after N bytes`                 | the connection is closed in the middle of the reply           |
 * | `restart`                           | QEMU ends without a reply, and starts again                   |
 *
 * @module
 */

import { parseExact } from "../client/exact_json.ts";
import { type Matcher, matcherOf } from "../policy/glob.ts";
import { printable } from "../wire/printable.ts";
import { isNegotiation } from "./negotiation.ts";

/** The effect of a fault on one command. */
export type FaultAction =
  | { readonly kind: "delay"; readonly ms: number }
  | { readonly kind: "error"; readonly errorClass: string; readonly desc: string }
  | {
    readonly kind: "event";
    readonly name: string;
    readonly data: object | undefined;
    readonly when: "before" | "after";
  }
  | { readonly kind: "silent" | "drop" | "restart" }
  | { readonly kind: "cut"; readonly bytes: number };

/** A fault. */
export interface Fault {
  /** Whether it concerns a command of this name. */
  readonly matches: Matcher;
  /** The number of the only one of these commands that it concerns, from 1; `undefined` for each of them. */
  readonly nth: number | undefined;
  /** The effect. */
  readonly action: FaultAction;
}

const FAULT = /^([^\s:#]+)(?:#([1-9]\d{0,8}))?:\s*(\S.*)$/s;

/** The classes of QEMU's errors. */
const CLASSES = [
  "GenericError",
  "CommandNotFound",
  "DeviceNotActive",
  "DeviceNotFound",
  "KVMMissingCap",
];

/** The longest delay: a day. */
const DELAY_LIMIT_MS = 86_400_000;

/** The forms of actions, each with its reader, which returns `undefined` for an invalid one. */
const ACTIONS: readonly (readonly [form: RegExp, read: Reader])[] = [
  [/^delay (\d+(?:\.\d+)?)(ms|s)$/, ([number, unit]) => {
    const ms = Number(number) * (unit === "s" ? 1000 : 1);
    return ms <= DELAY_LIMIT_MS ? { kind: "delay", ms } : undefined;
  }],
  [/^error (\S+) (\S.*)$/s, ([errorClass = "", desc = ""]) => {
    return CLASSES.includes(errorClass) ? { kind: "error", errorClass, desc } : undefined;
  }],
  [/^event ([A-Za-z_][\w.-]*)(?: (\{.*\}))?(?: (before|after))?$/s, ([name = "", text, when]) => {
    const data = text === undefined ? undefined : objectIn(text);
    if (text !== undefined && data === undefined) return undefined;
    return { kind: "event", name, data, when: when === "after" ? "after" : "before" };
  }],
  [/^silent$/, () => ({ kind: "silent" })],
  [/^drop$/, () => ({ kind: "drop" })],
  [/^restart$/, () => ({ kind: "restart" })],
  [/^cut after (\d{1,9}) bytes?$/, ([bytes]) => ({ kind: "cut", bytes: Number(bytes) })],
];

type Reader = (parts: readonly (string | undefined)[]) => FaultAction | undefined;

const FORMS = "delay 5s, error CLASS TEXT, event NAME {…} before or after, silent, drop, " +
  `cut after N bytes or restart; CLASS is one of ${CLASSES.join(", ")}`;

function objectIn(text: string): object | undefined {
  try {
    return parseExact(text) as object;
  } catch {
    // The caller names the whole fault.
    return undefined;
  }
}

/**
 * Reads an action.
 *
 * @throws SyntaxError if it is not one
 */
export function readAction(text: string): FaultAction {
  for (const [form, read] of ACTIONS) {
    const parts = form.exec(text);
    const action = parts === null ? undefined : read(parts.slice(1));
    if (action !== undefined) return action;
  }
  throw new SyntaxError(`invalid fault ${printable(JSON.stringify(text))}: expected ${FORMS}`);
}

/**
 * Reads a fault.
 *
 * @throws SyntaxError if it is not one
 */
export function readFault(text: string): Fault {
  const [, glob, number, action] = FAULT.exec(text) ?? [];
  if (glob === undefined || action === undefined) {
    const shown = printable(JSON.stringify(text));
    throw new SyntaxError(
      `invalid fault ${shown}: expected COMMAND: ACTION or COMMAND#N: ACTION, ` +
        'such as "query-block: delay 5s"',
    );
  }
  if (isNegotiation(glob)) {
    throw new SyntaxError(
      `invalid fault ${printable(JSON.stringify(text))}: ${glob} belongs to the negotiation, ` +
        "which has no faults; name another command",
    );
  }
  const nth = number === undefined ? undefined : Number(number);
  return { matches: matcherOf(glob), nth, action: readAction(action) };
}

/** The faults of one fake QEMU, which counts the commands of each. */
export class FaultPlan {
  readonly #faults: readonly { readonly fault: Fault; count: number }[];

  /** Creates a plan without any command yet. */
  constructor(faults: readonly Fault[]) {
    this.#faults = faults.map((fault) => ({ fault, count: 0 }));
  }

  /** Returns the actions for the next command, in the order of the faults. */
  next(command: string): FaultAction[] {
    const actions: FaultAction[] = [];
    for (const each of this.#faults) {
      const { matches, nth, action } = each.fault;
      if (!matches(command)) continue;
      each.count++;
      if (nth === undefined || nth === each.count) actions.push(action);
    }
    return actions;
  }
}
