/**
 * What the hub tells whoever records it.
 *
 * All of it has happened already. Who records sees a client as its names, and
 * never changes what is under way; one thing only may be objected to: a command
 * that could not be put on record.
 *
 * @module
 */

import type { Command, Event, Reply } from "../wire/message.ts";
import type { Identity } from "../wire/peer.ts";

/** A client, as far as records know it. */
export interface Party {
  /** Its listener and its number. */
  readonly name: string;
  /** What its listener grants it. */
  readonly grant: { readonly name: string; readonly role: { readonly name: string } };
  /** Its connection, which may know who it is. */
  readonly peer?: { readonly identity?: Identity | undefined };
}

/** What became of a command. */
export type Result =
  /** It was answered, by QEMU or here, and has worked. */
  | "return"
  /** It was answered with an error. */
  | "error"
  /** It was not let through. */
  | "refused"
  /** QEMU was sent it, and nobody knows what became of it. */
  | "lost"
  /** QEMU was never sent it: its client left, its time was over, or QEMU went. */
  | "dropped";

/** Why a client is no longer there. */
export type Ending =
  /** It went by itself. */
  | "left"
  /** It left too much unread, or for too long. */
  | "unread"
  /** No QEMU came in its time. */
  | "handshake"
  /** QEMU went. */
  | "qemu"
  /** An administrator ended it. */
  | "kicked"
  /** It did nothing for too long. */
  | "idle"
  /** An error of qmpmux's own came up while it was served. */
  | "error"
  /** qmpmux is ending. */
  | "shutdown";

/** What qmpmux was doing when an error of its own came up. */
export type InternalErrorPlace = "client" | "qemu" | "listener" | "teardown" | "other";

/** All places where an error of qmpmux's own can come up. */
export const INTERNAL_ERROR_PLACES: readonly InternalErrorPlace[] = [
  "client",
  "qemu",
  "listener",
  "teardown",
  "other",
];

/** A command that has come to its end. */
export interface Outcome {
  /** What became of it. */
  readonly result: Result;
  /** Its answer, where there was one that is not a refusal. */
  readonly reply?: Reply | undefined;
  /** The name of the rule that refused it, where a role did. */
  readonly rule?: string | undefined;
  /** Seconds from its coming to its end. */
  readonly took: number;
  /** How many of them it waited here; `undefined` where QEMU was not asked. */
  readonly waited?: number | undefined;
}

/** Who records what happens. */
export interface Observer {
  /** Why a command must not run now, if it must not. */
  objection(command: Command): string | undefined;
  /** A command has come to its end. */
  ended(party: Party, command: Command, outcome: Outcome): void;
  /** A command has joined one that asks the same. */
  joined(): void;
  /** A command has been answered with an answer that was kept. */
  cached(): void;
  /** An event of QEMU has been sent to so many clients. */
  spread(event: Event, clients: number): void;
  /** A client is no longer there. */
  left(ending: Ending): void;
  /** A QEMU is ready. */
  qemuCame(): void;
}

/** Tells each of several. */
export class Recorders implements Observer {
  readonly #all: readonly Observer[];

  /** Several in one. */
  constructor(all: readonly Observer[]) {
    this.#all = all;
  }

  /** The first objection. */
  objection(command: Command): string | undefined {
    for (const each of this.#all) {
      const objection = each.objection(command);
      if (objection !== undefined) return objection;
    }
    return undefined;
  }

  /** A command has come to its end. */
  ended(party: Party, command: Command, outcome: Outcome): void {
    for (const each of this.#all) each.ended(party, command, outcome);
  }

  /** A command has joined one that asks the same. */
  joined(): void {
    for (const each of this.#all) each.joined();
  }

  /** A command has been answered with an answer that was kept. */
  cached(): void {
    for (const each of this.#all) each.cached();
  }

  /** An event of QEMU has been sent to so many clients. */
  spread(event: Event, clients: number): void {
    for (const each of this.#all) each.spread(event, clients);
  }

  /** A client is no longer there. */
  left(ending: Ending): void {
    for (const each of this.#all) each.left(ending);
  }

  /** A QEMU is ready. */
  qemuCame(): void {
    for (const each of this.#all) each.qemuCame();
  }
}
