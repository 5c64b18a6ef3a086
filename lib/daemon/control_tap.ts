/**
 * A tap on the control socket: lines of a recording, each the data of an event.
 *
 * A client that does not keep up loses lines, and is told how many. Nobody waits for it.
 *
 * @module
 */

import { OWN_PREFIX } from "../hub/own_events.ts";
import type { TapRequest } from "../hub/tap_request.ts";
import { type LineSink, RecordingWriter } from "../observe/recording_writer.ts";
import type { Looker, Taps } from "../observe/taps.ts";
import { Output, outputOf } from "../wire/output.ts";
import { ArgumentError } from "../session/arguments.ts";
import type { Monitor } from "../session/monitor.ts";
import type { Clock } from "../platform/clock.ts";
import type { Calls } from "../platform/libc_symbols.ts";
import { ownUser, programOf } from "../platform/process_name.ts";
import { isKnown } from "./records.ts";

/** The most bytes that a client may leave unread before it loses lines. */
const UNREAD_LIMIT = 4 << 20;

/** The time for which traffic is gathered before lines are made of it. */
export const GATHER_SECONDS = 0.1;

/** The size of a piece that is sent. */
const PIECE_BYTES = 65536;

/** The number of random bytes in the text that takes the place of secrets. */
const MARK_BYTES = 8;

/** The parts of the daemon that a tap uses. */
export interface TapDeps {
  /** The taps on the machines. */
  readonly taps: Taps;
  /** Measures its time. */
  readonly clock: Clock;
  /** The version of qmpmux. */
  readonly version: string;
  /** The name of the only VM; `undefined` if there can be several. */
  readonly vm: string | undefined;
  /** FFI, if it is available. */
  readonly libc: Calls | undefined;
  /** Reports an internal error. */
  failed(error: unknown): void;
}

/** A function that ends the tap of a client, for each client that has one. */
const ends = new WeakMap<Monitor, () => void>();

/**
 * Opens a tap for a client, in place of an earlier one.
 *
 * @param done is called once; the first line follows what it sends
 */
export function openTap(
  monitor: Monitor,
  { vm, filter, keepsSecrets, isBrief }: TapRequest,
  deps: TapDeps,
  done: (value: () => unknown) => void,
): void {
  if (keepsSecrets && !mayKeepSecrets(monitor, deps.libc)) {
    return done(() => {
      throw new ArgumentError("Only root and the user of qmpmux may see secrets; leave them out");
    });
  }
  ends.get(monitor)?.();
  done(() => ({}));
  const { taps, clock, version, libc } = deps;
  // It may have left meanwhile.
  if (monitor.left) return;
  const lines = new RecordingWriter({
    vm: deps.vm,
    version,
    filter,
    mark: newMark(),
    keepsSecrets,
    isBrief,
    isKnown,
    now: () => clock.now(),
    timeOfDay: () => clock.timeOfDay(),
    later: (run) => clock.after(GATHER_SECONDS, () => taps.attempt(looker, run)),
    programOf: libc && ((pid) => programOf(libc, pid)),
  }, new EventLines(monitor, clock));
  const looker: Looker = {
    looksAt: vm,
    open: (source) => lines.open(source),
    close: (source) => lines.close(source),
    failed: deps.failed,
  };
  const end = (): void => {
    taps.remove(looker);
    lines.flush();
  };
  ends.set(monitor, end);
  monitor.whenLeft = end;
  taps.add(looker);
  // Without a VM nothing has begun it.
  lines.start();
}

/** Returns a text that nobody can know. */
export function newMark(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(MARK_BYTES));
  return `(removed ${bytes.toHex()})`;
}

function mayKeepSecrets({ peer: { identity } }: Monitor, libc: Calls | undefined): boolean {
  if (identity === undefined) return false;
  return identity.uid === 0 || libc !== undefined && identity.uid === ownUser(libc);
}

/** The end of an event, behind the line. */
const LINE_END = outputOf("}\r\n");

/** Sends lines to a client, many at a time: a write for each would cost more than all else. */
class EventLines implements LineSink {
  readonly #monitor: Monitor;
  readonly #clock: Clock;
  /** The events that wait. */
  readonly #piece = new Output(PIECE_BYTES);
  /** The beginning of the events in this piece. */
  #head = outputOf("");

  constructor(monitor: Monitor, clock: Clock) {
    this.#monitor = monitor;
    this.#clock = clock;
  }

  write(line: Output): boolean {
    const piece = this.#piece;
    const unread = this.#monitor.peer.unread ?? 0;
    if (unread + piece.length > UNREAD_LIMIT) return false;
    const length = this.#head.length + line.length + LINE_END.length;
    if (piece.length + length > PIECE_BYTES) this.flush();
    if (piece.length === 0) this.#head = this.#newHead();
    piece.append(this.#head);
    piece.append(line);
    piece.append(LINE_END);
    return true;
  }

  flush(): void {
    const piece = this.#piece;
    if (piece.length > 0 && !this.#monitor.left) this.#monitor.peer.send(piece.bytes.slice());
    piece.clear();
  }

  /** Returns the beginning of an event, up to its data. */
  #newHead(): Output {
    const now = this.#clock.timeOfDay();
    const seconds = Math.floor(now);
    const microseconds = Math.floor((now - seconds) * 1e6);
    return outputOf(
      `{"timestamp": {"seconds": ${seconds}, "microseconds": ${microseconds}}, ` +
        `"event": "${OWN_PREFIX}TAP", "data": `,
    );
  }
}
