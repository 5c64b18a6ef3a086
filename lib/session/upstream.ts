/**
 * Our one session with QEMU.
 *
 * QEMU runs in-band commands one at a time and replies in their order, so they
 * carry no id: each byte of it would cost QEMU a system call. Out-of-band commands
 * overtake and carry a number that is never used twice, not even on the next
 * connection.
 *
 * @module
 */

import {
  type Event,
  EVENT_NAME_CHARS_LIMIT,
  type Greeting,
  isPretty,
  type Message,
  type Reply,
  UnexpectedMessage,
} from "../wire/message.ts";
import { QMP, type SessionState } from "./handshake.ts";
import type { Fds, QemuPeer } from "../wire/peer.ts";
import { numbered } from "../wire/reply.ts";
import { asciiBytes } from "../wire/text.ts";

/**
 * In-band commands in flight at a time.
 *
 * The eighth can block the oob lane while another monitor is busy (measured on
 * 7.2). Two to four already reach full throughput, and commands that wait here can
 * still be dropped. With four, a client that asks now and then finds room at once
 * beside one that has its maximum in flight (`OWNER_LIMIT`).
 */
export const IN_FLIGHT_LIMIT = 4;

/**
 * Abandoned out-of-band commands in flight: their deadlines have passed, or their clients have left.
 *
 * A QEMU that runs answers each at once. While it is stopped they would pile up,
 * here and in its socket.
 */
export const ABANDONED_LIMIT = 16;

/** A command for QEMU. */
export interface Job {
  /** The command without an id, `{…}`. */
  readonly bytes: Uint8Array;
  /** Whether it is out-of-band. */
  readonly oob: boolean;
  /** The descriptors to send with an in-band one. */
  readonly fds?: Fds | undefined;
}

/** The meaning of a message of QEMU's. */
export type Heard<J> =
  | { readonly ready: Greeting }
  | { readonly settled: J; readonly reply: Reply }
  | { readonly event: Event }
  | { readonly dropped: Message }
  | { readonly broken: UnexpectedMessage };

/** Returns the length of a command as it is sent, with its id if it has one. */
function sizeOf({ bytes }: Job, id: string | undefined): number {
  return bytes.length + (id === undefined ? 0 : `,"id":${id}`.length);
}

/** Returns the meaning of a message that ends the session. */
function broken(problem: string, bytes: Uint8Array): { broken: UnexpectedMessage } {
  return { broken: new UnexpectedMessage(problem, bytes) };
}

/** The sessions with QEMU, one after another. */
export class Upstream<J extends Job> {
  /** Whether a QEMU that owes no reply is probed too. */
  probesWhenIdle = false;
  #state: SessionState = "absent";
  #peer: QemuPeer | undefined;
  #greeting: Greeting | undefined;
  #nonce = "";
  #inBand: J[] = [];
  #outOfBand = new Map<string, J>();
  #lastId = 0;
  /** The bytes of the commands in flight. */
  #bytesInFlight = 0;
  /** Whether QEMU has sent anything since the last look at the clock. */
  #spoke = true;
  #silentSince = 0;
  #asked = false;
  /** The bytes of a command with descriptors that QEMU had not read at the last look. */
  #unread = 0;
  #stalled = false;

  /** The state of the session. */
  get state(): SessionState {
    return this.#state;
  }

  /** QEMU's greeting while the session is ready, else `undefined`. */
  get greeting(): Greeting | undefined {
    return this.#state === "ready" ? this.#greeting : undefined;
  }

  /** Whether an in-band command may be sent now. */
  get hasRoom(): boolean {
    return this.#state === "ready" && this.#inBand.length < IN_FLIGHT_LIMIT;
  }

  /**
   * Returns whether an out-of-band command may be sent now.
   *
   * @param awaited returns whether anybody waits for a job's reply
   */
  mayOvertake(awaited: (job: J) => boolean): boolean {
    if (this.#outOfBand.size < ABANDONED_LIMIT) return true;
    let abandoned = 0;
    for (const job of this.#outOfBand.values()) if (!awaited(job)) abandoned++;
    return abandoned < ABANDONED_LIMIT;
  }

  /** Whether an in-band command is in flight. */
  get busy(): boolean {
    return this.#inBand.length > 0;
  }

  /** The number of commands in flight. */
  get inFlight(): number {
    return this.#inBand.length + this.#outOfBand.size;
  }

  /** Yields the commands in flight. */
  *sent(): Generator<J> {
    yield* this.#inBand;
    yield* this.#outOfBand.values();
  }

  /** Whether no command is in flight. */
  get idle(): boolean {
    return this.inFlight === 0;
  }

  /**
   * Begins a session on a new connection.
   *
   * @param nonce a number in digits that nobody else can know: QEMU sends a late
   *   reply of an earlier connection to the next one, so nothing counts before the
   *   reply that carries it
   */
  arrived(peer: QemuPeer, nonce: string): void {
    this.#peer = peer;
    this.#nonce = nonce;
    this.#state = QMP.first;
  }

  /** Sends a command; an in-band one requires {@linkcode hasRoom}. */
  issue(job: J): void {
    if (this.#peer === undefined || this.#state !== "ready") {
      throw new Error(`Cannot issue a command: QEMU is ${this.#state}`);
    }
    // The silence of a QEMU that had nothing to answer does not count.
    if (this.idle && !this.probesWhenIdle) this.#spoke = true;
    const id = job.oob ? String(++this.#lastId) : undefined;
    this.#bytesInFlight += sizeOf(job, id);
    if (id === undefined) {
      this.#inBand.push(job);
      this.#peer.send(job.bytes, job.fds);
      return;
    }
    this.#outOfBand.set(id, job);
    this.#peer.send(numbered(job.bytes, id));
  }

  /** Whether QEMU has been silent for too long, though it was asked. */
  get stalled(): boolean {
    return this.#stalled;
  }

  /**
   * Sends a probe to QEMU if it has been silent at `now`, in seconds.
   *
   * QEMU's I/O thread answers an out-of-band `query-yank` whatever else it does,
   * so only a QEMU that does not run at all leaves it unanswered. A QEMU without
   * `oob` cannot be asked, and never counts as stalled. A QEMU that has a command
   * with descriptors cannot be asked either: it counts as stalled while it does not
   * even read that command.
   *
   * A QEMU that owes no reply is left alone, unless {@linkcode probesWhenIdle} is set.
   *
   * @param patience seconds of silence after which QEMU counts as stalled
   * @param probe makes the question; called only if it is sent
   * @returns whether QEMU has begun to count as stalled
   */
  listen(now: number, patience: number, probe: () => J): boolean {
    if (this.#state !== "ready" || !this.#greeting?.capabilities.includes("oob")) return false;
    if (this.idle && !this.probesWhenIdle) this.#spoke = true;
    // Nothing may follow a command with descriptors before its reply.
    const hasFds = this.#inBand.some(({ fds }) => fds !== undefined);
    const unread = hasFds ? this.#peer?.unread ?? 0 : 0;
    // A long command takes a while: a QEMU that reads on is not silent.
    if (this.#spoke || unread < this.#unread) this.#silentSince = now;
    this.#spoke = false;
    this.#unread = unread;
    const silence = now - this.#silentSince;
    if (silence >= patience / 2 && !this.#asked && !hasFds) {
      this.#asked = true;
      this.issue(probe());
    }
    const owes = this.#asked || unread > 0;
    if (silence < patience || !owes || this.#stalled) return false;
    this.#stalled = true;
    return true;
  }

  /** Returns the meaning of a message of QEMU's. */
  heard(message: Message): Heard<J> {
    this.#spoke = true;
    this.#asked = this.#stalled = false;
    const take = QMP.steps[this.#state];
    if (take === undefined) return this.#answered(message);
    const step = take(message, this.#nonce);
    if (step === undefined) return { dropped: message };
    if ("broken" in step) return step;
    this.#greeting = step.greeting ?? this.#greeting;
    this.#state = step.state;
    if (step.send !== undefined) this.#peer?.send(asciiBytes(step.send));
    return step.state === "ready" ? { ready: this.#greeting! } : { dropped: message };
  }

  /** Ends the session with its connection, and returns the commands that were in flight. */
  lost(): J[] {
    const waiting = [...this.#inBand, ...this.#outOfBand.values()];
    this.#inBand = [];
    this.#outOfBand.clear();
    this.#bytesInFlight = 0;
    this.#peer = undefined;
    this.#greeting = undefined;
    this.#state = "absent";
    this.#spoke = true;
    this.#asked = this.#stalled = false;
    return waiting;
  }

  #answered(message: Message): Heard<J> {
    if (message.kind === "event") {
      return message.name.length <= EVENT_NAME_CHARS_LIMIT
        ? { event: message }
        : broken("the name of its event is too long", message.bytes);
    }
    if (message.kind === "greeting") return broken("it sent a second greeting", message.bytes);
    // Clients get every reply in the style of the greeting; QEMU's are too long to be converted.
    if (isPretty(this.#greeting!.bytes) && !isPretty(message.bytes)) {
      return broken("it greeted with pretty=on and replies without", message.bytes);
    }
    const { id } = message;
    const job = id === undefined ? this.#inBand[0] : this.#outOfBand.get(id);
    if (job === undefined) {
      // An out-of-band reply may be late; any other unexpected reply is an error.
      const isLate = id !== undefined && /^[1-9]\d{0,15}$/.test(id) && Number(id) <= this.#lastId;
      return isLate
        ? { dropped: message }
        : broken("it answered nothing that was asked", message.bytes);
    }
    // A command that has not been handed to the kernel cannot have been answered.
    const others = this.#bytesInFlight - sizeOf(job, id);
    if ((this.#peer?.backlog ?? 0) > others) {
      return broken("it answered what it had not been sent", message.bytes);
    }
    this.#bytesInFlight = others;
    if (id === undefined) this.#inBand.shift();
    else this.#outOfBand.delete(id);
    return { settled: job, reply: message };
  }
}
