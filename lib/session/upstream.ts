/**
 * Our one session with QEMU.
 *
 * QEMU runs in-band commands one at a time and replies in their order. We send them without an
 * id, since QEMU makes a system call for each byte that it reads. Out-of-band commands overtake
 * others. Their id is a number that is never used again, not even on the next connection.
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
 * The most in-band commands in flight.
 *
 * With eight, QEMU can stop reading out-of-band commands while another monitor is busy
 * (measured on 7.2). Two to four are enough for full throughput, and commands that wait in
 * qmpmux can still be dropped. One busy client has at most two in flight (`OWNER_LIMIT`). Four
 * leave room for a second client at once.
 */
export const IN_FLIGHT_LIMIT = 4;

/**
 * The most abandoned out-of-band commands in flight: those whose deadline has passed or whose client has left.
 *
 * A running QEMU answers them at once. While the QEMU process is stopped, they would accumulate
 * in qmpmux and in QEMU's socket.
 */
export const ABANDONED_LIMIT = 16;

/** A command for QEMU. */
export interface Job {
  /** The command without an id, `{…}`. */
  readonly bytes: Uint8Array;
  /** Whether it is out-of-band. */
  readonly oob: boolean;
  /** The descriptors to send with it, if it is in-band. */
  readonly fds?: Fds | undefined;
}

/** The meaning of a message from QEMU. */
export type Heard<J> =
  | { readonly ready: Greeting }
  | { readonly settled: J; readonly reply: Reply }
  | { readonly event: Event }
  /** `sent` is the command of the handshake that it has caused, without its id. */
  | { readonly dropped: Message; readonly sent?: Uint8Array }
  | { readonly broken: UnexpectedMessage };

/** Returns the number of bytes of a command as sent, with its id if it has one. */
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
  /** The number of bytes of all commands in flight. */
  #bytesInFlight = 0;
  /** Whether QEMU has sent anything since the last call of `listen`. */
  #spoke = true;
  #silentSince = 0;
  #asked = false;
  /** The number of unread bytes of a command with descriptors, at the last call of `listen`. */
  #unread = 0;
  #stalled = false;

  /** The state of the session. */
  get state(): SessionState {
    return this.#state;
  }

  /** QEMU's greeting; `undefined` unless the session is ready. */
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
   * @param awaited returns whether a client waits for a job's reply
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
   * @param nonce a number in digits that nobody else can know, used as an id. QEMU may send late
   *   replies of an earlier connection, so everything before the reply with this id is ignored
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

  /** Whether QEMU counts as stalled: it was silent for too long, and did not answer a probe. */
  get stalled(): boolean {
    return this.#stalled;
  }

  /**
   * Sends a probe to QEMU if it has been silent at `now`, in seconds.
   *
   * The probe is an out-of-band `query-yank`. QEMU's I/O thread answers it even while the main
   * thread is busy, so QEMU leaves it unanswered only if the process does not run at all.
   *
   * A QEMU without `oob` cannot be probed, and never counts as stalled. QEMU cannot be probed
   * either while a command with descriptors is in flight. It then counts as stalled if it does
   * not read that command.
   *
   * A QEMU that owes no reply is left alone, unless {@linkcode probesWhenIdle} is set.
   *
   * @param patience seconds of silence after which QEMU counts as stalled
   * @param probe returns the probe; called only if it is sent
   * @returns whether QEMU counts as stalled from now on
   */
  listen(now: number, patience: number, probe: () => J): boolean {
    if (this.#state !== "ready" || !this.#greeting?.capabilities.includes("oob")) return false;
    if (this.idle && !this.probesWhenIdle) this.#spoke = true;
    // After a command with descriptors nothing may be sent before its reply.
    const hasFds = this.#inBand.some(({ fds }) => fds !== undefined);
    const unread = hasFds ? this.#peer?.unread ?? 0 : 0;
    // Reading a long command takes time; while QEMU reads, it is not silent.
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

  /** Processes a message from QEMU and returns its meaning. */
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
    if (step.state === "ready") return { ready: this.#greeting! };
    if (step.send === undefined) return { dropped: message };
    const sent = asciiBytes(step.send);
    this.#peer?.send(numbered(sent, this.#nonce));
    return { dropped: message, sent };
  }

  /** Ends the session after the connection was lost; returns the commands that were in flight. */
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
    // Clients expect the style of the greeting in every reply, and QEMU's replies can be too long to convert.
    if (isPretty(this.#greeting!.bytes) && !isPretty(message.bytes)) {
      return broken("it printed its greeting with pretty=on, but not a reply", message.bytes);
    }
    const { id } = message;
    const job = id === undefined ? this.#inBand[0] : this.#outOfBand.get(id);
    if (job === undefined) {
      // An out-of-band reply may be late; any other unexpected reply is an error.
      const isLate = id !== undefined && /^[1-9]\d{0,15}$/.test(id) && Number(id) <= this.#lastId;
      return isLate
        ? { dropped: message }
        : broken("it sent a reply that matches no command", message.bytes);
    }
    // QEMU cannot reply to a command that was not yet written to the socket.
    const others = this.#bytesInFlight - sizeOf(job, id);
    if ((this.#peer?.backlog ?? 0) > others) {
      return broken("it sent a reply to a command that it has not received", message.bytes);
    }
    this.#bytesInFlight = others;
    if (id === undefined) this.#inBand.shift();
    else this.#outOfBand.delete(id);
    return { settled: job, reply: message };
  }
}
