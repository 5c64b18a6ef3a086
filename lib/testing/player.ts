/**
 * The player of one recorded session: takes the commands of a client, and gives QEMU's part in its places.
 *
 * A query changes nothing, so that its place among other queries makes no difference. The other
 * commands come in their recorded order, unless the play is lenient.
 *
 * @module
 */

import type { Command, Event, Reply } from "../wire/message.ts";
import { isQuery, type PlaySession, type PlayStep, type RecordedCommand } from "./play.ts";
import { commandText, isRecorded, mismatchOf, nearestRecorded } from "./recorded_match.ts";

/** The client, as the player sees it. */
export interface Stage {
  /** Sends an event. */
  event(event: Event): void;
  /** Closes the connection. */
  close(): void;
  /** Notes that a recorded command has come. */
  came(recorded: RecordedCommand): void;
}

/** Settings of a player. */
export interface PlayerOptions {
  /** Whether commands may come in any order, and more often than recorded. */
  readonly isLenient: boolean;
  /** The speed: 1 as recorded, 2 twice as fast; 0 waits for nothing. */
  readonly speed: number;
  /** The text that stands for what was removed from the recording. */
  readonly mark: string | undefined;
  /** The clock. */
  readonly clock: {
    /** Returns seconds that never jump. */
    now(): number;
    /** Calls back once after seconds; returns a function that cancels it. */
    after(seconds: number, run: () => void): () => void;
  };
}

/** Sends the reply to a recorded command; `undefined` tells that the recording has none. */
export type Send = (reply: Reply | undefined, recorded: RecordedCommand) => void;

/** A command that the session does not have at its present place. */
export interface Unexpected {
  /** The reason, which begins with a capital. */
  readonly reason: string;
  /** The nearest recorded command, if one is near. */
  readonly nearest: RecordedCommand | undefined;
  /** Whether the session has this very command at another place. */
  readonly isHere: boolean;
}

/** A step with its state. */
interface Item {
  readonly step: PlayStep;
  readonly index: number;
  /** For a command, and for its reply: the state of that command. */
  readonly cue: Cue | undefined;
  isDone: boolean;
  /** The time at which it was done, on the clock; `undefined` if it was left out. */
  doneAt: number | undefined;
}

/** A command that gets a reply. */
interface Owed {
  /** Whether it comes out of band. */
  readonly oob: boolean;
  /** The index of its reply among the steps; infinite if the reply is not a step. */
  replyIndex: number;
}

/** A recorded command with its state. */
interface Cue extends Owed {
  readonly recorded: RecordedCommand;
  readonly index: number;
  readonly isQuery: boolean;
  state: "waiting" | "taken" | "passed";
  takenAt: number;
  /** The delay of its reply by a fault, in seconds. */
  delay: number;
  /** Sends the reply. */
  send: Send | undefined;
  isAnswered: boolean;
}

/** The player of one session. */
export class Player {
  readonly #session: PlaySession;
  readonly #options: PlayerOptions;
  readonly #stage: Stage;
  readonly #items: readonly Item[];
  readonly #cues: readonly Cue[];
  /** By step, the index of the step that an event there follows; -1 for the negotiation. */
  readonly #before: readonly number[];
  /** The first item, and the first command, that are not done. */
  #first = 0;
  #next = 0;
  /** The index of the last step whose command has come. */
  #furthest = -1;
  /** The time at which the negotiation ended, on the clock. */
  #start: number | undefined;
  #cancel: (() => void) | undefined;
  /** The commands that have come and are not answered, in their order. */
  readonly #owed = new Set<Owed>();
  /** Cancel the replies that are late. */
  readonly #late = new Set<() => void>();
  #isOver = false;
  #isPumping = false;
  /** Whether something may have become due since the steps were last looked at. */
  #hasChanged = false;

  /** Creates a player at the beginning of a session. */
  constructor(session: PlaySession, options: PlayerOptions, stage: Stage) {
    this.#session = session;
    this.#options = options;
    this.#stage = stage;
    const cues = new Map<RecordedCommand, Cue>();
    this.#items = session.steps.map((step, index) => {
      if (step.kind === "command") cues.set(step.of, cueOf(step.of, index));
      const cue = "of" in step ? cues.get(step.of) : undefined;
      if (step.kind === "reply" && cue !== undefined) cue.replyIndex = index;
      return { step, index, cue, isDone: false, doneAt: undefined };
    });
    this.#cues = [...cues.values()];
    let change = -1;
    this.#before = this.#items.map(({ cue }, index) => {
      const before = options.isLenient ? change : index - 1;
      if (cue !== undefined && !cue.isQuery) change = index;
      return before;
    });
  }

  /** Begins: the client has finished its negotiation. */
  begin(): void {
    if (this.#start !== undefined) return;
    this.#start = this.#options.clock.now();
    this.#pump();
  }

  /** Ends: nothing more is sent. */
  end(): void {
    this.#isOver = true;
    this.#cancel?.();
    for (const cancel of this.#late) cancel();
  }

  /**
   * Takes a command.
   *
   * @param send sends the reply, later or at once
   * @param delay a further delay of the reply, in seconds; what follows it in the recording waits as well
   * @returns the reason if the session does not have the command here; then `send` is not called
   */
  take(command: Command, send: Send, delay = 0): Unexpected | undefined {
    this.begin();
    const cue = this.#options.isLenient ? this.#anywhere(command) : this.#inOrder(command);
    if (cue === undefined) return this.#unexpected(command);
    const { recorded } = cue;
    if (cue.state === "waiting") this.#took(cue, send, delay);
    else this.answer(command, () => send(recorded.reply?.(), recorded), delay);
    return undefined;
  }

  /**
   * Answers a command by something else than its recorded reply.
   *
   * @param send sends the reply
   * @param delay the delay of the reply, in seconds
   */
  answer({ oob }: Command, send: () => void, delay: number): void {
    if (delay === 0) return send();
    const owed: Owed = { oob, replyIndex: Infinity };
    this.#owed.add(owed);
    const cancel = this.#options.clock.after(delay, () => {
      this.#late.delete(cancel);
      this.#owed.delete(owed);
      send();
      this.#pump();
    });
    this.#late.add(cancel);
  }

  #is(cue: Cue, command: Command): boolean {
    return isRecorded(cue.recorded, command, this.#options.mark);
  }

  /** Finds the command before the next recorded one that changes something and has not come. */
  #inOrder(command: Command): Cue | undefined {
    /** An answered query, which may be repeated until something changes. */
    let repeated: Cue | undefined;
    for (let at = this.#next; at < this.#cues.length; at++) {
      const cue = this.#cues[at]!;
      const isIt = this.#is(cue, command);
      if (cue.state !== "waiting") {
        if (isIt && cue.isQuery) repeated = cue;
        continue;
      }
      if (isIt) return cue;
      if (!cue.isQuery && cue.oob === command.oob) break;
    }
    for (let at = this.#next - 1; repeated === undefined && this.#cues[at]?.isQuery; at--) {
      if (this.#is(this.#cues[at]!, command)) repeated = this.#cues[at];
    }
    return repeated;
  }

  #anywhere(command: Command): Cue | undefined {
    let last: Cue | undefined;
    for (const cue of this.#cues) {
      if (!this.#is(cue, command)) continue;
      if (cue.state === "waiting") return cue;
      last = cue;
    }
    return last;
  }

  #took(cue: Cue, send: Send, delay: number): void {
    cue.state = "taken";
    cue.takenAt = this.#options.clock.now();
    cue.delay = delay;
    cue.send = send;
    this.#stage.came(cue.recorded);
    this.#furthest = Math.max(this.#furthest, cue.index);
    const { isLenient } = this.#options;
    const { oob } = cue;
    this.#owed.add(cue);
    for (let at = this.#next; !isLenient && !cue.isQuery && at < this.#cues.length; at++) {
      const earlier = this.#cues[at]!;
      if (earlier === cue) break;
      if (earlier.state === "waiting" && earlier.oob === oob) {
        earlier.state = "passed";
      }
    }
    while (this.#cues[this.#next] && this.#cues[this.#next]!.state !== "waiting") this.#next++;
    const { command, reply } = cue.recorded;
    if (reply === undefined) this.answer(command, () => this.#answer(cue), delay);
    this.#pump();
  }

  #unexpected(command: Command): Unexpected {
    const waiting = this.#cues.filter(({ state }) => state === "waiting");
    const later = waiting.find((cue) => this.#is(cue, command));
    const { name } = command;
    const shown = (cues: readonly Cue[]) =>
      nearestRecorded(command, cues.map(({ recorded }) => recorded));
    if (later !== undefined) {
      const barrier = waiting.find(({ isQuery }) => !isQuery)!.recorded;
      const before = `${commandText(barrier.command)} (line ${barrier.line}) comes before it`;
      return {
        reason: `The command ${name} is not due: in the recording ${before}`,
        nearest: later.recorded,
        isHere: true,
      };
    }
    const nearest = shown(waiting) ?? shown(this.#cues);
    if (this.#cues.some((cue) => this.#is(cue, command))) {
      return { reason: `The command ${name} is not in the recording again`, nearest, isHere: true };
    }
    const all = this.#cues.map(({ recorded }) => recorded);
    const problem = mismatchOf(command, all, this.#options.mark);
    return { reason: `The command ${name} ${problem}`, nearest, isHere: false };
  }

  #answer(cue: Cue): void {
    cue.isAnswered = true;
    this.#owed.delete(cue);
    cue.send?.(cue.recorded.reply?.(), cue.recorded);
    cue.send = undefined;
  }

  /** Runs all steps that are due, in their order. */
  #pump(): void {
    this.#hasChanged = true;
    // Sending a reply may bring the next command at once; the loop below then finds it.
    if (this.#isPumping || this.#isOver || this.#start === undefined) return;
    this.#isPumping = true;
    this.#cancel?.();
    this.#cancel = undefined;
    while (this.#step());
    this.#isPumping = false;
  }

  /** Runs the steps that are due, up to one that may make others due; returns whether there was such a one. */
  #step(): boolean {
    this.#hasChanged = false;
    const { isLenient, clock } = this.#options;
    const now = clock.now();
    let soonest = Infinity;
    for (let at = this.#first; at < this.#items.length && !this.#isOver; at++) {
      const item = this.#items[at]!;
      if (item.isDone) continue;
      const due = this.#dueOf(item);
      if (due === "never") this.#do(item, undefined);
      else if (due <= now) {
        this.#do(item, now);
        // An event makes no other step due, unless a command comes in answer to it.
        if (item.step.kind !== "event" || this.#hasChanged) return true;
      } else {
        soonest = Math.min(soonest, due);
        // In order, all that follows a command that has not come waits for it.
        const isTaken = item.cue?.state === "taken";
        if (!isLenient && due === Infinity && at > this.#furthest && !isTaken) break;
      }
    }
    if (soonest < Infinity && !this.#isOver) {
      this.#cancel = clock.after(soonest - now, () => {
        this.#cancel = undefined;
        this.#pump();
      });
    }
    return false;
  }

  /** Returns the time at which a step is due; infinite until something else happens. */
  #dueOf({ step, cue, index }: Item): number | "never" {
    if (cue?.state === "passed") return "never";
    switch (step.kind) {
      case "command":
        return cue!.state === "taken" ? cue!.takenAt : Infinity;
      case "reply":
        if (cue!.isAnswered) return "never";
        if (cue!.state !== "taken" || this.#isBehind(cue!)) return Infinity;
        return cue!.takenAt + this.#scaled(step.at - cue!.recorded.at) + cue!.delay;
      default: {
        const isClose = step.kind === "close";
        for (const { replyIndex } of this.#owed) if (isClose || replyIndex < index) return Infinity;
        const anchor = this.#anchorOf(index);
        if (anchor === undefined) return Infinity;
        // A client that is ahead of the recording has passed the time, not the place.
        if (!this.#options.isLenient && index < this.#furthest) return anchor.doneAt;
        return anchor.doneAt + this.#scaled(step.at - anchor.at);
      }
    }
  }

  /** Returns whether a command came in band behind another that is not answered. */
  #isBehind(cue: Cue): boolean {
    for (const owed of this.#owed) {
      if (owed === cue || cue.oob) return false;
      if (!owed.oob) return true;
    }
    return false;
  }

  /** Returns the step that an event follows, and its time; `undefined` if that has not happened. */
  #anchorOf(index: number): { readonly at: number; readonly doneAt: number } | undefined {
    for (let at = this.#before[index]!; at >= 0; at = this.#before[at]!) {
      const { step, doneAt, isDone } = this.#items[at]!;
      if (isDone && doneAt === undefined) continue;
      return isDone ? { at: step.at, doneAt: doneAt! } : undefined;
    }
    return { at: this.#session.start, doneAt: this.#start! };
  }

  #scaled(seconds: number): number {
    const { speed } = this.#options;
    return speed === 0 ? 0 : Math.max(0, seconds) / speed;
  }

  #do(item: Item, now: number | undefined): void {
    item.isDone = true;
    item.doneAt = now;
    while (this.#items[this.#first]?.isDone) this.#first++;
    if (now === undefined) return;
    const { step, cue } = item;
    if (step.kind === "reply") this.#answer(cue!);
    else if (step.kind === "event") this.#stage.event(step.event);
    else if (step.kind === "close") {
      this.end();
      this.#stage.close();
    }
  }
}

function cueOf(recorded: RecordedCommand, index: number): Cue {
  return {
    recorded,
    index,
    oob: recorded.command.oob,
    replyIndex: Infinity,
    isQuery: isQuery(recorded.command.name),
    state: "waiting",
    takenAt: 0,
    delay: 0,
    send: undefined,
    isAnswered: false,
  };
}
