/**
 * One client, as expected: its phase, its pending commands, and the replies it is owed.
 *
 * @module
 */

import type { SimulatedFds, Use } from "./holdings.ts";
import type { Spoken } from "./actions.ts";
import type { Exec } from "./qemu.ts";
import type { Stream } from "./stream.ts";
import type { Change } from "./wire.ts";
import { passes, roleEvents, type SimGrant } from "./rules.ts";

/** The number of one client's pending commands at which it is no longer read. */
const PENDING = { withOob: 9, inBand: 1 };

/** The reply that is expected: one of some lines, or any line that passes a test. */
export type Answer = readonly string[] | ((line: string) => boolean);

/** A reply, or the function that returns it at its turn. */
export type Awaited = Answer | (() => Answer);

/** A command that a client has sent. */
export type Command = Spoken & { kind: "command" };

/** A command, or another input, that has not been answered yet. */
export interface Entry {
  readonly seat: Seat;
  readonly id: string | undefined;
  readonly command: Command | undefined;
  /** The reply that qmpmux must give by itself; `undefined` while QEMU owes it. */
  answer: Awaited | undefined;
  /** The change that the reply makes. */
  readonly then: (() => void) | undefined;
  /** Its place in the order of everything that was read and sent. */
  readonly at: number;
  readonly deadline: number;
  readonly connection: number;
  /** Whether its text is certainly unique. */
  readonly unique: boolean;
  /** Whether it may share its reply with others. */
  readonly sharing: boolean;
  /** Whether it may have joined one that was already waiting. */
  readonly joined: boolean;
  readonly role: SimGrant["role"];
  /** Whether its reply may be cached. */
  readonly kept: boolean;
  /** Whether it was sent to QEMU, or may have been. */
  covered: boolean;
  /** Whether this one was certainly sent to QEMU, and not another with the same text. */
  sure: boolean;
  /** The reply from QEMU, once it is certainly the reply to this one. */
  exec: Exec | undefined;
  gone: boolean;
  /** Its use of descriptors. */
  readonly use: Use | undefined;
  /** The descriptors that were received with it. */
  fds: SimulatedFds | undefined;
  /** Reasons for a refusal at its turn, in the words of the errors. */
  readonly refusals: Set<string>;
  /** Whether it has certainly been refused. */
  refused: boolean;
}

/** One client, as expected. */
export class Seat {
  phase: "ungreeted" | "negotiation" | "command" = "ungreeted";
  oob = false;
  positioned = false;
  enabled = new Set<string>();
  filter: readonly string[] | undefined;
  entries: Entry[] = [];
  overtaking: Entry | undefined;
  /** Descriptors that were received and that no command has taken. */
  fds: SimulatedFds | undefined;
  /** Whether it may have sent an out-of-band command since it was last idle. */
  overtook = false;
  /** A reply that was attributed to `first` and may have been that of the out-of-band command. */
  doubt: { text: string; first: Entry } | undefined;
  /** The reply that a command refused out of turn must get now. */
  atOnce: Answer | undefined;
  /** The event or greeting that it must get before anything else. */
  due: string | undefined;
  /** Its last subscription. */
  stream: Stream | undefined;
  /** The change that the reply which it has just got makes for later events. */
  change: Change | undefined;
  closed = false;
  mustClose = false;
  /** The line that it gets last, if it subscribes. */
  farewell: string | undefined;
  /** The number of the last event that it gets before the end of its connection. */
  lastEvent = Infinity;
  /** The number of the last command whose reply it got. */
  lastExec = -1;
  /** The turn in which it was last served. */
  served = -1;
  /** The turn since which it is waiting. */
  waitsSince = -1;

  constructor(
    readonly label: string,
    public grant: SimGrant,
    readonly number: number,
    readonly since: number,
  ) {}

  /** Whether qmpmux must not read from it. */
  get paused(): boolean {
    if (this.phase === "ungreeted" || this.overtaking !== undefined) return true;
    return this.entries.length >= (this.oob ? PENDING.withOob : PENDING.inBand);
  }

  /** All its pending commands; the out-of-band one is the last. */
  get pending(): readonly Entry[] {
    return this.overtaking === undefined ? this.entries : [...this.entries, this.overtaking];
  }

  /** The first of its commands that was not sent to QEMU. */
  get unsent(): Entry | undefined {
    return this.entries.find(({ answer, covered, kept, refused }) =>
      answer === undefined && !covered && !kept && !refused
    );
  }

  /** The first of its commands that certainly was neither sent nor refused. */
  get surelyUnsent(): Entry | undefined {
    return this.entries.find(({ answer, covered, kept, refusals }) =>
      answer === undefined && !covered && !kept && refusals.size === 0
    );
  }

  /** Returns whether it must get an event of a name as it comes. */
  sees(name: string): boolean {
    return this.stream === undefined && this.chooses(name);
  }

  /** Returns whether it may get events of a name and has chosen them. */
  chooses(name: string): boolean {
    if (this.phase !== "command" || this.closed) return false;
    const isEnabled = this.grant.dialect !== "rfc2010" || this.stream !== undefined ||
      this.enabled.has(name);
    if (!isEnabled) return false;
    return passes(roleEvents(this.grant.role), name) && passes(this.grant.events, name) &&
      passes(this.filter, name);
  }

  /** Settles the answer of the first entry if it depends on those before it. */
  settleFirst(): void {
    const [first] = this.entries;
    if (typeof first?.answer !== "function" || first.answer.length > 0) return;
    first.answer = (first.answer as () => Answer)();
  }
}

/** Returns a new entry with its initial values. */
export function newEntry(
  parts: Pick<Entry, "seat" | "id" | "command" | "at" | "connection"> & Partial<Entry>,
): Entry {
  return {
    answer: undefined,
    then: undefined,
    deadline: Infinity,
    unique: false,
    sharing: false,
    joined: false,
    role: parts.seat.grant.role,
    kept: false,
    covered: false,
    sure: false,
    exec: undefined,
    gone: false,
    use: undefined,
    fds: undefined,
    refusals: new Set(),
    refused: false,
    ...parts,
  };
}

/** Returns whether a line is an expected reply. */
export function fits(answer: Awaited | undefined, text: string): boolean {
  if (answer === undefined) return false;
  if (typeof answer === "function") return (answer as (line: string) => boolean)(text);
  return answer.includes(text);
}

/** Returns an expected reply as a text for errors. */
export function shown(answer: unknown): string {
  return Array.isArray(answer) ? answer.join(" or ") : "another text";
}
