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
import { ArgumentError } from "../session/arguments.ts";
import type { Monitor } from "../session/monitor.ts";
import type { Clock } from "../platform/clock.ts";
import type { Calls } from "../platform/libc_symbols.ts";
import { ownUser, programOf } from "../platform/process_name.ts";
import { isKnown } from "./records.ts";

/** The most bytes that a client may leave unread before it loses lines. */
const UNREAD_LIMIT = 4 << 20;

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

/** The tap of each client that has one. */
const taps = new WeakMap<Monitor, Looker>();

/**
 * Opens a tap for a client, in place of an earlier one.
 *
 * @param done is called once; the first line follows what it sends
 */
export function openTap(
  monitor: Monitor,
  { vm, filter, keepsSecrets }: TapRequest,
  deps: TapDeps,
  done: (value: () => unknown) => void,
): void {
  if (keepsSecrets && !mayKeepSecrets(monitor, deps.libc)) {
    return done(() => {
      throw new ArgumentError("Only root and the user of qmpmux may see secrets; leave them out");
    });
  }
  done(() => ({}));
  const { taps: all, clock, version, libc } = deps;
  const earlier = taps.get(monitor);
  if (earlier) all.remove(earlier);
  // It may have left meanwhile.
  if (monitor.left) return;
  const lines = new RecordingWriter({
    vm: deps.vm,
    version,
    filter,
    mark: newMark(),
    keepsSecrets,
    isKnown,
    now: () => clock.now(),
    timeOfDay: () => clock.timeOfDay(),
    programOf: libc && ((pid) => programOf(libc, pid)),
  }, new EventLines(monitor, clock));
  const looker: Looker = {
    looksAt: vm,
    open: (source) => lines.open(source),
    close: (source) => lines.close(source),
    failed: deps.failed,
  };
  taps.set(monitor, looker);
  monitor.whenLeft = () => all.remove(looker);
  all.add(looker);
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

const ENCODER = new TextEncoder();

/** Sends lines to a client, those of one turn together. */
class EventLines implements LineSink {
  readonly #monitor: Monitor;
  readonly #clock: Clock;
  #waiting = "";

  constructor(monitor: Monitor, clock: Clock) {
    this.#monitor = monitor;
    this.#clock = clock;
  }

  write(line: string): boolean {
    const unread = this.#monitor.peer.unread ?? 0;
    if (unread + this.#waiting.length > UNREAD_LIMIT) return false;
    if (this.#waiting === "") queueMicrotask(() => this.#send());
    const now = this.#clock.timeOfDay();
    const seconds = Math.floor(now);
    const microseconds = Math.floor((now - seconds) * 1e6);
    this.#waiting += `{"timestamp": {"seconds": ${seconds}, "microseconds": ${microseconds}}, ` +
      `"event": "${OWN_PREFIX}TAP", "data": ${line}}\r\n`;
    return true;
  }

  #send(): void {
    const text = this.#waiting;
    this.#waiting = "";
    if (!this.#monitor.left) this.#monitor.peer.send(ENCODER.encode(text));
  }
}
