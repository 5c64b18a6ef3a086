/**
 * qmpmux's own commands, as a table.
 *
 * Their names begin with `__org.qmpmux_`, the form that the QMP specification
 * reserves for downstreams. The commands in this table are never sent to QEMU.
 *
 * @module
 */

import { ArgumentError, Arguments } from "../session/arguments.ts";
import type { ClientEnding } from "../observe/observer.ts";
import type { Monitor } from "../session/monitor.ts";
import { EventFilter, GLOBS_LIMIT } from "../policy/event_filter.ts";
import { refusalText, type Role } from "../policy/policy.ts";
import { qemuText } from "../wire/qemu_json.ts";
import type { Command, Reply } from "../wire/message.ts";
import { elementText, errorReply, listReply, returnReply } from "../wire/reply.ts";
import type { RequestRecorder } from "./request_recorder.ts";

/** The prefix of the commands of qmpmux's own. */
export const OWN_PREFIX = "__org.qmpmux_";

/** Returns whether this is a command of qmpmux's own. */
export function isOwn(name: string): boolean {
  return name.startsWith(OWN_PREFIX) && COMMANDS.has(name.slice(OWN_PREFIX.length));
}

/** The part of the hub that the commands use. */
export interface Hub {
  /** The connected clients. */
  readonly monitors: ReadonlySet<Monitor>;
  /** Records the commands. */
  readonly recorder: RequestRecorder;
  /** Returns the state of the session with QEMU, and the number of commands. */
  status(): HubStatus;
  /** Counts each client's commands in flight; its other pending commands wait here. */
  inFlight(): ReadonlyMap<Monitor, number>;
  /** Disconnects a client after what is queued for it has been sent. */
  dismiss(monitor: Monitor, reason: string, ending: ClientEnding): void;
  /** Reloads the settings and calls `done` with the problems found; with none, the settings are in force. */
  reload(done: (problems: readonly string[]) => void): void;
  /** Runs a task for a client in a later turn; returns `false` if the caller has to run it at once. */
  later(monitor: Monitor, task: () => void): boolean;
}

/** The state of the hub; times in seconds. */
export interface HubStatus {
  /** The VM's name. */
  readonly vm: string;
  /** `absent`, `greeting`, `negotiating`, `ready` or `stalled`. */
  readonly qemu: string;
  /** QEMU's version, while it is ready. */
  readonly version: string | null;
  /** QEMU's process id, if its socket reveals it. */
  readonly pid: number | null;
  /** The number of sessions with QEMU that became ready. */
  readonly sessions: number;
  /** The number of clients, without control connections. */
  readonly clients: number;
  /** The number of commands that wait here. */
  readonly waiting: number;
  /** The number of commands in flight. */
  readonly inFlight: number;
  /** Seconds since the start. */
  readonly age: number;
}

/** A function that runs a command for a client; throws ArgumentError or RangeError for a wrong argument. */
type Run = (monitor: Monitor, args: Arguments, hub: Hub) => unknown;

/** A function that starts a command. It calls `done` once, with a function that returns the value or throws. */
type Start = (args: Arguments, hub: Hub, done: (value: () => unknown) => void) => void;

/** A function that yields the elements of a list; other clients may have a turn between two elements. */
type List = (args: Arguments, hub: Hub) => Iterator<unknown>;

/** A command: who may run it (`administers`: administrators only) and whether it affects others (`changes`). */
type OwnCommand =
  & { readonly administers: boolean; readonly changes: boolean }
  & ({ readonly run: Run } | { readonly start: Start } | { readonly list: List });

/** The number of list elements made in a turn. */
const ELEMENTS_A_TURN = 16;

const COMMANDS: ReadonlyMap<string, OwnCommand> = new Map<string, OwnCommand>([
  ["set-event-filter", {
    administers: false,
    changes: false,
    run: (monitor, args) => {
      const globs = args.takeStrings("enable", GLOBS_LIMIT);
      args.end();
      monitor.chooseEvents(new EventFilter(globs));
      return {};
    },
  }],
  ["query-self", {
    administers: false,
    changes: false,
    run: (monitor, args, hub) => {
      args.end();
      const { name, grant, mode, capabilities, filter } = monitor;
      const { vm, pid } = hub.status();
      const may = [...COMMANDS].filter(([, command]) => mayRun(grant.role, command));
      return {
        name,
        vm,
        role: grant.role.name,
        mode,
        capabilities,
        filter: filter ?? null,
        "qemu-pid": pid,
        commands: may.map(([name]) => OWN_PREFIX + name),
      };
    },
  }],
  ["query-clients", {
    administers: true,
    changes: false,
    list: function* (args, hub): Generator<unknown> {
      args.end();
      const inFlight = hub.inFlight();
      const { age } = hub.status();
      for (const monitor of [...hub.monitors]) {
        // A client may have left since the last turn.
        if (monitor.isControl || monitor.left) continue;
        yield clientView(monitor, inFlight.get(monitor) ?? 0, age);
      }
    },
  }],
  ["query-status", {
    administers: true,
    changes: false,
    run: (_, args, hub) => {
      args.end();
      const { inFlight, pid, ...status } = hub.status();
      return { ...status, "in-flight": inFlight, "qemu-pid": pid };
    },
  }],
  ["disconnect-client", {
    administers: true,
    changes: true,
    run: (asker, args, hub) => {
      const name = args.takeString("name");
      args.end();
      const monitor = [...hub.monitors].find((each) => each.name === name && !each.isControl);
      if (monitor === undefined) throw new ArgumentError(`Client '${name}' not found`);
      hub.dismiss(monitor, `disconnected by ${asker.name}`, "kicked");
      return {};
    },
  }],
  ["reload", {
    administers: true,
    changes: true,
    start: (args, hub, done) => {
      args.end();
      hub.reload((problems) =>
        done(() => {
          if (problems.length > 0) throw new ArgumentError(problems.join("; "));
          return {};
        })
      );
    },
  }],
]);

/** The full names of the commands that only read, or that affect only the client itself. */
export const HARMLESS: readonly string[] = [...COMMANDS]
  .flatMap(([name, { changes }]) => changes ? [] : [OWN_PREFIX + name]);

function mayRun(role: Role, { administers }: OwnCommand): boolean {
  return role.administers || !administers;
}

/**
 * Returns a client as an administrator sees it; times in seconds.
 *
 * @param inFlight the number of its commands in flight
 * @param now the seconds since the start of the hub's clock
 */
function clientView(monitor: Monitor, inFlight: number, now: number): unknown {
  const { grant, peer, filter, lastCommand } = monitor;
  const { identity } = peer;
  return {
    name: monitor.name,
    listener: grant.name,
    peer: identity ? { pid: identity.pid, uid: identity.uid, gid: identity.gid } : null,
    role: grant.role.name,
    dialect: monitor.dialect,
    mode: monitor.mode,
    capabilities: monitor.capabilities,
    filter: filter ? shownGlobs(filter) : null,
    "in-flight": inFlight,
    waiting: monitor.pending - inFlight,
    "unread-bytes": peer.unread ?? 0,
    commands: monitor.commands,
    "last-command": lastCommand ?? null,
    age: now - monitor.since,
  };
}

/** The characters of a filter in the list of clients, so that a few clients cannot make the list too long to receive. */
const FILTER_CHARS_LIMIT = 256;

/** Returns a client's globs, or the first of them followed by `…`. */
function shownGlobs(globs: readonly string[]): readonly string[] {
  let room = FILTER_CHARS_LIMIT;
  const past = globs.findIndex((glob) => (room -= glob.length + 1) < 0);
  return past < 0 ? globs : [...globs.slice(0, past), "…"];
}

/**
 * Answers a command of qmpmux's own.
 *
 * @returns whether it is such a command; an unknown command with our prefix is left to QEMU,
 *   so that the error is QEMU's own
 */
export function runOwn(monitor: Monitor, command: Command, hub: Hub): boolean {
  const { name, id, oob } = command;
  if (!name.startsWith(OWN_PREFIX)) return false;
  const own = COMMANDS.get(name.slice(OWN_PREFIX.length));
  if (own === undefined) return false;
  const { role } = monitor.grant;
  if (!mayRun(role, own)) {
    const because = `role ${role.name}: it is for roles that administer qmpmux`;
    const desc = refusalText(command, because);
    hub.recorder.refuse(monitor, command, "refused", desc, { errorClass: "CommandNotFound" });
  } else if (oob) {
    const error = errorReply("GenericError", `The command ${name} does not support OOB`);
    const answer = (): Reply => monitor.inDialect(error);
    monitor.answer(id, true, hub.recorder.recordWhenSent(monitor, command, answer));
  } else run(monitor, command, own, hub);
  return true;
}

function run(monitor: Monitor, command: Command, own: OwnCommand, hub: Hub): void {
  if ("run" in own) {
    const value = (): unknown => own.run(monitor, new Arguments(command), hub);
    const answer = (): Reply => monitor.inDialect(replyOf(value));
    return monitor.answer(command.id, false, hub.recorder.recordWhenSent(monitor, command, answer));
  }
  if ("list" in own) return list(monitor, command, own.list, hub);
  // A command that finishes later keeps its place among the replies.
  const ticket = monitor.reserve(command.id, false);
  let outcome: () => unknown;
  const answer = hub.recorder.recordWhenSent(monitor, command, () => replyOf(outcome));
  const settle = (value: () => unknown): void => {
    outcome = value;
    monitor.fill(ticket, answer(ticket)!);
  };
  try {
    own.start(new Arguments(command), hub, settle);
  } catch (error) {
    settle(() => {
      throw error;
    });
  }
}

/** Answers with a list. It is made in several turns, once the replies before it have been sent. */
function list(monitor: Monitor, command: Command, make: List, hub: Hub): void {
  const { isPretty } = monitor;
  const elements: string[] = [];
  let made: Iterator<unknown> | undefined;
  /** Makes some more elements; returns whether the list is complete. */
  const step = (): boolean => {
    made ??= make(new Arguments(command), hub);
    for (let i = 0; i < ELEMENTS_A_TURN; i++) {
      const { done, value } = made.next();
      if (done) return true;
      elements.push(elementText(value, isPretty));
    }
    return false;
  };
  let outcome: (() => Reply) | undefined;
  const answer = hub.recorder.recordWhenSent(monitor, command, (slot) => {
    if (outcome) return attempted(outcome);
    const go = (): void => {
      try {
        while (!step()) if (hub.later(monitor, go)) return;
        outcome = () => listReply(elements, isPretty);
      } catch (error) {
        outcome = () => {
          throw error;
        };
      }
      monitor.fill(slot, answer(slot)!);
    };
    go();
    return undefined;
  });
  monitor.answer(command.id, false, answer);
}

function replyOf(value: () => unknown): Reply {
  return attempted(() => returnReply(qemuText(value())));
}

/** Returns the reply, or the error for a wrong argument. */
function attempted(reply: () => Reply): Reply {
  try {
    return reply();
  } catch (error) {
    if (error instanceof ArgumentError || error instanceof RangeError) {
      return errorReply("GenericError", error.message);
    }
    throw error;
  }
}
