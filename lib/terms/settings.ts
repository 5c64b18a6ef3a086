/**
 * Settings: what `qmpmux serve` is told, read and checked.
 *
 * @module
 */

import type { Address, Place } from "./address.ts";
import type { Admission } from "./admission.ts";
import type { Terms } from "./terms.ts";

/** A listener: where, for whom, on what terms. */
export interface ListenerSettings {
  /** Where it listens. */
  readonly address: Place;
  /** May other machines reach it? */
  readonly remote: boolean;
  /** What it grants. */
  readonly terms: Terms;
  /** Who is let in, and who on other terms. */
  readonly admission: Admission;
  /** Must it be known who connects? */
  readonly identity: boolean;
  /** May its clients pass descriptors? */
  readonly descriptors: boolean;
  /** Of the socket file. */
  readonly mode: number;
  /** The owner of the socket file, by name or number. */
  readonly user: string | undefined;
  /** The group of the socket file, by name or number. */
  readonly group: string | undefined;
}

/** What becomes of the clients when QEMU goes. */
export type OnLoss = "close" | "hold";

/** What keeps the service manager's watchdog quiet: qmpmux's own loop, or QEMU's answers as well. */
export type WatchdogOf = "loop" | "qemu";

/** How long some commands may take. */
export interface Deadline {
  /** A glob of their names. */
  readonly glob: string;
  /** Seconds from when qmpmux has read it. */
  readonly seconds: number;
}

/** All listeners listen; or QEMU has been there as well. */
export type ReadyWhen = "listening" | "qemu";

/** The form of the log: lines of text, JSON, or lines with the journal's priorities. */
export type LogFormat = "text" | "json" | "journal";

/** What becomes of commands that change something while the audit cannot be written. */
export type AuditFailure = "refuse" | "continue";

/** Where records of commands go. */
export interface AuditSettings {
  /** A path, or `journal`. */
  readonly to: string;
  /** What becomes of commands that cannot be put on record. */
  readonly failure: AuditFailure;
  /** Is what only reads put on record too? */
  readonly all: boolean;
}

/** What `qmpmux serve` is told; times in seconds. */
export interface ServeSettings {
  /** QEMU's monitor. */
  readonly qemu: Address;
  /** Where clients connect; at least one. */
  readonly listeners: readonly ListenerSettings[];
  /** When the service manager is told that the daemon is ready. */
  readonly readyWhen: ReadyWhen;
  /** End with QEMU, instead of waiting for the next one. */
  readonly once: boolean;
  /** How long QEMU may take for its greeting. */
  readonly greetingTime: number;
  /** How long a client may wait for QEMU's greeting. */
  readonly handshakeTime: number;
  /** How long commands under way may take to finish at the end. */
  readonly drainTime: number;
  /** What becomes of the clients when QEMU goes. */
  readonly onLoss: OnLoss;
  /** How long QEMU may be silent, though asked, before it counts as stalled. */
  readonly stallTime: number;
  /** What keeps the service manager's watchdog quiet. */
  readonly watchdogOf: WatchdogOf;
  /** How long commands may take. */
  readonly deadlines: readonly Deadline[];
  /** How many clients there may be in all. */
  readonly maxClients: number;
  /** Where metrics can be fetched, if anywhere. */
  readonly metrics?: ListenerSettings | undefined;
  /** Where records of commands go, if anywhere. */
  readonly audit?: AuditSettings | undefined;
  /** The form of the log, where one is chosen. */
  readonly logFormat?: LogFormat | undefined;
}
