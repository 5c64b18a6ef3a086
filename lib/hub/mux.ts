/**
 * The hub: hands each message to the room that decides.
 *
 * One QEMU on one side, any number of clients on the other. Everything here is
 * synchronous; what waits, waits on the rim.
 *
 * @module
 */

import { Monitor, type Ticket } from "../session/monitor.ts";
import { type Job, Upstream } from "../session/upstream.ts";
import { Scheduler } from "../sharing/scheduler.ts";
import type { Terms } from "../terms/terms.ts";
import type { Damage, Frame } from "../wire/frame.ts";
import {
  type Command,
  type Event,
  type Greeting,
  type Peer,
  readCommand,
  readMessage,
} from "../wire/message.ts";
import { ownCommand } from "./admin.ts";

/** A command of a client, and where its answer belongs. */
interface ClientJob extends Job {
  readonly monitor: Monitor;
  readonly ticket: Ticket;
}

/** What the rim may want to know; all of it has happened already. */
export interface Notices {
  /** QEMU is there and negotiation is done. */
  ready(greeting: Greeting): void;
  /** While draining: the last command under way has been answered. */
  idle(): void;
}

/** Settings of the hub. */
export interface MuxOptions {
  /** Seconds a client may wait for QEMU's greeting. */
  readonly handshakeTime: number;
}

/** Many clients, one QEMU: the whole surface the rim sees. */
export class Mux {
  readonly #upstream = new Upstream<ClientJob>();
  readonly #scheduler = new Scheduler<Monitor, ClientJob>();
  readonly #monitors = new Set<Monitor>();
  /** Since when, in seconds, the clients wait that have no greeting yet. */
  readonly #ungreeted = new Map<Monitor, number>();
  readonly #options: MuxOptions;
  readonly #notices: Notices;
  #qemu: Peer | undefined;
  #attached = 0;
  #now = 0;
  #draining = false;

  /** A hub without clients and without QEMU. */
  constructor(options: MuxOptions, notices: Notices) {
    this.#options = options;
    this.#notices = notices;
  }

  /** The clients that are there. */
  get monitors(): ReadonlySet<Monitor> {
    return this.#monitors;
  }

  /** A client has come. It hears nothing until QEMU's greeting is there. */
  attach(peer: Peer, terms: Terms): Monitor {
    const monitor = new Monitor(peer, terms, ++this.#attached);
    this.#monitors.add(monitor);
    const { greeting } = this.#upstream;
    if (greeting) monitor.greet(greeting);
    else {
      this.#ungreeted.set(monitor, this.#now);
      peer.pause();
    }
    return monitor;
  }

  /** A client has said something. */
  received(monitor: Monitor, input: Frame | Damage): void {
    if (monitor.left) return;
    if ("damage" in input) return monitor.damaged(input.damage);
    const command = readCommand(input, monitor.takesOob);
    const { id, oob } = command;
    if ("because" in command) return monitor.refuse(id, oob, "GenericError", command.because);
    const admission = monitor.admit(command);
    const here = admission === "run" ? ownCommand(monitor, command) : admission;
    if (here === undefined) return this.#run(monitor, command);
    if (!oob) return monitor.answer(id, false, here);
    monitor.refuse(id, true, "GenericError", `The command ${command.name} does not support OOB`);
  }

  /** A client has gone: its unsent commands with it, and its late replies vanish. */
  detached(monitor: Monitor): void {
    monitor.leave();
    this.#monitors.delete(monitor);
    this.#ungreeted.delete(monitor);
    this.#scheduler.drop(monitor);
    this.#rest();
  }

  /** A connection to QEMU is up; `nonce` as {@linkcode Upstream.arrived} takes it. */
  qemuArrived(peer: Peer, nonce: string): void {
    this.#qemu = peer;
    this.#upstream.arrived(peer, nonce);
  }

  /** QEMU has said something: a message as {@linkcode MessageSplitter} gives it. */
  answered(input: Uint8Array | Damage): void {
    const message = "damage" in input ? undefined : readMessage(input);
    if (message === undefined) return this.#qemu?.close("it does not speak QMP");
    const heard = this.#upstream.heard(message);
    if ("event" in heard) this.#spread(heard.event);
    else if ("settled" in heard) {
      const { monitor, ticket } = heard.settled;
      monitor.fill(ticket, heard.reply);
      this.#feed();
      this.#rest();
    } else if ("ready" in heard) this.#greetAll(heard.ready);
    else if ("broken" in heard) this.#qemu?.close(heard.broken);
  }

  /** QEMU is gone: who has been greeted hears its last bytes, then end of file. */
  qemuLeft(reason: string): void {
    this.#qemu = undefined;
    this.#upstream.lost();
    this.#scheduler.clear();
    for (const monitor of [...this.#monitors]) if (monitor.greeted) this.#dismiss(monitor, reason);
  }

  /** Time has come so far, in seconds of any steady clock. */
  tick(now: number): void {
    this.#now = now;
    for (const [monitor, since] of [...this.#ungreeted]) {
      if (now - since < this.#options.handshakeTime) continue;
      this.#dismiss(monitor, `no QEMU within ${this.#options.handshakeTime} s`);
    }
  }

  /** From now on new commands are refused; those under way finish. */
  drain(): void {
    this.#draining = true;
    this.#rest();
  }

  /** Ends every client, after what is queued for it. */
  dismissAll(reason: string): void {
    for (const monitor of [...this.#monitors]) this.#dismiss(monitor, reason);
  }

  #run(monitor: Monitor, { id, oob, bytes }: Command): void {
    if (this.#draining) return monitor.refuse(id, oob, "GenericError", "qmpmux is shutting down");
    const job = { monitor, ticket: monitor.reserve(id, oob), bytes, oob };
    if (oob) return this.#upstream.issue(job);
    this.#scheduler.enqueue(monitor, job);
    this.#feed();
  }

  /** Hands QEMU what it has room for. */
  #feed(): void {
    while (this.#upstream.hasRoom) {
      const job = this.#scheduler.next();
      if (job === undefined) return;
      this.#upstream.issue(job);
    }
  }

  /** Tells that nothing waits and nothing is at QEMU, where that is waited for. */
  #rest(): void {
    if (this.#draining && this.#scheduler.empty && this.#upstream.idle) this.#notices.idle();
  }

  #spread(event: Event): void {
    for (const monitor of this.#monitors) if (monitor.wants(event)) monitor.peer.send(event.bytes);
  }

  #greetAll(greeting: Greeting): void {
    this.#notices.ready(greeting);
    for (const monitor of this.#ungreeted.keys()) {
      monitor.greet(greeting);
      monitor.peer.resume();
    }
    this.#ungreeted.clear();
  }

  #dismiss(monitor: Monitor, reason: string): void {
    this.detached(monitor);
    monitor.peer.close(reason);
  }
}
