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
import { cargoFor, FdGate } from "./fd_gate.ts";
import { type Contain, type Errand, giveUp, isAwaited, ownErrand } from "./request.ts";
import type { Ledger } from "./request_recorder.ts";
import { checkListing, seenBy } from "./listing.ts";

/** What waited for a QEMU that has gone. */
export interface Stranded {
  /** What it was sent, and never answered. */
  readonly sent: readonly Errand[];
  /** What it was not sent. */
  readonly unsent: readonly Errand[];
}

/** Commands on their way, of all clients. */
export class Dispatch {
  readonly #upstream: Upstream<Errand>;
  readonly #ledger: Ledger;
  readonly #contain: Contain;
  readonly #scheduler = new Scheduler<Monitor, Errand>();
  readonly #cache = new QueryCache<Errand>();
  readonly #gate = new FdGate();
  /** What overtakes, but came while descriptors were on their way. */
  #heldBack: Errand[] = [];
  /** What has a deadline and no answer yet. */
  readonly #timed = new Set<Errand>();
  /** Whether QEMU has sent what could not be read; its connection is about to be closed. */
  #isBroken = false;
  /** The question of somebody else that a monitor joined last. */
  readonly #joined = new WeakMap<Monitor, Errand>();

  /**
   * Creates a dispatch in which nothing waits.
   *
   * @param contain runs what concerns one client
   */
  constructor(upstream: Upstream<Errand>, ledger: Ledger, contain: Contain) {
    this.#upstream = upstream;
    this.#ledger = ledger;
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
    const { role, caches, joins } = monitor.terms;
    const kept = caches ? this.#cache.answer(command) : undefined;
    if (kept) {
      this.#ledger.recorder?.kept();
      const answer = (): Reply => seenBy(role, command, kept);
      return monitor.answer(id, false, this.#ledger.noting(monitor, command, answer));
    }
    // Who has something unfinished does not join: the answer could overtake it.
    const question = joins && monitor.idle ? this.#question(command) : undefined;
    const twin = question === undefined ? undefined : this.#cache.twin(question);
    const since = this.#ledger.now;
    const asker = { monitor, ticket: monitor.reserve(id, oob), since, deadline };
    if (twin) {
      this.#ledger.recorder?.joined();
      twin.askers.push(asker);
      if (deadline !== Infinity) this.#timed.add(twin);
      this.#joined.set(monitor, twin);
      return;
    }
    const joined = this.#joined.get(monitor);
    const errand: Errand = {
      command,
      bytes,
      oob,
      question,
      askers: [asker],
      after: joined?.sent ? undefined : joined,
      owner: monitor,
      cargo: cargoFor(monitor, command),
      sent: false,
      issued: since,
    };
    if (deadline !== Infinity) this.#timed.add(errand);
    if (oob) return this.#overtakes(monitor, errand);
    if (question !== undefined) this.#cache.waits(question, errand);
    this.#scheduler.enqueue(monitor, errand);
    this.#feed();
  }

  /**
   * Delivers QEMU's reply to every waiter, then sends whatever it was blocking.
   *
   * @throws UnexpectedMessage where it is not what QEMU answers to such a command; those who
   *   wait are told that its effect is unknown
   */
  settled(errand: Errand, reply: Reply): void {
    const { command, question, askers } = errand;
    this.#scheduler.landed(errand);
    if (question !== undefined) this.#cache.landed(question);
    this.#timed.delete(errand);
    try {
      checkListing(command, reply);
      this.#released(errand, reply);
      this.#cache.keep(command, reply);
      this.#ledger.settled(errand, reply);
      for (const { monitor, ticket } of askers.splice(0)) {
        this.#contain(monitor, () => {
          monitor.fill(ticket, seenBy(monitor.terms.role, command, reply));
        });
      }
    } catch (error) {
      // Who is told now may ask for more at once; this connection is not used any more.
      this.#isBroken = true;
      const desc = `QEMU's answer to ${command.name} could not be read; its effect is unknown`;
      this.#ledger.unanswered([errand], "lost");
      giveUp(askers, desc, this.#contain);
      throw error;
    }
    this.#feed();
  }

  /** A client has left: what it alone waited for is not sent any more. */
  left(monitor: Monitor): void {
    for (const errand of this.#scheduler.drop(monitor)) {
      // Nobody has asked for what closes that which was left at QEMU: it is sent all the same.
      if (errand.askers.length === 0) this.#scheduler.enqueue(monitor, errand);
      else this.#inherit(errand);
    }
    const held = this.#heldBack.findIndex((errand) => !isAwaited(errand));
    if (held >= 0) this.#forget(this.#heldBack.splice(held, 1)[0]!);
    this.clean(monitor);
  }

  /** Ends what a client leaves at QEMU. */
  clean(owner: Monitor): void {
    for (const command of this.#gate.leftovers(owner)) {
      this.#scheduler.enqueue(owner, ownErrand(command, owner));
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
    for (const { cargo } of unsent) cargo?.close();
    this.#ledger.unanswered(sent, "lost");
    this.#ledger.unanswered(unsent, "dropped");
    return { sent, unsent };
  }

  /** Answers those whose commands have taken too long; what comes later is nobody's. */
  giveUpLate(now: number): void {
    // An answer can let others go: first all are taken out.
    const answers: (() => void)[] = [];
    for (const errand of this.#timed) {
      const late = errand.askers.filter(({ deadline }) => deadline <= now);
      if (late.length === 0) continue;
      const others = errand.askers.filter(({ deadline }) => deadline > now);
      // It waits for the turn of the first who is there.
      const owner = errand.askers.find(({ monitor }) => !monitor.left);
      const moves = !errand.sent && (owner === undefined || late.includes(owner));
      errand.askers.splice(0, errand.askers.length, ...others);
      if (moves && errand.oob) this.#letGo(errand);
      else if (moves) this.#scheduler.remove(errand);
      if (!errand.sent && others.length === 0) errand.cargo?.close();
      if (others.length === 0) {
        this.#timed.delete(errand);
        if (errand.question !== undefined) this.#cache.forgotten(errand.question);
      } else if (moves) this.#inherit(errand);
      this.#ledger.unanswered([{ ...errand, askers: late }], errand.sent ? "lost" : "dropped");
      const { name } = errand.command;
      const desc = errand.sent
        ? `${name} was not answered in time; it may still run`
        : `${name} could not be sent in time; it has not run`;
      answers.push(() => giveUp(late, desc, this.#contain));
    }
    for (const answer of answers) answer();
    this.#feed();
  }

  /** What overtakes goes at once, but not past descriptors. */
  #overtakes(monitor: Monitor, errand: Errand): void {
    const held = this.#gate.hasFds || this.#isBroken;
    if (!held && !this.#lets(errand)) return;
    this.#scheduler.overtakes(monitor, errand);
    if (held) this.#heldBack.push(errand);
    else this.#overtake(errand);
  }

  /** Hands QEMU an out-of-band command. */
  #overtake(errand: Errand): void {
    errand.sent = true;
    this.#upstream.issue(errand);
  }

  /** One that was held back is not any more. */
  #letGo(errand: Errand): void {
    this.#heldBack.splice(this.#heldBack.indexOf(errand), 1);
    this.#scheduler.landed(errand);
  }

  /** Hands QEMU what it has room for. */
  #feed(): void {
    if (this.#isBroken) return;
    while (this.#upstream.hasRoom && !this.#gate.hasFds) {
      const errand = this.#scheduler.next(this.#mayGo);
      if (errand === undefined) return;
      if (!this.#lets(errand)) continue;
      if (errand.question !== undefined) this.#cache.flies(errand.question);
      errand.sent = true;
      errand.after = undefined;
      errand.issued = this.#ledger.now;
      this.#upstream.issue(errand);
    }
  }

  /** What a command asks that others may ask, too: not of descriptors, whose names are each client's own. */
  #question(command: Command): Question | undefined {
    const question = this.#cache.question(command);
    return question === undefined || namesDescriptors(command) ? undefined : question;
  }

  readonly #mayGo = (errand: Errand): Leave => {
    const { question, after, askers } = errand;
    if (
      after && !after.sent && after.askers.some(({ monitor }) => monitor === askers[0]?.monitor)
    ) {
      return false;
    }
    if (question !== undefined && !this.#cache.mayFly(question)) return false;
    return this.#gate.leave(errand, this.#upstream.busy);
  };

  /**
   * Whether a command may go, as far as descriptors are concerned; one that may not is answered here.
   * It is no question that others share: see `#question`.
   */
  #lets(errand: Errand): boolean {
    const { command, cargo, askers } = errand;
    const admitted = this.#gate.goes(errand);
    if (typeof admitted !== "string") {
      errand.bytes = admitted;
      return true;
    }
    this.#scheduler.landed(errand);
    cargo?.close();
    this.#timed.delete(errand);
    for (const { monitor } of askers) this.#ledger.here(monitor, command, "refused");
    giveUp(askers, admitted, this.#contain);
    return false;
  }

  /** QEMU has answered a command: what descriptors held back goes now. */
  #released(errand: Errand, reply: Reply): void {
    this.#gate.settled(errand, reply);
    if (!this.#gate.hasFds) {
      for (const held of this.#heldBack.splice(0)) if (this.#lets(held)) this.#overtake(held);
    }
    this.#free();
    if (errand.owner?.left) this.clean(errand.owner);
  }

  /** Ends what is left at QEMU and concerns no departing client. */
  #free(): void {
    for (const { owner, command } of this.#gate.freed()) {
      this.#scheduler.enqueue(owner, ownErrand(command, owner));
    }
  }

  /** An errand whose first asker has gone belongs to the next one, if there is one. */
  #inherit(errand: Errand): void {
    const heir = errand.askers.find(({ monitor }) => !monitor.left);
    // It was idle when it joined: all else that it has waiting came later.
    if (heir) this.#scheduler.enqueueFirst(heir.monitor, errand);
    else this.#forget(errand);
  }

  /** An errand that QEMU has not been sent, and that nobody waits for. */
  #forget(errand: Errand): void {
    this.#ledger.unanswered([errand], "dropped");
    this.#timed.delete(errand);
    this.#scheduler.landed(errand);
    errand.cargo?.close();
    if (errand.question !== undefined) this.#cache.forgotten(errand.question);
  }
}
