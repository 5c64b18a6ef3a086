/**
 * The dispatch: what waits for QEMU, what is there, and who is answered.
 *
 * It puts together what the rooms of sharing decide: whose turn it is, which
 * question is asked once for many, which descriptors may go, and what has been
 * waited for long enough.
 *
 * @module
 */

import type { Monitor } from "../session/monitor.ts";
import type { Upstream } from "../session/upstream.ts";
import { namesDescriptors } from "../sharing/fd_references.ts";
import { QueryCache, type Question } from "../sharing/query_cache.ts";
import { type Leave, Scheduler } from "../sharing/scheduler.ts";
import type { Command, Reply } from "../wire/message.ts";
import { FdGate, fdsFor } from "./fd_gate.ts";
import { type Contain, failAll, internalRequest, isAwaited, type Request } from "./request.ts";
import type { RequestRecorder } from "./request_recorder.ts";
import { checkListing, seenBy } from "./listing.ts";

/** What waited for a QEMU that has gone. */
export interface Stranded {
  /** What it was sent, and never answered. */
  readonly sent: readonly Request[];
  /** What it was not sent. */
  readonly unsent: readonly Request[];
}

/** Commands on their way, of all clients. */
export class Dispatch {
  readonly #upstream: Upstream<Request>;
  readonly #recorder: RequestRecorder;
  readonly #contain: Contain;
  readonly #scheduler = new Scheduler<Monitor, Request>();
  readonly #cache = new QueryCache<Request>();
  readonly #gate = new FdGate();
  /** What overtakes, but came while descriptors were on their way. */
  #heldBack: Request[] = [];
  /** What has a deadline and no answer yet. */
  readonly #timed = new Set<Request>();
  /** Whether QEMU has sent what could not be read; its connection is about to be closed. */
  #isBroken = false;
  /** The question of somebody else that a monitor joined last. */
  readonly #joined = new WeakMap<Monitor, Request>();

  /**
   * Creates a dispatch in which nothing waits.
   *
   * @param contain runs what concerns one client
   */
  constructor(upstream: Upstream<Request>, recorder: RequestRecorder, contain: Contain) {
    this.#upstream = upstream;
    this.#recorder = recorder;
    this.#contain = contain;
  }

  /** A QEMU has come; `secret` is a number in digits that no client can know. */
  arrived(secret: string): void {
    this.#gate.arrived(secret);
  }

  /** A message of QEMU's, as clients may see it: with the names of descriptors that they have chosen. */
  withOwnNames(message: Uint8Array): Uint8Array {
    return this.#gate.withOwnNames(message);
  }

  /** Does nothing wait, and is nothing at QEMU? */
  get resting(): boolean {
    return this.#scheduler.empty && this.#upstream.idle;
  }

  /** How many commands wait here. */
  get size(): number {
    return this.#scheduler.size + this.#heldBack.length;
  }

  /** Counts each client's commands at QEMU; a question that several share counts for each. */
  inFlight(): ReadonlyMap<Monitor, number> {
    const counts = new Map<Monitor, number>();
    for (const { askers } of this.#upstream.sent()) {
      for (const { monitor } of askers) counts.set(monitor, (counts.get(monitor) ?? 0) + 1);
    }
    return counts;
  }

  /** May an out-of-band command go, beside those at QEMU that nobody waits for any more? */
  get mayOvertake(): boolean {
    return this.#upstream.mayOvertake(isAwaited);
  }

  /**
   * Takes a client's command: a kept answer answers it, it joins a question, or it waits for QEMU.
   *
   * @param deadline when the client gives up, in seconds of the hub's clock
   */
  take(monitor: Monitor, command: Command, deadline: number): void {
    const { id, oob, bytes } = command;
    const { role, caches, joins } = monitor.grant;
    const cached = caches ? this.#cache.answer(command) : undefined;
    if (cached) {
      this.#recorder.observer?.cached();
      const answer = (): Reply => seenBy(role, command, cached);
      return monitor.answer(id, false, this.#recorder.recordWhenSent(monitor, command, answer));
    }
    // Who has something unfinished does not join: the answer could overtake it.
    const question = joins && monitor.idle ? this.#question(command) : undefined;
    const pending = question === undefined ? undefined : this.#cache.pending(question);
    const since = this.#recorder.now;
    const asker = { monitor, ticket: monitor.reserve(id, oob), since, deadline };
    if (pending) {
      this.#recorder.observer?.joined();
      pending.askers.push(asker);
      if (deadline !== Infinity) this.#timed.add(pending);
      this.#joined.set(monitor, pending);
      return;
    }
    const joined = this.#joined.get(monitor);
    const request: Request = {
      command,
      bytes,
      oob,
      question,
      askers: [asker],
      after: joined?.sent ? undefined : joined,
      owner: monitor,
      fds: fdsFor(monitor, command),
      sent: false,
      sentAt: since,
    };
    if (deadline !== Infinity) this.#timed.add(request);
    if (oob) return this.#overtakes(monitor, request);
    if (question !== undefined) this.#cache.add(question, request);
    this.#scheduler.enqueue(monitor, request);
    this.#feed();
  }

  /**
   * Delivers QEMU's reply to every waiter, then sends whatever it was blocking.
   *
   * @throws UnexpectedMessage where it is not what QEMU answers to such a command; those who
   *   wait are told that its effect is unknown
   */
  settled(request: Request, reply: Reply): void {
    const { command, question, askers } = request;
    this.#scheduler.finished(request);
    if (question !== undefined) this.#cache.finished(question);
    this.#timed.delete(request);
    try {
      checkListing(command, reply);
      this.#released(request, reply);
      this.#cache.store(command, reply);
      this.#recorder.settled(request, reply);
      for (const { monitor, ticket } of askers.splice(0)) {
        this.#contain(monitor, () => {
          monitor.fill(ticket, seenBy(monitor.grant.role, command, reply));
        });
      }
    } catch (error) {
      // Who is told now may ask for more at once; this connection is not used any more.
      this.#isBroken = true;
      const desc = `QEMU's answer to ${command.name} could not be read; its effect is unknown`;
      this.#recorder.unanswered([request], "lost");
      failAll(askers, desc, this.#contain);
      throw error;
    }
    this.#feed();
  }

  /** A client has left: what it alone waited for is not sent any more. */
  left(monitor: Monitor): void {
    for (const request of this.#scheduler.drop(monitor)) {
      // Nobody has asked for what closes that which was left at QEMU: it is sent all the same.
      if (request.askers.length === 0) this.#scheduler.enqueue(monitor, request);
      else this.#inherit(request);
    }
    const held = this.#heldBack.findIndex((request) => !isAwaited(request));
    if (held >= 0) this.#forget(this.#heldBack.splice(held, 1)[0]!);
    this.clean(monitor);
  }

  /** Ends what a client leaves at QEMU. */
  clean(owner: Monitor): void {
    for (const command of this.#gate.leftovers(owner)) {
      this.#scheduler.enqueue(owner, internalRequest(command, owner));
    }
    this.#feed();
  }

  /** QEMU is ready: what an earlier connection has left there is ended. */
  ready(): void {
    this.#free();
    this.#feed();
  }

  /** QEMU has gone: nothing is on its way any more. Who waits is the caller's to tell. */
  lost(): Stranded {
    const sent = this.#upstream.lost();
    const unsent = [...this.#scheduler.clear(), ...this.#heldBack.splice(0)];
    this.#cache.clear();
    this.#timed.clear();
    this.#gate.clear();
    this.#isBroken = false;
    for (const { fds } of unsent) fds?.close();
    this.#recorder.unanswered(sent, "lost");
    this.#recorder.unanswered(unsent, "dropped");
    return { sent, unsent };
  }

  /** Answers those whose commands have taken too long; what comes later is nobody's. */
  failLate(now: number): void {
    // An answer can let others go: first all are taken out.
    const answers: (() => void)[] = [];
    for (const request of this.#timed) {
      const late = request.askers.filter(({ deadline }) => deadline <= now);
      if (late.length === 0) continue;
      const others = request.askers.filter(({ deadline }) => deadline > now);
      // It waits for the turn of the first who is there.
      const owner = request.askers.find(({ monitor }) => !monitor.left);
      const moves = !request.sent && (owner === undefined || late.includes(owner));
      request.askers.splice(0, request.askers.length, ...others);
      if (moves && request.oob) this.#letGo(request);
      else if (moves) this.#scheduler.remove(request);
      if (!request.sent && others.length === 0) request.fds?.close();
      if (others.length === 0) {
        this.#timed.delete(request);
        if (request.question !== undefined) this.#cache.remove(request.question);
      } else if (moves) this.#inherit(request);
      this.#recorder.unanswered([{ ...request, askers: late }], request.sent ? "lost" : "dropped");
      const { name } = request.command;
      const desc = request.sent
        ? `${name} was not answered in time; it may still run`
        : `${name} could not be sent in time; it has not run`;
      answers.push(() => failAll(late, desc, this.#contain));
    }
    for (const answer of answers) answer();
    this.#feed();
  }

  /** What overtakes goes at once, but not past descriptors. */
  #overtakes(monitor: Monitor, request: Request): void {
    const held = this.#gate.hasFds || this.#isBroken;
    if (!held && !this.#lets(request)) return;
    this.#scheduler.overtakes(monitor, request);
    if (held) this.#heldBack.push(request);
    else this.#overtake(request);
  }

  /** Hands QEMU an out-of-band command. */
  #overtake(request: Request): void {
    request.sent = true;
    this.#upstream.issue(request);
  }

  /** One that was held back is not any more. */
  #letGo(request: Request): void {
    this.#heldBack.splice(this.#heldBack.indexOf(request), 1);
    this.#scheduler.finished(request);
  }

  /** Hands QEMU what it has room for. */
  #feed(): void {
    if (this.#isBroken) return;
    while (this.#upstream.hasRoom && !this.#gate.hasFds) {
      const request = this.#scheduler.next(this.#mayGo);
      if (request === undefined) return;
      if (!this.#lets(request)) continue;
      if (request.question !== undefined) this.#cache.started(request.question);
      request.sent = true;
      request.after = undefined;
      request.sentAt = this.#recorder.now;
      this.#upstream.issue(request);
    }
  }

  /** What a command asks that others may ask, too: not of descriptors, whose names are each client's own. */
  #question(command: Command): Question | undefined {
    const question = this.#cache.question(command);
    return question === undefined || namesDescriptors(command) ? undefined : question;
  }

  readonly #mayGo = (request: Request): Leave => {
    const { question, after, askers } = request;
    if (
      after && !after.sent && after.askers.some(({ monitor }) => monitor === askers[0]?.monitor)
    ) {
      return false;
    }
    if (question !== undefined && !this.#cache.mayStart(question)) return false;
    return this.#gate.leave(request, this.#upstream.busy);
  };

  /**
   * Whether a command may go, as far as descriptors are concerned; one that may not is answered here.
   * It is no question that others share: see `#question`.
   */
  #lets(request: Request): boolean {
    const { command, fds, askers } = request;
    const admitted = this.#gate.goes(request);
    if (typeof admitted !== "string") {
      request.bytes = admitted;
      return true;
    }
    this.#scheduler.finished(request);
    fds?.close();
    this.#timed.delete(request);
    for (const { monitor } of askers) this.#recorder.recordLocal(monitor, command, "refused");
    failAll(askers, admitted, this.#contain);
    return false;
  }

  /** QEMU has answered a command: what descriptors held back goes now. */
  #released(request: Request, reply: Reply): void {
    this.#gate.settled(request, reply);
    if (!this.#gate.hasFds) {
      for (const held of this.#heldBack.splice(0)) if (this.#lets(held)) this.#overtake(held);
    }
    this.#free();
    if (request.owner?.left) this.clean(request.owner);
  }

  /** Ends what is left at QEMU and concerns no departing client. */
  #free(): void {
    for (const { owner, command } of this.#gate.freed()) {
      this.#scheduler.enqueue(owner, internalRequest(command, owner));
    }
  }

  /** A request whose first asker has gone belongs to the next one, if there is one. */
  #inherit(request: Request): void {
    const heir = request.askers.find(({ monitor }) => !monitor.left);
    // It was idle when it joined: all else that it has waiting came later.
    if (heir) this.#scheduler.enqueueFirst(heir.monitor, request);
    else this.#forget(request);
  }

  /** A request that QEMU has not been sent, and that nobody waits for. */
  #forget(request: Request): void {
    this.#recorder.unanswered([request], "dropped");
    this.#timed.delete(request);
    this.#scheduler.finished(request);
    request.fds?.close();
    if (request.question !== undefined) this.#cache.remove(request.question);
  }
}
