/**
 * A request: a command on its way to QEMU, and all who wait for its answer.
 *
 * @module
 */

import type { Monitor, Ticket } from "../session/monitor.ts";
import type { Job } from "../session/upstream.ts";
import type { Question } from "../sharing/query_cache.ts";
import { type Frame, frameOf } from "../wire/frame.ts";
import { readCommand } from "../wire/command_reader.ts";
import type { Command } from "../wire/message.ts";
import type { Fds } from "../wire/peer.ts";
import { errorReply } from "../wire/reply.ts";

/** Who waits for an answer, and where it belongs. */
export interface Asker {
  /** Who it is. */
  readonly monitor: Monitor;
  /** Its place among the answers. */
  readonly ticket: Ticket;
  /** When it asked. */
  readonly since: number;
  /** When it gives up, in seconds of the hub's clock; never, where it has no deadline. */
  readonly deadline: number;
}

/** A command on its way, and all who wait for its answer. */
export interface Request extends Job {
  /** What was asked. */
  readonly command: Command;
  /** The bytes for QEMU: with QEMU's names for descriptors, once it may go. */
  bytes: Uint8Array;
  /** Who waits; nobody, where it is a request of ours. */
  readonly askers: Asker[];
  /** What it asks, where others may join. */
  readonly question: Question | undefined;
  /** A question its monitor shares with others, which must reach QEMU first. */
  after: Request | undefined;
  /** Who asked first; nobody, where it concerns no descriptors. */
  readonly owner: Monitor | undefined;
  /** What goes along. */
  readonly fds: Fds | undefined;
  /** Has QEMU been sent it? */
  sent: boolean;
  /** When. */
  sentAt: number;
}

/** What is asked of a QEMU that is silent. */
const PROBE: Frame = frameOf('{"exec-oob":"query-yank"}');

/** The question whether QEMU lives; it reads only, and QEMU's I/O thread answers it. */
export function probe(): Request {
  return internalRequest(readCommand(PROBE, true) as Command);
}

/** A command whose answer nobody waits for. */
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
    sent: command.oob,
    sentAt: 0,
  };
}

/** Does anybody wait for its answer? */
export function isAwaited({ askers }: Request): boolean {
  return askers.some(({ monitor }) => !monitor.left);
}

/** Runs what concerns one client, so that an error ends that client alone. */
export type Contain = (monitor: Monitor, run: () => void) => void;

/** Answers all these with an error; whatever becomes of their request is nobody's from now on. */
export function failAll(askers: Asker[], desc: string, contain: Contain): void {
  for (const { monitor, ticket } of askers.splice(0)) {
    contain(monitor, () => monitor.fill(ticket, errorReply("GenericError", desc)));
  }
}
