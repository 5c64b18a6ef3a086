/**
 * Filters of events: lists of globs for event names.
 *
 * `*` matches any characters, `?` matches one, and case matters. The whole name must match. An
 * empty list matches no event.
 *
 * @module
 */

import { hasWildcard, isAnything, leastLength } from "./glob.ts";
import { nearest } from "./suggestion.ts";

/** The most globs of a list. */
export const GLOBS_LIMIT = 256;
/** The most characters of a glob. */
export const GLOB_LENGTH_LIMIT = 256;

/** The most names that are matched against wildcards; QEMU has about sixty events. */
const EVENT_NAMES_LIMIT = 1024;

/** The form of QEMU's event names, with or without a vendor's prefix. */
const EVENT_NAME = /^(?=.{1,64}$)(?:__[A-Za-z0-9.-]+_)?[A-Z][A-Z0-9_]*$/;

/** The most characters of such a name; QEMU's longest has 29. */
const NAME_LIMIT = 64;

/** A set of events, given by globs for their names. */
export class EventFilter {
  /** The globs of the set. */
  readonly globs: readonly string[];
  readonly #isAnything: boolean;
  readonly #exact: ReadonlySet<string>;
  readonly #wildcards: readonly string[];
  /** The cached results of matching names against the wildcards. */
  readonly #tried = new Map<EventName, boolean>();

  /**
   * Creates the set of all events that match any of these globs.
   *
   * @param globs at most {@linkcode GLOBS_LIMIT}
   * @throws RangeError when there are more globs, or one is too long
   */
  constructor(globs: readonly string[]) {
    if (globs.length > GLOBS_LIMIT) {
      throw new RangeError(
        `Too many event globs: ${globs.length} exceed the limit of ${GLOBS_LIMIT}`,
      );
    }
    const long = globs.find((glob) => glob.length > GLOB_LENGTH_LIMIT);
    if (long !== undefined) {
      throw new RangeError(
        `Event glob too long: ${long.length} characters exceed the limit of ${GLOB_LENGTH_LIMIT}`,
      );
    }
    this.globs = [...globs];
    this.#isAnything = globs.some(isAnything);
    this.#exact = new Set(globs);
    this.#wildcards = globs.map((glob) => glob.replace(/\*+/g, "*"))
      .filter((glob) => hasWildcard(glob) && leastLength(glob) <= NAME_LIMIT);
  }

  /** Returns whether `passes` needs little time for a name, because it need not match wildcards. */
  isQuick(name: EventName): boolean {
    return !name.isQemus || this.#isAnything || this.#wildcards.length === 0 ||
      this.#tried.has(name);
  }

  /**
   * Tells whether an event is in the set.
   *
   * Wildcards match only names in QEMU's form, but a glob of stars alone matches any name.
   *
   * @param event the name; the result for a prepared name is cached
   */
  passes(event: string | EventName): boolean {
    const name = typeof event === "string" ? new EventName(event) : event;
    if (this.#isAnything || this.#exact.has(name.text)) return true;
    if (!name.isQemus || this.#wildcards.length === 0) return false;
    let passes = this.#tried.get(name);
    if (passes === undefined) {
      passes = this.#wildcards.some((glob) => name.matches(glob));
      this.#tried.set(name, passes);
    }
    return passes;
  }
}

/** The bits of a name that matches no wildcards: the event log keeps many such names. */
const NO_BITS = new Int32Array(0);

/** The name of an event, prepared for matching against many globs. */
export class EventName {
  /** The name itself. */
  readonly text: string;
  /** Whether it can match wildcards, because it has QEMU's form and is among the first names. */
  readonly isQemus: boolean;
  /** The places of each character in the name, as bits: the first 32 places, and the next 32. */
  readonly #low: Int32Array = NO_BITS;
  readonly #high: Int32Array = NO_BITS;

  /**
   * Prepares a name.
   *
   * @param isTried whether it can match wildcards if it has QEMU's form
   */
  constructor(text: string, isTried = true) {
    this.text = text;
    this.isQemus = isTried && EVENT_NAME.test(text);
    if (!this.isQemus) return;
    this.#low = new Int32Array(CODES);
    this.#high = new Int32Array(CODES);
    for (let at = 0; at < text.length; at++) {
      (at < 32 ? this.#low : this.#high)[text.codePointAt(at)!]! |= 1 << (at & 31);
    }
    this.#low[ANY] = bitsBelow(text.length);
    this.#high[ANY] = bitsBelow(text.length - 32);
  }

  /**
   * Tells whether the name matches a glob.
   *
   * It needs one pass over the glob. The bits are the places in the name where a match of the glob
   * up to the present character may end.
   */
  matches(glob: string): boolean {
    const lows = this.#low;
    const highs = this.#high;
    let low = 0;
    let high = 0;
    /** Whether the glob up to the present character matches the empty text. */
    let nothing = true;
    for (let at = 0; at < glob.length; at++) {
      const sign = glob.codePointAt(at)!;
      if (sign === STAR) {
        // Set the bits of all places after the first one.
        high = highs[ANY]! & (nothing || low !== 0 ? -1 : -(high & -high));
        low = lows[ANY]! & (nothing ? -1 : -(low & -low));
        continue;
      }
      if (sign >= CODES) return false;
      high = ((high << 1) | (low >>> 31)) & highs[sign]!;
      low = ((low << 1) | (nothing ? 1 : 0)) & lows[sign]!;
      if (low === 0 && high === 0) return false;
      nothing = false;
    }
    const last = this.text.length - 1;
    return ((last < 32 ? low : high) >>> (last & 31) & 1) === 1;
  }
}

/** The number of ASCII characters; names have no others. */
const CODES = 128;
const STAR = 0x2a;
const ANY = 0x3f;

/** Returns a number in which the lowest `count` bits are set; 32 at most. */
function bitsBelow(count: number): number {
  if (count <= 0) return 0;
  return count >= 32 ? -1 : (1 << count) - 1;
}

/** The prepared names of all events received, also on earlier connections to QEMU. */
export class EventNames {
  readonly #known = new Map<string, EventName>();

  /** Returns a prepared name; only the first {@linkcode EVENT_NAMES_LIMIT} can match wildcards. */
  named(text: string): EventName {
    let name = this.#known.get(text);
    if (name === undefined) {
      name = new EventName(text, this.#known.size < EVENT_NAMES_LIMIT);
      if (name.isQemus) this.#known.set(text, name);
    }
    return name;
  }
}

/** The events of QEMU 7.2, 10.0 and 11.1 (`query-qmp-schema`, x86_64), and qmpmux's own; sorted. */
// deno-fmt-ignore
export const EVENT_NAMES: readonly string[] = [
  "ACPI_DEVICE_OST", "BALLOON_CHANGE", "BLOCK_EXPORT_DELETED", "BLOCK_IMAGE_CORRUPTED",
  "BLOCK_IO_ERROR", "BLOCK_JOB_CANCELLED", "BLOCK_JOB_COMPLETED", "BLOCK_JOB_ERROR",
  "BLOCK_JOB_PENDING", "BLOCK_JOB_READY", "BLOCK_WRITE_THRESHOLD", "COLO_EXIT",
  "CPU_POLARIZATION_CHANGE", "DEVICE_DELETED", "DEVICE_TRAY_MOVED", "DEVICE_UNPLUG_GUEST_ERROR",
  "DUMP_COMPLETED", "FAILOVER_NEGOTIATED", "GUEST_CRASHLOADED", "GUEST_PANICKED",
  "GUEST_PVSHUTDOWN", "HV_BALLOON_STATUS_REPORT", "JOB_STATUS_CHANGE",
  "MEMORY_DEVICE_SIZE_CHANGE", "MEMORY_FAILURE", "MEM_UNPLUG_ERROR", "MIGRATION",
  "MIGRATION_PASS", "NETDEV_STREAM_CONNECTED", "NETDEV_STREAM_DISCONNECTED",
  "NETDEV_VHOST_USER_CONNECTED", "NETDEV_VHOST_USER_DISCONNECTED", "NIC_RX_FILTER_CHANGED",
  "POWERDOWN", "PR_MANAGER_STATUS_CHANGED", "QUORUM_FAILURE", "QUORUM_REPORT_BAD",
  "RDMA_GID_STATUS_CHANGED", "RESET", "RESUME", "RTC_CHANGE", "SCLP_CPI_INFO_AVAILABLE",
  "SHUTDOWN", "SPICE_CONNECTED", "SPICE_DISCONNECTED", "SPICE_INITIALIZED",
  "SPICE_MIGRATE_COMPLETED", "STOP", "SUSPEND", "SUSPEND_DISK", "UNPLUG_PRIMARY",
  "VFIO_MIGRATION", "VFU_CLIENT_HANGUP", "VNC_CONNECTED", "VNC_DISCONNECTED", "VNC_INITIALIZED",
  "VSERPORT_CHANGE", "WAKEUP", "WATCHDOG", "__org.qmpmux_QEMU_BACK", "__org.qmpmux_QEMU_LOST",
];

/**
 * Returns an error for a misspelt event name, with a suggestion and a way to use the name anyway.
 *
 * @param glob a name; a glob with wildcards is never misspelt
 * @returns `undefined` when the name is known, or not similar to a known one
 */
export function misspelt(glob: string): string | undefined {
  if (/[*?]/.test(glob) || EVENT_NAMES.includes(glob)) return undefined;
  const meant = nearest(glob, EVENT_NAMES);
  if (meant === undefined) return undefined;
  return `unknown event "${glob}"; did you mean "${meant}"? To use it anyway, write "${glob}*"`;
}
