/**
 * A request: a command for QEMU, and the clients that wait for its reply.
 *
 * @module
 */

import type { Monitor } from "../session/monitor.ts";
import type { Ticket } from "../session/slot.ts";
import type { Job } from "../session/upstream.ts";
import type { Question } from "../sharing/query_cache.ts";
import { type Frame, frameOf } from "../wire/frame.ts";
import { readCommand } from "../wire/command_reader.ts";
import type { Command } from "../wire/message.ts";
import type { Fds } from "../wire/peer.ts";
import { errorReply } from "../wire/reply.ts";

/** A client that waits for a reply. */
export interface Asker {
  /** The client. */
  readonly monitor: Monitor;
  /** Its command. Others may ask the same in another spelling. */
  readonly command: Command;
  /** Its place among the client's replies. */
  readonly ticket: Ticket;
  /** The time of its command. */
  readonly since: number;
  /** The time at which its command fails, in seconds of the hub's clock; Infinity without a deadline. */
  readonly deadline: number;
}

/** A command for QEMU, and the clients that wait for its reply. */
export interface Request extends Job {
  /** The command. */
  readonly command: Command;
  /** The bytes for QEMU. When it is sent, clients' names of descriptors are replaced with those at QEMU. */
  bytes: Uint8Array;
  /** The clients that wait; none for an internal request. */
  readonly askers: Asker[];
  /** The question it asks, if others may join. */
  readonly question: Question | undefined;
  /** A question that its client has joined and that must be sent to QEMU first. */
  after: Request | undefined;
  /** The client that owns the descriptors it concerns: the one that asked first. */
  readonly owner: Monitor | undefined;
  /** The descriptors to send with it. */
  readonly fds: Fds | undefined;
  /** Whether it waits here, has been sent to QEMU, or has ended. */
  state: "waiting" | "sent" | "done";
  /** The time at which it was sent. */
  sentAt: number;
}

/** The command that checks whether a silent QEMU still answers. */
const PROBE: Frame = frameOf('{"exec-oob":"query-yank"}');

/** Returns a request that checks whether a silent QEMU still answers. QEMU's I/O thread answers it. */
export function probe(): Request {
  return internalRequest(readCommand(PROBE, true) as Command);
}

/** Returns a request of qmpmux's own, for which no client waits. */
export function internalRequest(command: Command, owner?: Monitor): Request {
  return {
    command,
    bytes: command.bytes,
    oob: command.oob,
    question: undefined,
    askers: [],
    after: undefined,
    owner,
    fds: undefined,
    state: command.oob ? "sent" : "waiting",
    sentAt: 0,
  };
}

/** Returns whether any client waits for the reply. */
export function isAwaited({ askers }: Request): boolean {
  return askers.some(({ monitor }) => !monitor.left);
}

/** A function that runs work for one client, so that an error disconnects that client only. */
export type Contain = (monitor: Monitor, run: () => void) => void;

/** Answers these clients with an error; they no longer wait for the request. */
export function failAll(askers: Asker[], desc: string, contain: Contain): void {
  for (const { monitor, ticket } of askers.splice(0)) {
    contain(monitor, () => monitor.fill(ticket, errorReply("GenericError", desc)));
  }
}
