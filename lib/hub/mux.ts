/**
 * The hub: hands each message to the room that decides.
 *
 * One QEMU on one side, any number of clients on the other. Everything here is
 * synchronous; what waits, waits on the rim.
 *
 * @module
 */

import type { Ending, Recorder } from "../record/recorder.ts";
import { Monitor, type Ticket } from "../session/monitor.ts";
import { type Job, Upstream } from "../session/upstream.ts";
import { QueryCache, type Question } from "../sharing/query_cache.ts";
import { type Leave, Scheduler } from "../sharing/scheduler.ts";
import { globMatches } from "../terms/glob.ts";
import { judge, refusalText } from "../terms/policy.ts";
import type { Deadline, OnLoss } from "../terms/options.ts";
import type { Terms } from "../terms/terms.ts";
import { type Damage, type Frame, frameOf } from "../wire/frame.ts";
import {
  type Cargo,
  type Command,
  type Event,
  type Greeting,
  type Peer,
  readCommand,
  readMessage,
  type Reply,
} from "../wire/message.ts";
import { errorReply, eventMessage } from "../wire/reply.ts";
import { type Hub, type HubStatus, OWN_PREFIX, runOwn } from "./admin.ts";
import { cargoFor, Custody } from "./custody.ts";
import { Ledger } from "./ledger.ts";
import { seenBy } from "./listing.ts";

/** Who waits for an answer, and where it belongs. */
interface Asker {
  readonly monitor: Monitor;
  readonly ticket: Ticket;
  /** When it asked. */
  readonly since: number;
  /** When it gives up, in seconds of the hub's clock; never, where it has no deadline. */
  readonly deadline: number;
}

/** A command on its way, and all who wait for its answer. */
interface ClientJob extends Job {
  readonly command: Command;
  readonly askers: Asker[];
  /** What it asks, where others may join. */
  readonly question: Question | undefined;
  /** A question its monitor shares with others, which must reach QEMU first. */
  after: ClientJob | undefined;
  /** Who asked first; nobody else where it concerns descriptors. */
  readonly party: Monitor | undefined;
  /** What goes along. */
  readonly cargo: Cargo | undefined;
  /** Has QEMU been sent it? */
  sent: boolean;
  /** When. */
  issued: number;
}

/** What is asked of a QEMU that is silent. */
const PROBE: Frame = frameOf('{"exec-oob":"query-yank"}');

/** Why we hang up on what sends something else than QMP's messages. */
export const NO_QMP = "it does not speak QMP";

/** How the reason begins why we let go of a client that has waited for QEMU's greeting for too long. */
export const NO_QEMU = "no QEMU within";

/** What the rim may want to know; all of it has happened already. */
export interface Notices {
  /** QEMU is there and negotiation is done. */
  ready(greeting: Greeting): void;
  /** QEMU has left its last question unanswered for too long, or answers again. */
  stalled(stalled: boolean): void;
  /** A client asks that the settings be read again; `done` is told what was wrong with them. */
  reload(done: (problems: readonly string[]) => void): void;
  /** While draining: the last command under way has been answered. */
  idle(): void;
}

/** Settings of the hub. */
export interface MuxOptions {
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
}

/** Many clients, one QEMU: the whole surface the rim sees. */
export class Mux implements Hub {
  readonly #upstream = new Upstream<ClientJob>();
  readonly #scheduler = new Scheduler<Monitor, ClientJob>();
  readonly #cache = new QueryCache<ClientJob>();
  readonly #custody = new Custody();
  /** What overtakes, but came while descriptors were on their way. */
  #heldBack: ClientJob[] = [];
  readonly #monitors = new Set<Monitor>();
  /** Since when, in seconds, the clients wait that have no greeting yet. */
  readonly #ungreeted = new Map<Monitor, number>();
  #options: MuxOptions;
  readonly #notices: Notices;
  #qemu: Peer | undefined;
  #attached = 0;
  #now = 0;
  #sessions = 0;
  #draining = false;
  /** What has a deadline and no answer yet. */
  readonly #timed = new Set<ClientJob>();
  /** The question of somebody else that a monitor joined last. */
  readonly #joined = new WeakMap<Monitor, ClientJob>();
  readonly #ledger: Ledger;

  /** A hub without clients and without QEMU. */
  constructor(options: MuxOptions, notices: Notices, recorder?: Recorder) {
    this.#options = options;
    this.#notices = notices;
    this.#ledger = new Ledger(recorder, options.clock ?? ((): number => this.#now));
  }

  /** The clients that are there. */
  get monitors(): ReadonlySet<Monitor> {
    return this.#monitors;
  }

  /** A client has come. It hears nothing until QEMU's greeting is there. */
  attach(peer: Peer, terms: Terms): Monitor {
    const monitor = new Monitor(peer, terms, ++this.#attached, this.#now);
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
    if (admission === "run") {
      const objection = this.#ledger.recorder?.objection(command);
      if (objection !== undefined) {
        this.#ledger.here(monitor, command, "refused");
        return monitor.refuse(id, oob, "GenericError", refusalText(command, objection));
      }
      if (!runOwn(monitor, command, this)) this.#run(monitor, command);
      return;
    }
    if (!oob) return monitor.answer(id, false, this.#ledger.noting(monitor, command, admission));
    this.#ledger.here(monitor, command, "error");
    monitor.refuse(id, true, "GenericError", `The command ${command.name} does not support OOB`);
  }

  /** Descriptors have come from a client, before the bytes that follow. */
  carried(monitor: Monitor, cargo: Cargo): void {
    if (monitor.left) cargo.close();
    else monitor.carried(cargo);
  }

  /** A client has gone: its unsent commands with it, and its late replies vanish. */
  detached(monitor: Monitor, ending: Ending = "left"): void {
    // What is queued under its name later is ours.
    if (!this.#monitors.delete(monitor)) return;
    const ungiven = monitor.leave();
    this.#ledger.recorder?.left(ending);
    this.#ledger.ungiven(ungiven);
    this.#ungreeted.delete(monitor);
    for (const job of this.#scheduler.drop(monitor)) this.#inherit(job);
    const held = this.#heldBack.findIndex((job) => !isAwaited(job));
    if (held >= 0) this.#forget(this.#heldBack.splice(held, 1)[0]!);
    this.#clean(monitor);
    this.#rest();
  }

  /** A connection to QEMU is up; `nonce` as {@linkcode Upstream.arrived} takes it. */
  qemuArrived(peer: Peer, nonce: string): void {
    this.#qemu = peer;
    this.#upstream.arrived(peer, nonce);
  }

  /** QEMU has said something: a message as {@linkcode MessageSplitter} gives it. */
  answered(input: Uint8Array | Damage): void {
    if (this.#upstream.stalled) this.#notices.stalled(false);
    const message = "damage" in input ? undefined : readMessage(input);
    if (message === undefined) return this.#qemu?.close(NO_QMP);
    const heard = this.#upstream.heard(message);
    if ("event" in heard) this.#spread(heard.event);
    else if ("settled" in heard) {
      const { settled, reply } = heard;
      this.#scheduler.landed(settled);
      if (settled.question !== undefined) this.#cache.landed(settled.question);
      this.#cache.keep(settled.command, reply);
      this.#released(settled, reply);
      this.#timed.delete(settled);
      this.#ledger.settled(settled, reply);
      for (const { monitor, ticket } of settled.askers) {
        monitor.fill(ticket, seenBy(monitor.terms.role, settled.command, reply));
      }
      this.#feed();
      this.#rest();
    } else if ("ready" in heard) this.#greetAll(heard.ready);
    else if ("broken" in heard) this.#qemu?.close(heard.broken);
  }

  /**
   * QEMU is gone: who has been greeted hears its last bytes, then end of file.
   * Under `hold` it stays, and is told what is known of its commands.
   */
  qemuLeft(reason: string): void {
    this.#qemu = undefined;
    const wasReady = this.#upstream.state === "ready";
    const sent = this.#upstream.lost();
    const unsent = [...this.#scheduler.clear(), ...this.#heldBack.splice(0)];
    this.#cache.clear();
    this.#timed.clear();
    this.#custody.clear();
    for (const { cargo } of unsent) cargo?.close();
    this.#ledger.unanswered(sent, "lost");
    this.#ledger.unanswered(unsent, "dropped");
    if (this.#options.onLoss === "close") {
      for (const monitor of [...this.#monitors]) {
        if (monitor.greeted) this.dismiss(monitor, reason, "qemu");
      }
      this.#rest();
      return;
    }
    if (wasReady) this.#spread(this.#ownEvent("QEMU_LOST", { reason }));
    for (const job of sent) {
      giveUp(job.askers, `QEMU has gone; the effect of ${job.command.name} is unknown`);
    }
    for (const job of unsent) giveUp(job.askers, `QEMU has gone; ${job.command.name} was not sent`);
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
    this.#giveUpLate();
    if (this.#upstream.listen(now, stallTime, probe)) this.#notices.stalled(true);
  }

  /** Goes on under other settings. */
  adopt(options: MuxOptions): void {
    this.#options = options;
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
      qemu: stalled ? "stalled" : state,
      version: greeting?.version.join(".") ?? null,
      sessions: this.#sessions,
      clients: this.#monitors.size,
      waiting: this.#scheduler.size,
      inFlight,
      age: this.#now,
    };
  }

  /** What of a client's waits here and what is at QEMU. */
  pending(monitor: Monitor): { waiting: number; inFlight: number } {
    const waiting = this.#scheduler.waitingOf(monitor);
    return { waiting, inFlight: monitor.pending - waiting };
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
  noting(monitor: Monitor, command: Command, answer: () => Reply): () => Reply {
    return this.#ledger.noting(monitor, command, answer);
  }

  /** A command of ours is refused. */
  refused(monitor: Monitor, command: Command): void {
    this.#ledger.here(monitor, command, "refused");
  }

  #run(monitor: Monitor, command: Command): void {
    const { id, oob, bytes } = command;
    if (this.#draining) {
      this.#ledger.here(monitor, command, "dropped");
      return monitor.refuse(id, oob, "GenericError", "qmpmux is shutting down");
    }
    const { role, caches, joins } = monitor.terms;
    const verdict = judge(role, command);
    if (!verdict.allow) {
      this.#ledger.here(monitor, command, "refused");
      return monitor.refuse(id, oob, "CommandNotFound", refusalText(command, verdict.because));
    }
    if (this.#qemu === undefined || this.#upstream.state !== "ready") {
      this.#ledger.here(monitor, command, "dropped");
      const desc = `QEMU is away; ${command.name} was not sent`;
      return monitor.refuse(id, oob, "GenericError", desc);
    }
    if (oob && !this.#upstream.mayOvertake(isAwaited)) {
      this.#ledger.here(monitor, command, "dropped");
      const desc = `QEMU answers no out-of-band commands; ${command.name} was not sent`;
      return monitor.refuse(id, true, "GenericError", desc);
    }
    const kept = caches ? this.#cache.answer(command) : undefined;
    if (kept) {
      this.#ledger.recorder?.kept();
      const answer = (): Reply => seenBy(role, command, kept);
      return monitor.answer(id, false, this.#ledger.noting(monitor, command, answer));
    }
    // Who has something unfinished does not join: the answer could overtake it.
    const question = joins && monitor.idle ? this.#cache.question(command) : undefined;
    const twin = question === undefined ? undefined : this.#cache.twin(question);
    const since = this.#ledger.now;
    const deadline = this.#now + secondsFor(command, this.#options.deadlines);
    const asker = { monitor, ticket: monitor.reserve(id, oob), since, deadline };
    if (twin) {
      this.#ledger.recorder?.joined();
      twin.askers.push(asker);
      if (deadline !== Infinity) this.#timed.add(twin);
      this.#joined.set(monitor, twin);
      return;
    }
    const joined = this.#joined.get(monitor);
    const after = joined?.sent ? undefined : joined;
    const askers = [asker];
    const job: ClientJob = {
      command,
      bytes,
      oob,
      question,
      askers,
      after,
      party: monitor,
      cargo: cargoFor(monitor, command),
      sent: false,
      issued: since,
    };
    if (deadline !== Infinity) this.#timed.add(job);
    if (oob) {
      const held = this.#custody.laden;
      if (!held && !this.#lets(job)) return;
      this.#scheduler.overtakes(monitor, job);
      if (held) this.#heldBack.push(job);
      else this.#overtake(job);
      return;
    }
    if (question !== undefined) this.#cache.waits(question, job);
    this.#scheduler.enqueue(monitor, job);
    this.#feed();
  }

  /** A job whose first asker has gone belongs to the next one, if there is one. */
  #inherit(job: ClientJob): void {
    const heir = job.askers.find(({ monitor }) => !monitor.left);
    // It was idle when it joined: all else that it has waiting came later.
    if (heir) this.#scheduler.enqueueFirst(heir.monitor, job);
    else this.#forget(job);
  }

  /** A job that has not been sent, and that nobody waits for. */
  #forget(job: ClientJob): void {
    this.#ledger.unanswered([job], "dropped");
    this.#timed.delete(job);
    this.#scheduler.landed(job);
    job.cargo?.close();
    if (job.question !== undefined) this.#cache.forgotten(job.question);
  }

  /** Hands QEMU an out-of-band command. */
  #overtake(job: ClientJob): void {
    job.sent = true;
    this.#upstream.issue(job);
  }

  /** Hands QEMU one that was held back, if anybody still waits for it. */
  #release(job: ClientJob): void {
    if (!isAwaited(job)) this.#forget(job);
    else if (this.#lets(job)) this.#overtake(job);
  }

  /** Hands QEMU what it has room for. */
  #feed(): void {
    while (this.#upstream.hasRoom && !this.#custody.laden) {
      const job = this.#scheduler.next(this.#mayGo);
      if (job === undefined) return;
      if (!this.#lets(job)) continue;
      if (job.question !== undefined) this.#cache.flies(job.question);
      job.sent = true;
      job.after = undefined;
      job.issued = this.#ledger.now;
      this.#upstream.issue(job);
    }
  }

  /** May a command go, as far as descriptors are concerned? What may not is answered here. */
  #lets(job: ClientJob): boolean {
    const { command, cargo, askers } = job;
    const objection = this.#custody.goes(job);
    if (objection === undefined) return true;
    this.#scheduler.landed(job);
    cargo?.close();
    this.#timed.delete(job);
    for (const { monitor } of askers) this.#ledger.here(monitor, command, "refused");
    giveUp(askers, objection);
    return false;
  }

  /** QEMU has answered a command: what had to wait for that goes now. */
  #released(job: ClientJob, reply: Reply): void {
    this.#custody.settled(job, reply);
    if (!this.#custody.laden) {
      for (const held of this.#heldBack.splice(0)) this.#release(held);
    }
    if (job.party?.left) this.#clean(job.party);
  }

  /** Ends what a client that has left leaves at QEMU. */
  #clean(party: Monitor): void {
    for (const command of this.#custody.leftovers(party)) {
      this.#scheduler.enqueue(party, ownJob(command, party));
    }
    this.#feed();
  }

  readonly #mayGo = (job: ClientJob): Leave => {
    const { question, after, askers } = job;
    if (
      after && !after.sent && after.askers.some(({ monitor }) => monitor === askers[0]?.monitor)
    ) {
      return false;
    }
    if (question !== undefined && !this.#cache.mayFly(question)) return false;
    return this.#custody.leave(job, this.#upstream.busy);
  };

  /** Tells that nothing waits and nothing is at QEMU, where that is waited for. */
  #rest(): void {
    const resting = (): boolean => this.#scheduler.empty && this.#upstream.idle;
    if (!this.#draining || !resting()) return;
    // Nobody can use them any more.
    for (const monitor of this.#monitors) this.#clean(monitor);
    if (resting()) this.#notices.idle();
  }

  /** Answers those whose commands have taken too long; what comes later is nobody's. */
  #giveUpLate(): void {
    // An answer can let others go: first all are taken out.
    const answers: (() => void)[] = [];
    for (const job of this.#timed) {
      const late = job.askers.filter(({ deadline }) => deadline <= this.#now);
      if (late.length === 0) continue;
      const others = job.askers.filter(({ deadline }) => deadline > this.#now);
      // It waits for the turn of the first who is there.
      const owner = job.askers.find(({ monitor }) => !monitor.left);
      const moves = !job.sent && (owner === undefined || late.includes(owner));
      job.askers.splice(0, job.askers.length, ...others);
      if (moves) this.#scheduler.remove(job);
      if (!job.sent && others.length === 0) job.cargo?.close();
      if (others.length === 0) {
        this.#timed.delete(job);
        if (job.question !== undefined) this.#cache.forgotten(job.question);
      } else if (moves) this.#inherit(job);
      this.#ledger.unanswered([{ ...job, askers: late }], job.sent ? "lost" : "dropped");
      const { name } = job.command;
      const desc = job.sent
        ? `${name} was not answered in time; it may still run`
        : `${name} could not be sent in time; it has not run`;
      answers.push(() => giveUp(late, desc));
    }
    for (const answer of answers) answer();
    this.#feed();
    this.#rest();
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
    for (const monitor of this.#monitors) {
      if (!monitor.wants(event)) continue;
      monitor.peer.send(event.bytes);
      told++;
    }
    this.#ledger.recorder?.spread(event, told);
  }

  #greetAll(greeting: Greeting): void {
    this.#sessions++;
    this.#ledger.recorder?.qemuCame();
    this.#notices.ready(greeting);
    for (const monitor of this.#monitors) {
      // Under `hold` some have been here before; what they rely on may be gone.
      if (!monitor.greeted || monitor.regreet(greeting)) continue;
      this.dismiss(monitor, "the QEMU that is back lacks a capability it has enabled", "qemu");
    }
    if (this.#sessions > 1 && this.#options.onLoss === "hold") {
      this.#spread(this.#ownEvent("QEMU_BACK", { version: greeting.version.join(".") }));
    }
    for (const monitor of this.#ungreeted.keys()) {
      monitor.greet(greeting);
      monitor.peer.resume();
    }
    this.#ungreeted.clear();
  }

  /** Ends a client, behind what is queued for it. */
  dismiss(monitor: Monitor, reason: string, ending: Ending): void {
    this.detached(monitor, ending);
    monitor.peer.close(reason);
  }
}

/** Does anybody wait for its answer? */
function isAwaited({ askers }: ClientJob): boolean {
  return askers.some(({ monitor }) => !monitor.left);
}

/** Answers all who wait for a job with an error; whatever becomes of it is nobody's from now on. */
function giveUp(askers: Asker[], desc: string): void {
  for (const { monitor, ticket } of askers.splice(0)) {
    monitor.fill(ticket, errorReply("GenericError", desc));
  }
}

/** The question whether QEMU lives; it reads only, and QEMU's I/O thread answers it. */
function probe(): ClientJob {
  return ownJob(readCommand(PROBE, true) as Command);
}

/** A command whose answer nobody waits for. */
function ownJob(command: Command, party?: Monitor): ClientJob {
  return {
    command,
    bytes: command.bytes,
    oob: command.oob,
    question: undefined,
    askers: [],
    after: undefined,
    party,
    cargo: undefined,
    sent: command.oob,
    issued: 0,
  };
}

function secondsFor({ name }: Command, deadlines: readonly Deadline[]): number {
  return deadlines.find(({ glob }) => globMatches(glob, name))?.seconds ?? Infinity;
}
