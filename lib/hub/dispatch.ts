/**
 * The dispatch: commands that wait for QEMU or are in flight, and the replies to them.
 *
 * It combines the decisions of the files in lib/sharing: whose turn it is, which question
 * is sent once for many clients, and which descriptors may be sent.
 * Every request ends in `#retire`, for whatever reason.
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
import { LeaseGate, type LeaseGateOptions } from "./lease_gate.ts";
import { type Contain, failAll, internalRequest, isAwaited, type Request } from "./request.ts";
import type { RequestRecorder, Unanswered } from "./request_recorder.ts";
import { checkListing, seenBy } from "./listing.ts";
import { tapRequest } from "./tapping.ts";

/** The requests of all clients. */
export class Dispatch {
  readonly #upstream: Upstream<Request>;
  readonly #recorder: RequestRecorder;
  readonly #contain: Contain;
  readonly #scheduler = new Scheduler<Monitor, Request>();
  readonly #cache = new QueryCache<Request>();
  readonly #gate = new FdGate();
  /** The leases of the VM. */
  readonly leases: LeaseGate;
  /** Out-of-band requests that wait until a command with descriptors is answered. */
  readonly #heldBack = new Set<Request>();
  /** The requests with an asker that has a deadline. */
  readonly #timed = new Set<Request>();
  /** Whether QEMU has sent an unreadable reply; its connection is about to be closed. */
  #isBroken = false;
  /** For each client, the question of another client that it joined last. */
  readonly #joined = new WeakMap<Monitor, Request>();

  /**
   * Creates a dispatch without requests.
   *
   * @param contain runs work for one client, so that an error disconnects that client only
   */
  constructor(
    upstream: Upstream<Request>,
    recorder: RequestRecorder,
    contain: Contain,
    leases: LeaseGateOptions,
  ) {
    this.#upstream = upstream;
    this.#recorder = recorder;
    this.#contain = contain;
    this.leases = new LeaseGate(leases, {
      sent: () => this.#upstream.sent(),
      feed: () => this.#feed(),
    });
  }

  /** Begins a connection to QEMU; `secret` is a decimal number that no client can know. */
  arrived(secret: string): void {
    this.#gate.arrived(secret);
  }

  /** Returns a message of QEMU's with the names that clients have chosen for their descriptors. */
  withOwnNames(message: Uint8Array): Uint8Array {
    return this.#gate.withOwnNames(message);
  }

  /** Whether {@linkcode tick} must be called. */
  get needsTime(): boolean {
    return !this.resting || this.leases.needsTime;
  }

  /** Whether no request waits or is in flight. */
  get resting(): boolean {
    const rests = this.size === 0 && this.#upstream.idle;
    if (rests) this.#checkEmpty();
    return rests;
  }

  /** The number of requests that wait here. */
  get size(): number {
    return this.#scheduler.size + this.#heldBack.size;
  }

  /** Counts each client's requests in flight; a shared question counts for each of its askers. */
  inFlight(): ReadonlyMap<Monitor, number> {
    const counts = new Map<Monitor, number>();
    for (const { askers } of this.#upstream.sent()) {
      for (const { monitor } of askers) counts.set(monitor, (counts.get(monitor) ?? 0) + 1);
    }
    return counts;
  }

  /** Whether an out-of-band command may be sent, considering the abandoned ones in flight. */
  get mayOvertake(): boolean {
    return this.#upstream.mayOvertake(isAwaited);
  }

  /**
   * Accepts a client's command. A cached reply answers it, it joins a pending question, or it waits
   * to be sent to QEMU.
   *
   * @param deadline the time at which the command fails, in seconds of the hub's clock
   */
  take(monitor: Monitor, command: Command, deadline: number): void {
    const { id, oob, bytes } = command;
    const { role, caches, joins } = monitor.grant;
    const cached = caches ? this.#cache.cached(command) : undefined;
    if (cached) {
      this.#recorder.observe({ kind: "cached" });
      const answer = (): Reply => seenBy(role, command, cached);
      return monitor.answer(id, false, this.#recorder.recordWhenSent(monitor, command, answer));
    }
    // A busy client does not join: the reply could overtake its other commands.
    const question = joins && monitor.idle ? this.#question(command) : undefined;
    const pending = question === undefined ? undefined : this.#cache.pending(question);
    const since = this.#recorder.now;
    const asker = { monitor, command, ticket: monitor.reserve(id, oob), since, deadline };
    if (pending) {
      this.#recorder.observe({ kind: "joined" });
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
      after: joined?.state === "waiting" ? joined : undefined,
      owner: monitor,
      fds: fdsFor(monitor, command),
      state: "waiting",
      sentAt: since,
    };
    this.leases.note(monitor, request);
    if (deadline !== Infinity) this.#timed.add(request);
    if (oob) return this.#overtake(monitor, request);
    if (question !== undefined) this.#cache.add(question, request);
    this.#scheduler.enqueue(monitor, request);
    this.#feed();
  }

  /**
   * Delivers QEMU's reply to every asker, then sends the requests that it was blocking.
   *
   * @throws UnexpectedMessage if the reply does not fit the command; the askers get an error that
   *   says that the effect is unknown
   */
  settled(request: Request, reply: Reply): void {
    const { command, askers } = request;
    try {
      checkListing(command, reply);
      this.#gate.settled(request, reply);
      this.#retire(request, reply);
      this.#release(request.owner);
      this.#cache.store(command, reply);
      for (const { monitor, ticket } of askers.splice(0)) {
        this.#contain(monitor, () => {
          monitor.fill(ticket, seenBy(monitor.grant.role, command, reply));
        });
      }
    } catch (error) {
      // An asker may react by sending more commands; this connection must not get them.
      this.#isBroken = true;
      this.#retire(request, "lost");
      const desc = `QEMU's reply to ${command.name} could not be read; its effect is unknown`;
      failAll(askers, desc, this.#contain);
      throw error;
    }
    this.leases.settled();
    this.#feed();
  }

  /** Removes a client: requests that only it waited for are not sent. */
  left(monitor: Monitor): void {
    for (const request of this.#scheduler.drop(monitor)) {
      // An internal request closes a client's leftovers: it is sent even without askers.
      if (request.askers.length === 0) this.#scheduler.enqueue(monitor, request);
      else this.#inherit(request);
    }
    for (const request of this.#heldBack) if (!isAwaited(request)) this.#retire(request, "dropped");
    // Its leftovers are closed before others take its place.
    this.clean(monitor);
    this.leases.left(monitor);
  }

  /** Closes a client's leftovers at QEMU. */
  clean(owner: Monitor): void {
    for (const command of this.#gate.leftovers(owner)) {
      this.#scheduler.enqueue(owner, internalRequest(command, owner));
    }
    this.#feed();
  }

  /** Begins to send to a QEMU that is ready, and closes leftovers of an earlier connection first. */
  ready(): void {
    this.#free();
    this.#feed();
  }

  /** Ends every request, because QEMU disconnected. Returns a function that answers the askers. */
  lost(): () => void {
    const sent = this.#upstream.lost();
    const unsent = [...this.#scheduler.waiting(), ...this.#heldBack];
    for (const request of sent) this.#retire(request, "lost");
    for (const request of unsent) this.#retire(request, "dropped");
    this.#checkEmpty();
    this.#scheduler.clear();
    this.#cache.clear();
    this.#gate.clear();
    this.#isBroken = false;
    this.leases.lost();
    return () => {
      for (const { askers, command: { name } } of sent) {
        failAll(askers, `QEMU disconnected; the effect of ${name} is unknown`, this.#contain);
      }
      for (const { askers, command: { name } } of unsent) {
        failAll(askers, `QEMU disconnected; ${name} was not sent`, this.#contain);
      }
    };
  }

  /** Ends leases whose time is over, and fails commands whose deadline has passed. */
  tick(now: number): void {
    this.leases.tick();
    this.#failLate(now);
    this.#feed();
  }

  /** Answers the askers whose deadline has passed with an error. A later reply is not delivered to them. */
  #failLate(now: number): void {
    // An error reply can make other clients leave, so all late askers are removed first.
    const answers: (() => void)[] = [];
    for (const request of this.#timed) {
      const late = request.askers.filter(({ deadline }) => deadline <= now);
      if (late.length === 0) continue;
      const isSent = request.state === "sent";
      // The request waits in the queue of its first asker that is still connected.
      const owner = request.askers.find(({ monitor }) => !monitor.left);
      const others = request.askers.filter(({ deadline }) => deadline > now);
      request.askers.splice(0, request.askers.length, ...others);
      this.#recorder.ended({ ...request, askers: late }, isSent ? "lost" : "dropped");
      if (isSent && others.length === 0) this.#timed.delete(request);
      else if (others.length === 0) this.#retire(request, "dropped");
      else if (!isSent && (owner === undefined || late.includes(owner))) this.#inherit(request);
      const { name } = request.command;
      const desc = isSent
        ? `${name} was not answered in time; it may still run`
        : `${name} could not be sent in time; it has not run`;
      answers.push(() => failAll(late, desc, this.#contain));
    }
    for (const answer of answers) answer();
  }

  /** Sends an out-of-band request at once, unless a command with descriptors is in flight. */
  #overtake(monitor: Monitor, request: Request): void {
    const held = this.#gate.hasFds || this.#isBroken;
    if (!held && !this.#lets(request)) return;
    this.#scheduler.overtakes(monitor, request);
    if (held) this.#heldBack.add(request);
    else this.#send(request);
  }

  /** Sends requests to QEMU while it has room for them. */
  #feed(): void {
    if (this.#isBroken) return;
    while (this.#upstream.hasRoom && !this.#gate.hasFds) {
      const request = this.#scheduler.next(this.#mayGo);
      if (request === undefined) return;
      if (!this.#lets(request)) continue;
      if (request.question !== undefined) this.#cache.started(request.question);
      request.after = undefined;
      request.sentAt = this.#recorder.now;
      this.#send(request);
    }
  }

  #send(request: Request): void {
    request.state = "sent";
    if (this.#recorder.tap) tapRequest(this.#recorder.tap, request);
    this.#upstream.issue(request);
  }

  /** Returns the question of a command, or `undefined` if it names descriptors: each client has its own names. */
  #question(command: Command): Question | undefined {
    const question = this.#cache.question(command);
    return question === undefined || namesDescriptors(command) ? undefined : question;
  }

  readonly #mayGo = (request: Request): Leave => {
    const { question, after, askers } = request;
    const follows = after?.state === "waiting" &&
      after.askers.some(({ monitor }) => monitor === askers[0]?.monitor);
    if (follows) return false;
    if (question !== undefined && !this.#cache.mayStart(question)) return false;
    if (!this.leases.leave(request)) return false;
    return this.#gate.leave(request, this.#upstream.busy);
  };

  /** Returns whether the gates admit a request. If not, its askers get an error. */
  #lets(request: Request): boolean {
    const admitted = this.leases.refusal(request) ?? this.#gate.goes(request);
    if (typeof admitted !== "string") {
      request.bytes = admitted;
      return true;
    }
    this.#retire(request, "refused");
    failAll(request.askers, admitted, this.#contain);
    return false;
  }

  /** Sends the requests that a command with descriptors held back, and closes leftovers that are now free. */
  #release(owner: Monitor | undefined): void {
    if (!this.#gate.hasFds) {
      for (const request of this.#heldBack) {
        this.#heldBack.delete(request);
        if (this.#lets(request)) this.#send(request);
      }
    }
    this.#free();
    if (owner?.left) this.clean(owner);
  }

  /** Closes the leftovers at QEMU that no command uses any more. */
  #free(): void {
    for (const { owner, command } of this.#gate.freed()) {
      this.#scheduler.enqueue(owner, internalRequest(command, owner));
    }
  }

  /** Moves a waiting request whose first asker has left or failed to its next asker, if there is one. */
  #inherit(request: Request): void {
    const heir = request.askers.find(({ monitor }) => !monitor.left);
    if (heir === undefined) return this.#retire(request, "dropped");
    this.#scheduler.remove(request);
    // This asker was idle when it joined, so all its other commands are later.
    this.#scheduler.enqueueFirst(heir.monitor, request);
  }

  #checkEmpty(): void {
    const left = this.#timed.size + this.#heldBack.size;
    if (left > 0) throw new Error(`${left} requests have ended and are still registered`);
  }

  /** Ends a request: removes it wherever it is registered, and records its end. */
  #retire(request: Request, end: Reply | Unanswered): void {
    const { state, question, fds } = request;
    if (state === "done") return;
    request.state = "done";
    this.#timed.delete(request);
    this.#heldBack.delete(request);
    this.#scheduler.remove(request);
    if (state === "waiting") fds?.close();
    if (question !== undefined) {
      if (state === "waiting") this.#cache.remove(question);
      else this.#cache.finished(question);
    }
    this.#recorder.ended(request, end);
  }
}
