/**
 * qmpmux's own commands, as a table.
 *
 * Their names begin with `__org.qmpmux_`, the form that the QMP specification
 * reserves for downstreams. The commands in this table are never sent to QEMU.
 *
 * @module
 */

import { ArgumentError, Arguments } from "../session/arguments.ts";
import { QMP } from "../session/dialect.ts";
import type { Monitor } from "../session/monitor.ts";
import { EventFilter, GLOBS_LIMIT } from "../policy/event_filter.ts";
import { type Judged, refusalText, type Role } from "../policy/policy.ts";
import { qemuText } from "../wire/qemu_json.ts";
import type { Command, Reply } from "../wire/message.ts";
import { elementText, errorReply, listReply, returnReply } from "../wire/reply.ts";
import { chosenVms, clientView, disconnect, statusView } from "./administration.ts";
import { LEASE_COMMANDS } from "./lease_commands.ts";
import { OWN_PREFIX } from "./own_events.ts";
import { judgedPermission, type Permission, permission, roleNamed } from "./permission.ts";
import type { Hub, List, OwnCommand, Start } from "./own_command.ts";
import { startTap } from "./tap_request.ts";

/** Returns whether this is a command of qmpmux's own. */
export function isOwn(name: string): boolean {
  return name.startsWith(OWN_PREFIX) && COMMANDS.has(name.slice(OWN_PREFIX.length));
}

/** The reasons of decisions that no rule makes. */
const FOR_ADMINISTRATORS = "it is for roles that administer qmpmux";
const FOR_HOLDERS = "it is for roles with lease = true";
const FOR_EVERYONE = "it is for every client";

/** The number of list elements made, or of steps done, in a turn. */
const STEPS_A_TURN = 16;

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
  ["subscribe", {
    administers: false,
    changes: false,
    run: (monitor, args, hub) => hub.subscriptions.subscribe(monitor, args),
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
        vm: hub.administration.many ? null : vm,
        role: grant.role.name,
        mode,
        capabilities,
        filter: filter ?? null,
        subscription: hub.subscriptions.view(monitor),
        "qemu-pid": pid,
        commands: may.map(([name]) => OWN_PREFIX + name),
      };
    },
  }],
  ["query-clients", {
    administers: true,
    changes: false,
    list: function* (args, hub): Generator<unknown> {
      const glob = args.takeOptionalString("vm");
      args.end();
      const { administration, isNamed } = hub;
      for (const vm of chosenVms(administration, glob)) {
        const inFlight = vm.inFlight();
        const { age } = vm.status();
        const shown = administration.many || isNamed ? vm.name : undefined;
        for (const monitor of [...vm.monitors]) {
          // A client may have left since the last turn.
          if (monitor.isControl || monitor.left) continue;
          const subscription = vm.subscription(monitor);
          yield clientView(monitor, shown, subscription, inFlight.get(monitor) ?? 0, age);
        }
      }
    },
  }],
  ["query-status", {
    administers: true,
    changes: false,
    run: (_, args, hub) => {
      const glob = args.takeOptionalString("vm");
      args.end();
      const [vm] = chosenVms(hub.administration, glob);
      return statusView(vm!.status());
    },
    many: function* (args, hub): Generator<unknown> {
      const glob = args.takeOptionalString("vm");
      args.end();
      for (const vm of chosenVms(hub.administration, glob)) yield statusView(vm.status());
    },
  }],
  ["can", {
    administers: true,
    changes: false,
    run: (_, args, hub) => {
      const role = args.takeString("role");
      const name = args.takeString("command");
      const argumentBytes = args.takeOptionalObject("arguments");
      args.end();
      return permissionOf(roleNamed(role, hub.roles()), { name, argumentBytes });
    },
  }],
  ["disconnect-client", {
    administers: true,
    changes: true,
    steps: (asker, args, hub) => {
      const name = args.takeString("name");
      const vm = args.takeOptionalString("vm");
      args.end();
      return disconnect(hub.administration, asker, name, vm);
    },
  }],
  ...LEASE_COMMANDS,
  ["tap", {
    administers: true,
    changes: true,
    start: (monitor, args, hub, done) => startTap(hub.openTap, monitor, args, done),
  }],
  ["reload", {
    administers: true,
    changes: true,
    start: (_, args, hub, done) => {
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

function mayRun(role: Role, { administers, leases }: OwnCommand): boolean {
  return (role.administers || !administers) && (!leases || role.leases.length > 0);
}

/** Returns the reason why a role may not run a command. */
function reservedFor({ administers }: OwnCommand): string {
  return administers ? FOR_ADMINISTRATORS : FOR_HOLDERS;
}

/**
 * Returns whether clients with a role may run a command, and the rule that decides.
 *
 * It agrees with what a listener does: the handshake and some commands of qmpmux's own are for every
 * client, whatever the rules of its role are.
 */
export function permissionOf(role: Role, command: Judged): Permission {
  const { name } = command;
  const own = name.startsWith(OWN_PREFIX) ? COMMANDS.get(name.slice(OWN_PREFIX.length)) : undefined;
  if (own && !mayRun(role, own)) return permission(role, command, reservedFor(own));
  if (own) {
    const because = own.administers ? "it administers qmpmux" : FOR_EVERYONE;
    return permission(role, command, because, true);
  }
  if (QMP.own.negotiation.has(name)) return permission(role, command, FOR_EVERYONE, true);
  return judgedPermission(role, command);
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
    const because = `role ${role.name}: ${reservedFor(own)}`;
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
    if (own.many && hub.administration.many) return list(monitor, command, own.many, hub);
    const value = (): unknown => own.run(monitor, new Arguments(command), hub);
    const answer = (): Reply => monitor.inDialect(replyOf(value));
    return monitor.answer(command.id, false, hub.recorder.recordWhenSent(monitor, command, answer));
  }
  if ("list" in own) return list(monitor, command, own.list, hub);
  if ("steps" in own) {
    const take = (): Iterator<unknown> => own.steps(monitor, new Arguments(command), hub);
    return inTurns(monitor, command, { take, step: () => {}, end: () => returnReply("{}") }, hub);
  }
  if ("begin" in own) return begin(monitor, command, own.begin, hub);
  // A command that finishes later keeps its place among the replies.
  const ticket = monitor.reserve(command.id, false);
  let outcome: () => unknown;
  const answer = hub.recorder.recordWhenSent(monitor, command, () => replyOf(outcome));
  const settle = (value: () => unknown): void => {
    outcome = value;
    monitor.fill(ticket, answer(ticket)!);
  };
  try {
    own.start(monitor, new Arguments(command), hub, settle);
  } catch (error) {
    settle(() => {
      throw error;
    });
  }
}

/** Starts a command in its turn, and answers when it has finished. */
function begin(monitor: Monitor, command: Command, start: Start, hub: Hub): void {
  let outcome: (() => unknown) | undefined;
  hub.leases.acquires(monitor);
  const answer = hub.recorder.recordWhenSent(monitor, command, (slot) => {
    if (outcome) return replyOf(outcome);
    let isLater = false;
    const done = (value: () => unknown): void => {
      outcome = value;
      if (isLater) monitor.fill(slot, answer(slot)!);
      hub.leases.acquired(monitor);
    };
    try {
      start(monitor, new Arguments(command), hub, done);
    } catch (error) {
      done(() => {
        throw error;
      });
    }
    isLater = true;
    return outcome && replyOf(outcome);
  });
  monitor.answer(command.id, false, answer);
}

/** Answers with a list. */
function list(monitor: Monitor, command: Command, make: List, hub: Hub): void {
  const { isPretty } = monitor;
  const elements: string[] = [];
  inTurns(monitor, command, {
    take: () => make(new Arguments(command), hub),
    step: (value) => void elements.push(elementText(value, isPretty)),
    end: () => listReply(elements, isPretty),
  }, hub);
}

/** Work that is done in several turns. */
interface Work {
  /** Begins the work. */
  take(): Iterator<unknown>;
  /** Takes what a step has yielded. */
  step(value: unknown): void;
  /** Returns the reply after the last step. */
  end(): Reply;
}

/** Answers after some work. It is done in several turns, once the replies before it have been sent. */
function inTurns(monitor: Monitor, command: Command, { take, step, end }: Work, hub: Hub): void {
  let work: Iterator<unknown> | undefined;
  /** Runs some more steps; returns whether those were the last. */
  const advance = (): boolean => {
    work ??= take();
    for (let i = 0; i < STEPS_A_TURN; i++) {
      const { done, value } = work.next();
      if (done) return true;
      step(value);
    }
    return false;
  };
  let outcome: (() => Reply) | undefined;
  const answer = hub.recorder.recordWhenSent(monitor, command, (slot) => {
    if (outcome) return attempted(outcome);
    const go = (): void => {
      try {
        while (!advance()) if (hub.later(monitor, go)) return;
        outcome = end;
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
