/**
 * The audit: one record for each command that changes something, or tries to.
 *
 * The record is made when the command has ended, and passed to a sink that keeps
 * it. While the sink fails, commands that change something can be refused.
 *
 * @module
 */

import type { Command } from "../wire/message.ts";
import type { Identity } from "../wire/peer.ts";
import { errorClass } from "../wire/reply.ts";
import type { Gate, Happening, Observer } from "./observer.ts";
import { type Shown, withoutSecrets } from "./secrets.ts";
import { shortened } from "../wire/shortened.ts";

/** The characters of a command's name that are recorded: clients can send names of any length. */
const NAME_CHARS_LIMIT = 128;

/** One record. */
export interface AuditRecord {
  /** The time of the command's arrival, RFC 3339. */
  readonly time: string;
  /** The VM's name, if it has one. */
  readonly vm: string | undefined;
  /** The listener's name. */
  readonly listener: string;
  /** The name of the client's role. */
  readonly role: string;
  /** The client's name: its listener's, and its number. */
  readonly client: string;
  /** The process at the other end, if it is known. */
  readonly peer: Identity | undefined;
  /** The command. */
  readonly command: string;
  /** Its arguments without secrets, or their names. */
  readonly shown: Shown | undefined;
  /** Its {@linkcode Result}. */
  readonly outcome: string;
  /** The name of the rule that refused it, if a role did. */
  readonly rule: string | undefined;
  /** The class of the error that answered it. */
  readonly errorClass: string | undefined;
  /** Seconds from its arrival to its end. */
  readonly duration: number;
}

/** A keeper of records. */
export interface AuditSink {
  /** Whether no record can be kept at the moment. */
  readonly failing: boolean;
  /** Keeps a record; never blocks, never throws. */
  keep(record: AuditRecord): void;
}

/** Settings of the audit. */
export interface AuditOptions {
  /** Returns whether a command only reads. */
  readonly isRead: (command: string) => boolean;
  /** Returns whether the meaning of a command's arguments is known. */
  readonly isKnown: (command: string) => boolean;
  /** Whether commands that only read are audited, too. */
  readonly all: boolean;
  /** Whether commands that change something are refused while no record can be kept. */
  readonly refuses: boolean;
  /** The time of day in milliseconds since 1970. */
  readonly timeOfDay: () => number;
  /** The VM's name, for each record. */
  readonly vm?: string | undefined;
}

/** Makes the records of commands. */
export class Audit implements Observer, Gate {
  readonly #sink: AuditSink;
  readonly #options: AuditOptions;

  /** Creates an audit that writes to a sink. */
  constructor(sink: AuditSink, options: AuditOptions) {
    this.#sink = sink;
    this.#options = options;
  }

  /** Objects to a command whose record could not be kept, if the settings say so. */
  objection({ name }: Command): string | undefined {
    const { refuses, isRead } = this.#options;
    if (!refuses || !this.#sink.failing || isRead(name)) return undefined;
    return "its audit record cannot be written";
  }

  /** Records a command that has ended. */
  observe(happening: Happening): void {
    if (happening.kind !== "command") return;
    const { client: { name: client, grant, peer }, command, outcome } = happening;
    const { all, isRead, isKnown, timeOfDay, vm } = this.#options;
    const { name } = command;
    if (!all && isRead(name)) return;
    const { result, reply, took, rule } = outcome;
    this.#sink.keep({
      time: new Date(timeOfDay() - took * 1000).toISOString(),
      vm,
      listener: grant.name,
      role: grant.role.name,
      client,
      peer: peer?.identity,
      command: shortened(name, NAME_CHARS_LIMIT),
      shown: withoutSecrets(command, isKnown(name)),
      outcome: result,
      rule,
      errorClass: reply && errorClass(reply),
      duration: Math.round(took * 1e6) / 1e6,
    });
  }
}

/** Returns a record as one line of JSON, without the line end. */
export function lineOf(record: AuditRecord): string {
  const { time, vm, listener, role, client, command, shown, outcome, rule, duration } = record;
  const { pid, uid, gid } = record.peer ?? {};
  const peer = record.peer && { pid, uid, gid };
  const names = shown && "names" in shown ? shown.names : undefined;
  const head = { time, vm, listener, role, client, peer, command, "argument-names": names };
  const tail = { outcome, rule, "error-class": record.errorClass, duration };
  // The arguments are JSON already.
  const args = shown && "arguments" in shown ? `,"arguments":${shown.arguments}` : "";
  return `${JSON.stringify(head).slice(0, -1)}${args},${JSON.stringify(tail).slice(1)}`;
}

/** Returns a record as fields of the journal, which adds the time and more itself. */
export function fieldsOf(record: AuditRecord): Record<string, string> {
  const { vm, client, peer, command, role, listener, shown, outcome, rule, errorClass, duration } =
    record;
  const failed = errorClass === undefined ? outcome : `${outcome} (${errorClass})`;
  return {
    MESSAGE: `${vm === undefined ? "" : `${vm}: `}${client} (${role}): ${command}: ${failed}`,
    PRIORITY: outcome === "return" ? "6" : "5",
    SYSLOG_IDENTIFIER: "qmpmux",
    QMPMUX_TIME: record.time,
    ...(vm !== undefined && { QMPMUX_VM: vm }),
    QMPMUX_LISTENER: listener,
    QMPMUX_ROLE: role,
    QMPMUX_CLIENT: client,
    ...(peer && {
      QMPMUX_PEER_PID: String(peer.pid),
      QMPMUX_PEER_UID: String(peer.uid),
      QMPMUX_PEER_GID: String(peer.gid),
    }),
    QMPMUX_COMMAND: command,
    ...(shown && "arguments" in shown && { QMPMUX_ARGUMENTS: shown.arguments }),
    ...(shown && "names" in shown && { QMPMUX_ARGUMENT_NAMES: JSON.stringify(shown.names) }),
    QMPMUX_OUTCOME: outcome,
    ...(rule !== undefined && { QMPMUX_RULE: rule }),
    ...(errorClass !== undefined && { QMPMUX_ERROR_CLASS: errorClass }),
    QMPMUX_DURATION: String(duration),
  };
}
