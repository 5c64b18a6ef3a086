/**
 * One record for each command that changes something, or tried to.
 *
 * It is made when the command has come to its end, and handed to a sink that
 * keeps it. Where nothing can be kept, changing commands can be refused until it
 * can again.
 *
 * @module
 */

import type { Command } from "../wire/message.ts";
import type { Identity } from "../wire/peer.ts";
import { errorClass } from "../wire/reply.ts";
import type { Observer, Outcome, Party } from "./observer.ts";
import { type Shown, withoutSecrets } from "./secrets.ts";
import { shortened } from "../wire/shortened.ts";

/** A client chose the name of its command: a long one is cut. */
const NAME_CHARS_LIMIT = 128;

/** One record. */
export interface AuditRecord {
  /** When the command came, RFC 3339. */
  readonly time: string;
  /** The listener's name. */
  readonly listener: string;
  /** What the client's role is called. */
  readonly role: string;
  /** The client's name: its listener's, and its number. */
  readonly client: string;
  /** Who that is, where it is known. */
  readonly peer: Identity | undefined;
  /** The command. */
  readonly command: string;
  /** Its arguments without secrets, or their names. */
  readonly shown: Shown | undefined;
  /** What became of it: a {@linkcode Result}. */
  readonly outcome: string;
  /** The name of the rule that refused it, where a role did. */
  readonly rule: string | undefined;
  /** The class of the error it was answered with. */
  readonly errorClass: string | undefined;
  /** Seconds until it came to its end. */
  readonly duration: number;
}

/** Keeps records. */
export interface AuditSink {
  /** Can nothing be kept at the moment? */
  readonly failing: boolean;
  /** Keeps a record; never blocks, never throws. */
  keep(record: AuditRecord): void;
}

/** What is put on record, and how. */
export interface AuditOptions {
  /** Does a command only read? */
  readonly isRead: (command: string) => boolean;
  /** Is it known what a command's arguments carry? */
  readonly isKnown: (command: string) => boolean;
  /** Is what only reads put on record too? */
  readonly all: boolean;
  /** Is what changes something refused while nothing can be kept? */
  readonly refuses: boolean;
  /** The time of day in milliseconds since 1970. */
  readonly timeOfDay: () => number;
}

/** Puts commands on record. */
export class Audit implements Observer {
  readonly #sink: AuditSink;
  readonly #options: AuditOptions;

  /** Nothing has been kept yet. */
  constructor(sink: AuditSink, options: AuditOptions) {
    this.#sink = sink;
    this.#options = options;
  }

  /** What could not be put on record does not run, where that is wanted. */
  objection({ name }: Command): string | undefined {
    const { refuses, isRead } = this.#options;
    if (!refuses || !this.#sink.failing || isRead(name)) return undefined;
    return "it cannot be put on record";
  }

  /** Puts a command on record. */
  ended({ name: client, grant, peer }: Party, command: Command, outcome: Outcome): void {
    const { all, isRead, isKnown, timeOfDay } = this.#options;
    const { name } = command;
    if (!all && isRead(name)) return;
    const { result, reply, took, rule } = outcome;
    this.#sink.keep({
      time: new Date(timeOfDay() - took * 1000).toISOString(),
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

  /** That is no command of its own. */
  joined(): void {}

  /** That is no command of its own. */
  cached(): void {}

  /** Events are no commands. */
  spread(): void {}

  /** Clients are no commands. */
  left(): void {}

  /** QEMU is no command. */
  qemuCame(): void {}
}

/** A record as one line of JSON, without its end. */
export function lineOf(record: AuditRecord): string {
  const { shown, rule, errorClass, duration, peer, ...rest } = record;
  const parts = Object.entries(rest).map(([key, value]) => `"${key}":${JSON.stringify(value)}`);
  if (peer) {
    const { pid, uid, gid } = peer;
    // Behind the client's name.
    parts.splice(4, 0, `"peer":${JSON.stringify({ pid, uid, gid })}`);
  }
  // In the order in which one reads it: what, then what became of it.
  const outcome = parts.pop()!;
  if (shown && "arguments" in shown) parts.push(`"arguments":${shown.arguments}`);
  if (shown && "names" in shown) parts.push(`"argument-names":${JSON.stringify(shown.names)}`);
  parts.push(outcome);
  if (rule !== undefined) parts.push(`"rule":${JSON.stringify(rule)}`);
  if (errorClass !== undefined) parts.push(`"error-class":${JSON.stringify(errorClass)}`);
  parts.push(`"duration":${duration}`);
  return `{${parts.join(",")}}`;
}

/** A record as fields of the journal, which has the time and much else itself. */
export function fieldsOf(record: AuditRecord): Record<string, string> {
  const { client, peer, command, role, listener, shown, outcome, rule, errorClass, duration } =
    record;
  const failed = errorClass === undefined ? outcome : `${outcome} (${errorClass})`;
  return {
    MESSAGE: `${client} (${role}): ${command}: ${failed}`,
    PRIORITY: outcome === "return" ? "6" : "5",
    SYSLOG_IDENTIFIER: "qmpmux",
    QMPMUX_TIME: record.time,
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
