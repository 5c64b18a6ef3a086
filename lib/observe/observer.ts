/**
 * Observers, which record what the hub does, and gates, which may object to commands.
 *
 * An observer is called after something has happened, and cannot change it. A gate is
 * called before a command runs.
 *
 * @module
 */

import type { Command, Event, Reply } from "../wire/message.ts";
import type { Identity } from "../wire/peer.ts";

/** A client as records show it. */
export interface ClientInfo {
  /** Its listener and its number. */
  readonly name: string;
  /** The names of its listener and its role. */
  readonly grant: { readonly name: string; readonly role: { readonly name: string } };
  /** Its connection, which may know the process at the other end. */
  readonly peer?: { readonly identity?: Identity | undefined };
}

/** The result of a command. */
export type Result =
  /** QEMU or qmpmux answered it, and it worked. */
  | "return"
  /** It was answered with an error. */
  | "error"
  /** It was refused. */
  | "refused"
  /** It was sent to QEMU; its effect is unknown. */
  | "lost"
  /** It was never sent to QEMU: its client left, its deadline passed, or QEMU disconnected. */
  | "dropped";

/** The reason for which a client is no longer connected. */
export type ClientEnding =
  /** It disconnected. */
  | "left"
  /** It left too much unread, or for too long. */
  | "unread"
  /** No QEMU greeted it in time. */
  | "handshake"
  /** QEMU disconnected. */
  | "qemu"
  /** An administrator disconnected it. */
  | "kicked"
  /** It was idle for too long. */
  | "idle"
  /** An internal error occurred while it was served. */
  | "error"
  /** qmpmux is shutting down. */
  | "shutdown";

/** The places of internal errors: what qmpmux was working on. */
export type InternalErrorPlace = "client" | "qemu" | "listener" | "teardown" | "other";

/** All places of internal errors. */
export const INTERNAL_ERROR_PLACES: readonly InternalErrorPlace[] = [
  "client",
  "qemu",
  "listener",
  "teardown",
  "other",
];

/** The end of a command. */
export interface Outcome {
  /** Its result. */
  readonly result: Result;
  /** Its reply, if there is one that is not a refusal. */
  readonly reply?: Reply | undefined;
  /** The name of the rule that refused it, if a role did. */
  readonly rule?: string | undefined;
  /** Seconds from its arrival to its end. */
  readonly took: number;
  /** Seconds of `took` that it waited here; `undefined` if it was not sent to QEMU. */
  readonly waited?: number | undefined;
}

/** The reasons for which events are missing. */
export type GapCause =
  /** A client has come with a cursor that is too old, or of another run. */
  | "cursor"
  /** The connection to QEMU was lost and made again. */
  | "session"
  /** A client has read so slowly that the log has dropped events. */
  | "slow";

/** All reasons for which events are missing. */
export const GAP_CAUSES: readonly GapCause[] = ["cursor", "session", "slow"];

/** Something that has happened. */
export type Happening =
  /** A command has ended. */
  | {
    readonly kind: "command";
    readonly client: ClientInfo;
    readonly command: Command;
    readonly outcome: Outcome;
  }
  /** A command has joined an equal one that was pending. */
  | { readonly kind: "joined" }
  /** A cached reply has answered a command. */
  | { readonly kind: "cached" }
  /** An event has been sent to a number of clients. */
  | { readonly kind: "event"; readonly event: Event; readonly clients: number }
  /** Clients have been told that events are missing. */
  | { readonly kind: "gap"; readonly cause: GapCause; readonly clients: number }
  /** A client is no longer connected. */
  | { readonly kind: "left"; readonly ending: ClientEnding }
  /** A session with QEMU is ready. */
  | { readonly kind: "ready" }
  /** A limit, one of a fixed set, has been reached. */
  | { readonly kind: "limit"; readonly limit: string }
  /** An internal error has been contained. */
  | { readonly kind: "internal-error"; readonly place: InternalErrorPlace }
  /** The audit could not be written. */
  | { readonly kind: "audit-failed" }
  /** The recording could not be written. */
  | { readonly kind: "record-failed" };

/** A recorder of happenings. */
export interface Observer {
  /** Records something that has happened. */
  observe(happening: Happening): void;
}

/** A check of commands in addition to the roles. */
export interface Gate {
  /** Returns the reason why a command must not run now, if there is one. */
  objection(command: Command): string | undefined;
}

/** Observers and a gate of the hub. */
export interface Recording {
  /** The observers; each receives every happening. */
  readonly observers: readonly Observer[];
  /** The gate, if there is one. */
  readonly gate?: Gate | undefined;
}
