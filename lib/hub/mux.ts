/**
 * The hub: passes each message to the part that decides about it.
 *
 * It has one QEMU on one side and any number of clients on the other. Everything here
 * is synchronous; the code around the hub does all waiting.
 *
 * @module
 */

import type { ClientEnding, InternalErrorPlace, Recording } from "../observe/observer.ts";
import type { Gauges } from "../observe/metrics_recorder.ts";
import type { TrafficSource } from "../observe/traffic.ts";
import { Monitor } from "../session/monitor.ts";
import { Upstream } from "../session/upstream.ts";
import { EventNames } from "../policy/event_filter.ts";
import type { Grant } from "../policy/admission.ts";
import { ROLES } from "../policy/roles.ts";
import type { Damage, Frame } from "../wire/frame.ts";
import { type Event, type Greeting, readMessage, UnexpectedMessage } from "../wire/message.ts";
import type { NoMessage } from "../wire/message_splitter.ts";
import type { ClientPeer, Fds, QemuPeer } from "../wire/peer.ts";
import { controlGreeting } from "../wire/reply.ts";
import type { Administered, HubStatus } from "./administration.ts";
import type { Hub } from "./own_command.ts";
import { isAskedFor, lossEvent, returnEvent } from "./own_events.ts";
import { Dispatch } from "./dispatch.ts";
import { Intake } from "./intake.ts";
import type { MuxOptions, Notices } from "./mux_options.ts";
import { endingAfter } from "./no_message.ts";
import type { Contain, Request } from "./request.ts";
import { noFdCame } from "./fd_gate.ts";
import { gaugesOf } from "./gauges.ts";
import { RequestRecorder } from "./request_recorder.ts";
import { Subscriptions } from "./subscriptions.ts";
import { tapHeard, tapNoMessage, tappedProbe, trafficOf } from "./tapping.ts";

/** The multiplexer between many clients and one QEMU. */
export class Mux {
  readonly #upstream = new Upstream<Request>();
  readonly #dispatch: Dispatch;
  readonly #recorder: RequestRecorder;
  readonly #monitors = new Set<Monitor>();
  /** The clients that wait for a greeting, each with the time since which it waits. */
  readonly #ungreeted = new Map<Monitor, number>();
  #options: MuxOptions;
  readonly #intake: Intake;
  readonly #eventNames = new EventNames();
  readonly #subscriptions: Subscriptions;
  readonly #notices: Notices;
  #qemu: QemuPeer | undefined;
  #attached = 0;
  #now = 0;
  #sessions = 0;
  #upSince: number | null = null;
  #events = 0;
  #draining = false;
  #hasToldLoss = false;

  /** Creates a hub without clients and without QEMU. */
  constructor(options: MuxOptions, notices: Notices, recording: Recording = { observers: [] }) {
    this.#options = options;
    this.#notices = notices;
    this.#recorder = new RequestRecorder(recording, options.clock ?? ((): number => this.#now));
    const leases = { ...options, time: (): number => this.#time };
    this.#dispatch = new Dispatch(this.#upstream, this.#recorder, this.#contain, leases);
    this.#subscriptions = new Subscriptions(options, {
      time: () => this.#time,
      observe: (happening) => this.#recorder.observe(happening),
      blame: (monitor, error) => this.#blame(monitor, error),
    });
    const own = { many: false, vms: (): Administered[] => [this.administered] };
    const hub: Hub = {
      roles: () => this.#options.roles ?? ROLES,
      administration: options.administration ?? own,
      isNamed: options.isNamed ?? false,
      openTap: options.openTap,
      recorder: this.#recorder,
      subscriptions: this.#subscriptions,
      leases: this.#dispatch.leases,
      status: () => this.status(),
      reload: (done) => notices.reload(done),
      later: (monitor, task) => this.#later(monitor, task),
    };
    this.#intake = new Intake(options, this.#upstream, this.#dispatch, hub, () => this.#time);
    this.adopt(options);
  }

  /** The connected clients. */
  get monitors(): ReadonlySet<Monitor> {
    return this.#monitors;
  }

  /** The VM and its clients, for administrators. */
  get administered(): Administered {
    return {
      name: this.#options.vm,
      monitors: this.#monitors,
      leases: this.#dispatch.leases,
      status: () => this.status(),
      inFlight: () => this.#dispatch.inFlight(),
      subscription: (monitor) => this.#subscriptions.view(monitor),
      dismiss: (monitor, reason, ending) => this.dismiss(monitor, reason, ending),
    };
  }

  /** The traffic of the VM, for taps. */
  get traffic(): TrafficSource {
    return trafficOf(this.#options.vm, this.#recorder, this.#monitors, this.#upstream);
  }

  /** Adds a client. Nothing is sent to it before QEMU's greeting. */
  attach(peer: ClientPeer, grant: Grant): Monitor {
    const monitor = new Monitor(peer, grant, ++this.#attached, this.#time, this.#recorder);
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
   * Prepares a client's input for {@linkcode received}, one step per call, so that a long command
   * does not delay other clients.
   *
   * @returns whether nothing is left to prepare
   */
  prepare(monitor: Monitor, input: Frame | Damage): boolean {
    return this.#intake.prepare(monitor, input);
  }

  /** Handles a client's input. An error while it is handled disconnects that client only. */
  received(monitor: Monitor, input: Frame | Damage): void {
    if (!monitor.left) this.#contain(monitor, () => this.#intake.receive(monitor, input));
  }

  /** Receives descriptors from a client, before the bytes that follow them. */
  fdsReceived(monitor: Monitor, fds: Fds): void {
    if (monitor.left) fds.close();
    else monitor.fdsReceived(fds);
  }

  /** Removes a client: its waiting commands are dropped, and later replies to it are discarded. */
  detached(monitor: Monitor, ending: ClientEnding = "left"): void {
    // The second call does nothing: clean-up commands of this client may still be queued.
    if (!this.#monitors.delete(monitor)) return;
    this.#ungreeted.delete(monitor);
    this.#subscriptions.left(monitor);
    // Each step is done even if another fails.
    this.#attempt("teardown", () => {
      const dropped = monitor.leave(ending);
      this.#recorder.observe({ kind: "left", ending });
      this.#recorder.recordDropped(dropped);
    });
    this.#attempt("teardown", () => this.#dispatch.left(monitor));
    this.#attempt("teardown", () => this.#rest());
  }

  /** Uses a new connection to QEMU; `nonce` is as in {@linkcode Upstream.arrived}. */
  qemuArrived(peer: QemuPeer, nonce: string): void {
    this.#qemu = peer;
    this.#dispatch.arrived(nonce);
    this.#upstream.arrived(peer, nonce);
  }

  /**
   * Handles a message of QEMU's, as {@linkcode MessageSplitter} returns it.
   *
   * An unexpected message, or an error while it is handled, closes the connection to QEMU and
   * nothing else.
   */
  answered(input: Uint8Array | NoMessage): void {
    try {
      this.#hear(input);
    } catch (error) {
      if (error instanceof UnexpectedMessage) {
        const { problem: text, message: detail } = error;
        return this.#qemu?.close({ kind: "unexpected", text, detail });
      }
      this.#notices.failed("qemu", error);
      this.#qemu?.close({
        kind: "error",
        text: "an internal error occurred while its message was handled",
      });
    }
  }

  #hear(input: Uint8Array | NoMessage): void {
    if (this.#upstream.stalled) this.#notices.stalled(false);
    const message = "damage" in input ? undefined : readMessage(this.#dispatch.withOwnNames(input));
    if (message === undefined) {
      const ending = endingAfter(input);
      tapNoMessage(this.#recorder.tap, ending);
      return this.#qemu?.close(ending);
    }
    const heard = this.#upstream.heard(message);
    if (this.#recorder.tap) tapHeard(this.#recorder.tap, message, heard);
    if ("event" in heard) {
      this.#events++;
      this.#spread(heard.event);
    } else if ("settled" in heard) {
      const { settled, reply } = heard;
      if (noFdCame(settled, reply)) this.#notices.mayLackFdsOption?.(settled.owner!);
      this.#dispatch.settled(settled, reply);
      this.#rest();
    } else if ("ready" in heard) this.#greetAll(heard.ready);
    else if ("broken" in heard) throw heard.broken;
  }

  /**
   * Ends the session with QEMU, which may have closed it itself. With `close`, greeted clients are
   * disconnected after what is queued for them; one that asks for the event gets it first. With `hold`, they
   * stay connected, and their commands are answered with errors that say whether each was sent to QEMU.
   */
  qemuLeft(reason: string, isClosedByQemu = false): void {
    this.#recorder.tap?.take({ side: "qemu", kind: "disconnect", reason });
    this.#qemu = undefined;
    this.#upSince = null;
    const wasReady = this.#upstream.state === "ready";
    if (wasReady) this.#notices.lost();
    const answerAskers = this.#dispatch.lost();
    const lost = lossEvent(reason, isClosedByQemu, this.#options.timeOfDay());
    if (this.#options.onLoss === "close") {
      const name = this.#eventNames.named(lost.name);
      for (const monitor of [...this.#monitors]) {
        if (!monitor.greeted || monitor.isControl) continue;
        if (wasReady && isAskedFor(name, monitor)) monitor.peer.send(lost.bytes);
        this.dismiss(monitor, reason, "qemu");
      }
    } else {
      if (wasReady) this.#spread(lost);
      this.#hasToldLoss ||= wasReady;
      answerAskers();
    }
    this.#rest();
  }

  /** Whether `tick` must be called: something may be due. */
  get needsTime(): boolean {
    const { state, probesWhenIdle } = this.#upstream;
    return this.#ungreeted.size > 0 || this.#subscriptions.needsTime || this.#dispatch.needsTime ||
      (probesWhenIdle && state === "ready");
  }

  /** Sets the time, in seconds of a steady clock, and does the work that is due. */
  tick(now: number): void {
    this.#now = now;
    const { handshakeTime, stallTime } = this.#options;
    for (const [monitor, since] of [...this.#ungreeted]) {
      if (now - since < handshakeTime) continue;
      this.dismiss(monitor, `no greeting from QEMU within ${handshakeTime} s`, "handshake");
    }
    this.#dispatch.tick(now);
    this.#subscriptions.tick(now);
    this.#rest();
    const { tap } = this.#recorder;
    if (this.#upstream.listen(now, stallTime, () => tappedProbe(tap))) this.#notices.stalled(true);
  }

  /** Replaces the settings. */
  adopt(options: MuxOptions): void {
    this.#options = options;
    this.#upstream.probesWhenIdle = options.probesWhenIdle ?? false;
    this.#intake.adopt(options);
    this.#subscriptions.adopt(options);
    this.#dispatch.leases.review();
  }

  /** Replaces the observers and the gate. */
  adoptRecording(recording: Recording): void {
    this.#recorder.recording = recording;
  }

  /** Refuses new commands from now on; pending commands still finish. */
  drain(): void {
    this.#draining = this.#intake.draining = true;
    this.#rest();
  }

  /** Returns the state of the hub. */
  status(): HubStatus {
    const { greeting, state, stalled, inFlight } = this.#upstream;
    return {
      vm: this.#options.vm,
      qemu: stalled ? "stalled" : state,
      version: greeting?.version.join(".") ?? null,
      pid: this.#qemu?.identity?.pid ?? null,
      sessions: this.#sessions,
      upSince: this.#upSince,
      events: this.#events,
      clients: [...this.#monitors].filter(({ isControl }) => !isControl).length,
      waiting: this.#dispatch.size,
      inFlight,
      age: this.#time,
    };
  }

  /** Returns the values of the metrics that are read rather than counted. */
  gauges(): Gauges {
    return gaugesOf(this.#monitors, this.status(), this.#subscriptions.gauges);
  }

  /** Disconnects a client after what is queued for it has been sent. */
  dismiss(monitor: Monitor, reason: string, ending: ClientEnding): void {
    this.detached(monitor, ending);
    monitor.peer.close(reason);
  }

  /** Disconnects every client after what is queued for it has been sent. */
  dismissAll(reason: string): void {
    for (const monitor of [...this.#monitors]) this.dismiss(monitor, reason, "shutdown");
  }

  /** Runs a task for a client in a later turn; returns `false` if the caller has to run it at once. */
  #later(monitor: Monitor, task: () => void): boolean {
    const { later } = this.#options;
    later?.(() => this.#contain(monitor, task));
    return later !== undefined;
  }

  /** The time that `tick` would be called with now. */
  get #time(): number {
    return this.#options.running?.() ?? this.#now;
  }

  /** Reports, while draining, that no command is pending. */
  #rest(): void {
    if (!this.#draining || !this.#dispatch.resting) return;
    // Clients cannot use their descriptors any more, so close them at QEMU.
    for (const monitor of this.#monitors) this.#dispatch.clean(monitor);
    if (this.#dispatch.resting) this.#notices.idle();
  }

  /** Sends an event of our own. */
  #spread(event: Event): void {
    const name = this.#eventNames.named(event.name);
    let clients = this.#subscriptions.tell(name, event.bytes);
    for (const monitor of this.#monitors) {
      // No closure for `#contain`: there may be thousands of clients.
      try {
        if (!monitor.wants(name)) continue;
        monitor.sendEvent(event);
        clients++;
      } catch (error) {
        this.#blame(monitor, error);
      }
    }
    this.#recorder.observe({ kind: "event", event, clients });
  }

  #greetAll(greeting: Greeting): void {
    this.#sessions++;
    this.#upSince = Math.floor(this.#options.timeOfDay());
    this.#recorder.observe({ kind: "ready" });
    this.#notices.ready(greeting);
    this.#dispatch.ready();
    for (const monitor of [...this.#monitors]) {
      // With `hold`, some clients were greeted by an earlier QEMU; the new one may offer less.
      if (!monitor.greeted || monitor.isControl || monitor.resume(greeting)) continue;
      this.dismiss(monitor, "the new QEMU lacks a capability that this client has enabled", "qemu");
    }
    this.#subscriptions.beginSession(this.#sessions);
    // A reload may have changed `onLoss`: those who were told of the loss wait for this event.
    if (this.#hasToldLoss) this.#spread(returnEvent(greeting, this.#options.timeOfDay()));
    this.#hasToldLoss = false;
    for (const monitor of this.#ungreeted.keys()) {
      this.#contain(monitor, () => {
        monitor.greet(greeting);
        monitor.peer.resume();
      });
    }
    this.#ungreeted.clear();
  }

  readonly #contain: Contain = (monitor, run) => {
    try {
      run();
    } catch (error) {
      this.#blame(monitor, error);
    }
  };

  /** Disconnects the client that was being served when an error occurred. */
  #blame(monitor: Monitor, error: unknown): void {
    this.#notices.failed("client", error, monitor.name);
    this.dismiss(monitor, "an internal error occurred while it was served", "error");
  }

  #attempt(where: InternalErrorPlace, run: () => void): void {
    try {
      run();
    } catch (error) {
      this.#notices.failed(where, error);
    }
  }
}
