/**
 * The intake: decides what happens to each command of a client.
 *
 * A command is answered here if it belongs to the handshake, is one of qmpmux's own
 * or is refused. Every other command is passed on to the dispatch.
 *
 * @module
 */

import type { Monitor } from "../session/monitor.ts";
import type { LocalAnswer } from "../session/slot.ts";
import type { Upstream } from "../session/upstream.ts";
import { type Matcher, matcherOf } from "../policy/glob.ts";
import { judge, refusalText, ruleName } from "../policy/policy.ts";
import type { Damage, Frame } from "../wire/frame.ts";
import { prepareCommand, readCommand } from "../wire/command_reader.ts";
import type { Command } from "../wire/message.ts";
import type { Hub } from "./own_command.ts";
import { runOwn } from "./own_commands.ts";
import type { Dispatch } from "./dispatch.ts";
import type { MuxOptions } from "./mux_options.ts";
import { tapDamage } from "./tapping.ts";
import type { Request } from "./request.ts";

/** The size of arguments above which a local answer gets a turn of its own. */
const OWN_TURN_BYTES = 32768;

/** The number of bytes that a step of `prepare` examines. */
const PREPARED_BYTES = 512;

/** Decides about the commands of all clients. */
export class Intake {
  readonly #upstream: Upstream<Request>;
  readonly #dispatch: Dispatch;
  readonly #hub: Hub;
  readonly #time: () => number;
  #deadlines: readonly { readonly matches: Matcher; readonly seconds: number }[] = [];
  /** Whether new commands for QEMU are refused because qmpmux is shutting down. */
  draining = false;

  /**
   * Creates an intake that passes commands on to a dispatch.
   *
   * @param time returns the seconds of the hub's clock
   */
  constructor(
    options: MuxOptions,
    upstream: Upstream<Request>,
    dispatch: Dispatch,
    hub: Hub,
    time: () => number,
  ) {
    this.#upstream = upstream;
    this.#dispatch = dispatch;
    this.#hub = hub;
    this.#time = time;
    this.adopt(options);
  }

  /** Replaces the settings. */
  adopt({ deadlines }: MuxOptions): void {
    this.#deadlines = deadlines.map(({ glob, seconds }) => ({ matches: matcherOf(glob), seconds }));
  }

  /** Prepares a client's input by one step; returns whether nothing is left to prepare. */
  prepare(monitor: Monitor, input: Frame | Damage): boolean {
    return "damage" in input || prepareCommand(input, monitor.isPretty, PREPARED_BYTES);
  }

  /** Handles a client's input: answers it, or passes it on. */
  receive(monitor: Monitor, input: Frame | Damage): void {
    const { recorder } = this.#hub;
    if ("damage" in input) {
      tapDamage(recorder.tap, monitor, input.damage, input.length, false);
      return monitor.damaged(input.damage);
    }
    const command = readCommand(input, monitor.takesOob, monitor.isPretty);
    const { id, oob } = command;
    if ("because" in command) {
      tapDamage(recorder.tap, monitor, command.because, input.bytes.length, oob);
      return monitor.refuse(id, oob, "GenericError", command.because);
    }
    const { bytes } = input;
    recorder.tap?.take({ side: "client", client: monitor, kind: "command", command, bytes });
    const answer = monitor.admit(command);
    if (answer !== "run") {
      if (oob) {
        const desc = `The command ${command.name} does not support OOB`;
        return recorder.refuse(monitor, command, "error", desc);
      }
      const recorded = recorder.recordWhenSent(monitor, command, answer);
      return monitor.answer(id, false, this.#inOwnTurn(monitor, command, recorded));
    }
    const objection = recorder.recording.gate?.objection(command);
    if (objection !== undefined) {
      return recorder.refuse(monitor, command, "refused", refusalText(command, objection));
    }
    if (!runOwn(monitor, command, this.#hub)) this.#run(monitor, command);
  }

  #run(monitor: Monitor, command: Command): void {
    const { name, oob } = command;
    const { recorder } = this.#hub;
    if (monitor.isControl) {
      const desc = `The command ${name} has not been found`;
      return recorder.refuse(monitor, command, "error", desc, { errorClass: "CommandNotFound" });
    }
    if (this.draining) {
      return recorder.refuse(monitor, command, "dropped", "qmpmux is shutting down");
    }
    const verdict = judge(monitor.grant.role, command);
    if (!verdict.allow) {
      const rule = ruleName(monitor.grant.role.name, verdict.rule);
      const desc = refusalText(command, verdict.because);
      return recorder.refuse(monitor, command, "refused", desc, {
        errorClass: "CommandNotFound",
        rule,
      });
    }
    if (this.#upstream.state !== "ready") {
      return recorder.refuse(monitor, command, "dropped", `QEMU is away; ${name} was not sent`);
    }
    if (oob && !this.#dispatch.mayOvertake) {
      const desc = `QEMU does not answer out-of-band commands; ${name} was not sent`;
      return recorder.refuse(monitor, command, "dropped", desc);
    }
    this.#dispatch.take(monitor, command, this.#deadlineOf(command));
  }

  /** Delays a local answer to a long command until a later turn. */
  #inOwnTurn(monitor: Monitor, { argumentBytes }: Command, answer: LocalAnswer): LocalAnswer {
    if (argumentBytes === undefined || argumentBytes.length <= OWN_TURN_BYTES) return answer;
    return (slot) => {
      const make = (): void => {
        const reply = answer(slot);
        if (reply !== undefined) monitor.fill(slot, reply);
      };
      return this.#hub.later(monitor, make) ? undefined : answer(slot);
    };
  }

  /** Returns the time at which a command that arrives now fails. */
  #deadlineOf({ name }: Command): number {
    const deadline = this.#deadlines.find(({ matches }) => matches(name));
    return deadline ? this.#time() + deadline.seconds : Infinity;
  }
}
