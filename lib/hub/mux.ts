/**
 * The hub: hands each message to the room that decides.
 *
 * One QEMU on one side, any number of clients on the other. Everything here is
 * synchronous; what waits, waits on the rim.
 *
 * @module
 */

import type { ClientEnding, InternalErrorPlace, Recording } from "../observe/observer.ts";
import { type Answer, Monitor } from "../session/monitor.ts";
import { Upstream } from "../session/upstream.ts";
import { EventNames } from "../policy/event_filter.ts";
import { type Matcher, matcherOf } from "../policy/glob.ts";
import { judge, refusalText } from "../policy/policy.ts";
import { ruleName } from "../policy/rule_name.ts";
import type { OnLoss } from "../config/settings.ts";
import type { Deadline } from "../config/value_kinds.ts";
import type { Grant } from "../policy/grant.ts";
import type { Damage, Frame } from "../wire/frame.ts";
import {
  type Command,
  type Event,
  type Greeting,
  prepareCommand,
  readCommand,
  readMessage,
} from "../wire/message.ts";
import type { ClientPeer, Fds, QemuPeer } from "../wire/peer.ts";
import { controlGreeting, eventMessage } from "../wire/reply.ts";
import { UnexpectedMessage } from "../wire/unexpected.ts";
import { type Hub, type HubStatus, OWN_PREFIX, runOwn } from "./admin.ts";
import { Dispatch } from "./dispatch.ts";
import { type Contain, failAll, probe, type Request } from "./request.ts";
import { lacksFds } from "./fd_gate.ts";
import { RequestRecorder } from "./request_recorder.ts";

/** The reason for closing the connection to what sends something else than QMP's messages. */
export const NO_QMP = "it does not speak QMP";

/** How the reason begins why we let go of a client that has waited for QEMU's greeting for too long. */
export const NO_QEMU = "no QEMU within";

/** A step of preparing looks at so many bytes. */
const PREPARED_BYTES = 512;

/** An answer made here to a command with longer arguments gets a turn of its own. */
const OWN_TURN_BYTES = 32768;

/** What the rim may want to know; all of it has happened already. */
export interface Notices {
  /** QEMU is there and negotiation is done. */
  ready(greeting: Greeting): void;
  /** A QEMU that was ready has gone; its clients are told next. */
  lost(): void;
  /** QEMU has left its last question unanswered for too long, or answers again. */
  stalled(stalled: boolean): void;
  /** A client asks that the settings be read again; `done` is told what was wrong with them. */
  reload(done: (problems: readonly string[]) => void): void;
  /** While draining: the last command under way has been answered. */
  idle(): void;
  /**
   * Reports a client to which QEMU has said that it passed no descriptor, where its listener takes
   * none and cannot see whether it did.
   */
  lacksFds?(client: Monitor): void;
  /**
   * Is told of an error of the hub's own, which has been contained: it has ended a client, or
   * the connection to QEMU, and nothing else.
   *
   * @param client the name of the client that was being served, where it was one
   */
  failed(where: InternalErrorPlace, error: unknown, client?: string): void;
}

/** Settings of the hub. */
export interface MuxOptions {
  /** The VM's name, for those who ask. */
  readonly vm: string;
  /** The version of qmpmux, `MAJOR.MINOR.MICRO`: the greeting of control connections has it. */
  readonly version: string;
  /** Seconds a client may wait for QEMU's greeting. */
  readonly handshakeTime: number;
  /** What becomes of the clients when QEMU goes: they see the end, or wait for the next one. */
  readonly onLoss: OnLoss;
  /** Seconds of silence after which a QEMU that was asked counts as stalled. */
  readonly stallTime: number;
  /** How long commands may take; the first glob that matches a name counts. */
  readonly deadlines: readonly Deadline[];
  /** The time of day in seconds, for events of our own. */
  readonly timeOfDay: () => number;
  /** A steady clock in seconds, for what is measured; without it time goes on from tick to tick. */
  readonly clock?: () => number;
  /** Runs a task in a later turn of the event loop; without it what takes long is done at once. */
  readonly later?: (task: () => void) => void;
  /** What `tick` would be told now, for what has its time; without it what it was told last. */
  readonly running?: () => number;
}

/** Many clients, one QEMU: the whole surface the rim sees. */
export class Mux implements Hub {
  readonly #upstream = new Upstream<Request>();
  readonly #dispatch: Dispatch;
  readonly #recorder: RequestRecorder;
  readonly #monitors = new Set<Monitor>();
  /** Since when, in seconds, the clients wait that have no greeting yet. */
  readonly #ungreeted = new Map<Monitor, number>();
  #options: MuxOptions;
  #deadlines: readonly { readonly matches: Matcher; readonly seconds: number }[];
  readonly #eventNames = new EventNames();
  readonly #notices: Notices;
  #qemu: QemuPeer | undefined;
  #attached = 0;
  #now = 0;
  #sessions = 0;
  #draining = false;

  /** A hub without clients and without QEMU. */
  constructor(options: MuxOptions, notices: Notices, recording: Recording = { observers: [] }) {
    this.#options = options;
    this.#deadlines = compiled(options.deadlines);
    this.#notices = notices;
    this.#recorder = new RequestRecorder(recording, options.clock ?? ((): number => this.#now));
    this.#dispatch = new Dispatch(this.#upstream, this.#recorder, this.#contain);
  }

  /** The clients that are there. */
  get monitors(): ReadonlySet<Monitor> {
    return this.#monitors;
  }

  /** A client has come. It hears nothing until QEMU's greeting is there. */
  attach(peer: ClientPeer, grant: Grant): Monitor {
    const monitor = new Monitor(peer, grant, ++this.#attached, this.#now);
    this.#monitors.add(monitor);
    const greeting = monitor.isControl
      ? controlGreeting(this.#options.version)
      : this.#upstream.greeting;
    if (greeting) this.#contain(monitor, () => monitor.greet(greeting));
    else {
      this.#ungreeted.set(monitor, this.#time);
      peer.pause();
    }
    return monitor;
  }

  /**
   * Prepares what a client has said, a step each time it is called: what takes long and can be done
   * before it is said.
   *
   * @returns whether nothing is left to prepare
   */
  prepare(monitor: Monitor, input: Frame | Damage): boolean {
    return "damage" in input || prepareCommand(input, monitor.isPretty, PREPARED_BYTES);
  }

  /** A client has said something. An error while it is served ends that client alone. */
  received(monitor: Monitor, input: Frame | Damage): void {
    if (monitor.left) return;
    try {
      this.#receive(monitor, input);
    } catch (error) {
      this.#blame(monitor, error);
    }
  }

  #receive(monitor: Monitor, input: Frame | Damage): void {
    if ("damage" in input) return monitor.damaged(input.damage);
    const command = readCommand(input, monitor.takesOob, monitor.isPretty);
    const { id, oob } = command;
    if ("because" in command) return monitor.refuse(id, oob, "GenericError", command.because);
    const admission = monitor.admit(command);
    if (admission === "run") {
      const objection = this.#recorder.recording.gate?.objection(command);
      if (objection !== undefined) {
        this.#recorder.recordLocal(monitor, command, "refused");
        return monitor.refuse(id, oob, "GenericError", refusalText(command, objection));
      }
      if (!runOwn(monitor, command, this)) this.#run(monitor, command);
      return;
    }
    if (!oob) {
      const answer = this.#recorder.recordWhenSent(monitor, command, admission);
      return monitor.answer(id, false, this.#inOwnTurn(monitor, command, answer));
    }
    this.#recorder.recordLocal(monitor, command, "error");
    monitor.refuse(id, true, "GenericError", `The command ${command.name} does not support OOB`);
  }

  /** Descriptors have come from a client, before the bytes that follow. */
  fdsReceived(monitor: Monitor, fds: Fds): void {
    if (monitor.left) fds.close();
    else monitor.fdsReceived(fds);
  }

  /** A client has gone: its unsent commands with it, and its late replies vanish. */
  detached(monitor: Monitor, ending: ClientEnding = "left"): void {
    // What is queued under its name later is ours.
    if (!this.#monitors.delete(monitor)) return;
    this.#ungreeted.delete(monitor);
    // Whatever fails here, the rest is done all the same.
    this.#attempt("teardown", () => {
      const dropped = monitor.leave();
      this.#recorder.observe({ kind: "left", ending });
      this.#recorder.recordDropped(dropped);
    });
    this.#attempt("teardown", () => this.#dispatch.left(monitor));
    this.#attempt("teardown", () => this.#rest());
  }

  /** A connection to QEMU is up; `nonce` as {@linkcode Upstream.arrived} takes it. */
  qemuArrived(peer: QemuPeer, nonce: string): void {
    this.#qemu = peer;
    this.#dispatch.arrived(nonce);
    this.#upstream.arrived(peer, nonce);
  }

  /**
   * QEMU has said something: a message as {@linkcode MessageSplitter} gives it.
   *
   * Something unexpected, and an error while it is heard, close the connection to QEMU and
   * nothing else.
   */
  answered(input: Uint8Array | Damage): void {
    try {
      this.#hear(input);
    } catch (error) {
      if (error instanceof UnexpectedMessage) {
        return this.#qemu?.close(error.problem, error.message);
      }
      this.#notices.failed("qemu", error);
      this.#qemu?.close("an internal error came up while it was heard");
    }
  }

  #hear(input: Uint8Array | Damage): void {
    if (this.#upstream.stalled) this.#notices.stalled(false);
    const message = "damage" in input ? undefined : readMessage(this.#dispatch.withOwnNames(input));
    if (message === undefined) return this.#qemu?.close(NO_QMP);
    const heard = this.#upstream.heard(message);
    if ("event" in heard) this.#spread(heard.event);
    else if ("settled" in heard) {
      const { settled, reply } = heard;
      if (lacksFds(settled, reply)) this.#notices.lacksFds?.(settled.owner!);
      this.#dispatch.settled(settled, reply);
      this.#rest();
    } else if ("ready" in heard) this.#greetAll(heard.ready);
    else if ("broken" in heard) throw heard.broken;
  }

  /**
   * QEMU is gone: who has been greeted hears its last bytes, then end of file.
   * Under `hold` it stays, and is told what is known of its commands.
   */
  qemuLeft(reason: string): void {
    this.#qemu = undefined;
    const wasReady = this.#upstream.state === "ready";
    if (wasReady) this.#notices.lost();
    const { sent, unsent } = this.#dispatch.lost();
    if (this.#options.onLoss === "close") {
      for (const monitor of [...this.#monitors]) {
        if (monitor.greeted && !monitor.isControl) this.dismiss(monitor, reason, "qemu");
      }
      this.#rest();
      return;
    }
    if (wasReady) this.#spread(this.#ownEvent("QEMU_LOST", { reason }));
    for (const { askers, command } of sent) {
      failAll(askers, `QEMU has gone; the effect of ${command.name} is unknown`, this.#contain);
    }
    for (const { askers, command } of unsent) {
      failAll(askers, `QEMU has gone; ${command.name} was not sent`, this.#contain);
    }
    this.#rest();
  }

  /** Time has come so far, in seconds of any steady clock. */
  tick(now: number): void {
    this.#now = now;
    const { handshakeTime, stallTime } = this.#options;
    for (const [monitor, since] of [...this.#ungreeted]) {
      if (now - since < handshakeTime) continue;
      this.dismiss(monitor, `${NO_QEMU} ${handshakeTime} s`, "handshake");
    }
    this.#dispatch.failLate(now);
    this.#rest();
    if (this.#upstream.listen(now, stallTime, probe)) this.#notices.stalled(true);
  }

  /** Goes on under other settings. */
  adopt(options: MuxOptions): void {
    this.#options = options;
    this.#deadlines = compiled(options.deadlines);
  }

  /** Replaces the observers and the gate. */
  record(recording: Recording): void {
    this.#recorder.recording = recording;
  }

  /** From now on new commands are refused; those under way finish. */
  drain(): void {
    this.#draining = true;
    this.#rest();
  }

  /** How it stands. */
  status(): HubStatus {
    const { greeting, state, stalled, inFlight } = this.#upstream;
    return {
      vm: this.#options.vm,
      qemu: stalled ? "stalled" : state,
      version: greeting?.version.join(".") ?? null,
      pid: this.#qemu?.identity?.pid ?? null,
      sessions: this.#sessions,
      clients: this.#clients,
      waiting: this.#dispatch.size,
      inFlight,
      age: this.#now,
    };
  }

  /** Counts each client's commands at QEMU. */
  inFlight(): ReadonlyMap<Monitor, number> {
    return this.#dispatch.inFlight();
  }

  /** Asks whoever runs the hub to read the settings again. */
  reload(done: (problems: readonly string[]) => void): void {
    this.#notices.reload(done);
  }

  /** Ends every client, after what is queued for it. */
  dismissAll(reason: string): void {
    for (const monitor of [...this.#monitors]) this.dismiss(monitor, reason, "shutdown");
  }

  /** Gives what an answer of ours gives, and records it. */
  recordWhenSent(monitor: Monitor, command: Command, answer: Answer): Answer {
    return this.#recorder.recordWhenSent(monitor, command, answer);
  }

  /** A command of ours is refused. */
  refused(monitor: Monitor, command: Command): void {
    this.#recorder.recordLocal(monitor, command, "refused");
  }

  /** The clients that are there, less control connections. */
  get #clients(): number {
    let count = 0;
    for (const { isControl } of this.#monitors) if (!isControl) count++;
    return count;
  }

  /** An answer that is made in a later turn where its command is long; several may wait in a row. */
  #inOwnTurn(monitor: Monitor, { argumentBytes }: Command, answer: Answer): Answer {
    if (argumentBytes === undefined || argumentBytes.length <= OWN_TURN_BYTES) return answer;
    return (slot) => {
      const make = (): void => {
        const reply = answer(slot);
        if (reply !== undefined) monitor.fill(slot, reply);
      };
      return this.later(monitor, make) ? undefined : answer(slot);
    };
  }

  /** Runs a task for a client in a later turn, where that is possible. */
  later(monitor: Monitor, task: () => void): boolean {
    const { later } = this.#options;
    later?.(() => this.#contain(monitor, task));
    return later !== undefined;
  }

  #run(monitor: Monitor, command: Command): void {
    const { id, oob } = command;
    if (monitor.isControl) {
      this.#recorder.recordLocal(monitor, command, "error");
      const desc = `The command ${command.name} has not been found`;
      return monitor.refuse(id, oob, "CommandNotFound", desc);
    }
    if (this.#draining) {
      this.#recorder.recordLocal(monitor, command, "dropped");
      return monitor.refuse(id, oob, "GenericError", "qmpmux is shutting down");
    }
    const verdict = judge(monitor.grant.role, command);
    if (!verdict.allow) {
      const rule = ruleName(monitor.grant.role.name, verdict.rule);
      this.#recorder.recordLocal(monitor, command, "refused", rule);
      return monitor.refuse(id, oob, "CommandNotFound", refusalText(command, verdict.because));
    }
    if (this.#qemu === undefined || this.#upstream.state !== "ready") {
      this.#recorder.recordLocal(monitor, command, "dropped");
      const desc = `QEMU is away; ${command.name} was not sent`;
      return monitor.refuse(id, oob, "GenericError", desc);
    }
    if (oob && !this.#dispatch.mayOvertake) {
      this.#recorder.recordLocal(monitor, command, "dropped");
      const desc = `QEMU answers no out-of-band commands; ${command.name} was not sent`;
      return monitor.refuse(id, true, "GenericError", desc);
    }
    this.#dispatch.take(monitor, command, this.#deadlineOf(command));
  }

  /** The seconds of the clock that `tick` tells, at this moment. */
  get #time(): number {
    return this.#options.running?.() ?? this.#now;
  }

  /** When who asks something now gives up. */
  #deadlineOf({ name }: Command): number {
    const deadline = this.#deadlines.find(({ matches }) => matches(name));
    return deadline ? this.#time + deadline.seconds : Infinity;
  }

  /** Tells that nothing waits and nothing is at QEMU, where that is waited for. */
  #rest(): void {
    if (!this.#draining || !this.#dispatch.resting) return;
    // Nobody can use what they have left there any more.
    for (const monitor of this.#monitors) this.#dispatch.clean(monitor);
    if (this.#dispatch.resting) this.#notices.idle();
  }

  /** An event of our own, as QEMU would write it. */
  #ownEvent(name: string, data: object): Event {
    const now = this.#options.timeOfDay();
    const seconds = Math.floor(now);
    const microseconds = Math.floor((now - seconds) * 1e6);
    return eventMessage(`${OWN_PREFIX}${name}`, { seconds, microseconds }, data);
  }

  #spread(event: Event): void {
    let told = 0;
    const name = this.#eventNames.named(event.name);
    for (const monitor of this.#monitors) {
      try {
        if (!monitor.wants(name)) continue;
        monitor.peer.send(event.bytes);
        told++;
      } catch (error) {
        this.#blame(monitor, error);
      }
    }
    this.#recorder.observe({ kind: "event", event, clients: told });
  }

  #greetAll(greeting: Greeting): void {
    this.#sessions++;
    this.#recorder.observe({ kind: "ready" });
    this.#notices.ready(greeting);
    this.#dispatch.ready();
    for (const monitor of [...this.#monitors]) {
      // Under `hold` some have been here before; what they rely on may be gone.
      if (!monitor.greeted || monitor.isControl || monitor.resume(greeting)) continue;
      this.dismiss(monitor, "the QEMU that is back lacks a capability it has enabled", "qemu");
    }
    if (this.#sessions > 1 && this.#options.onLoss === "hold") {
      this.#spread(this.#ownEvent("QEMU_BACK", { version: greeting.version.join(".") }));
    }
    for (const monitor of this.#ungreeted.keys()) {
      this.#contain(monitor, () => {
        monitor.greet(greeting);
        monitor.peer.resume();
      });
    }
    this.#ungreeted.clear();
  }

  /** Disconnects a client, behind what is queued for it. */
  dismiss(monitor: Monitor, reason: string, ending: ClientEnding): void {
    this.detached(monitor, ending);
    monitor.peer.close(reason);
  }

  readonly #contain: Contain = (monitor, run) => {
    try {
      run();
    } catch (error) {
      this.#blame(monitor, error);
    }
  };

  /** Ends the client during whose service an error came up. */
  #blame(monitor: Monitor, error: unknown): void {
    this.#notices.failed("client", error, monitor.name);
    this.dismiss(monitor, "an internal error came up while it was served", "error");
  }

  #attempt(where: InternalErrorPlace, run: () => void): void {
    try {
      run();
    } catch (error) {
      this.#notices.failed(where, error);
    }
  }
}

function compiled(
  deadlines: readonly Deadline[],
): readonly { readonly matches: Matcher; readonly seconds: number }[] {
  return deadlines.map(({ glob, seconds }) => ({ matches: matcherOf(glob), seconds }));
}
