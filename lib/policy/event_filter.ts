/**
 * Filters of events: lists of globs for their names.
 *
 * `*` matches any run of characters and `?` one, with case; the whole name must match. An
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

/** The number of names that are matched against wildcards; QEMU has some sixty events. */
const EVENT_NAMES_LIMIT = 1024;

/** The form of QEMU's names of events, with or without a vendor's prefix. */
const EVENT_NAME = /^(?=.{1,64}$)(?:__[A-Za-z0-9.-]+_)?[A-Z][A-Z0-9_]*$/;

/** The most characters of such a name; QEMU's longest has 29. */
const NAME_LIMIT = 64;

/** A set of events, by their names. */
export class EventFilter {
  /** The globs that were given. */
  readonly globs: readonly string[];
  readonly #isAnything: boolean;
  readonly #exact: ReadonlySet<string>;
  readonly #wildcards: readonly string[];
  /** The cached results of the wildcards. */
  readonly #tried = new Map<EventName, boolean>();

  /**
   * Creates the set of the events that match any of these globs.
   *
   * @param globs at most {@linkcode GLOBS_LIMIT}
   * @throws RangeError when there are more, or one is too long
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

  /**
   * Tells whether an event is in the set.
   *
   * Wildcards match only names that QEMU can have, except for a glob of stars alone.
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

/** The name of an event, prepared for many globs. */
export class EventName {
  /** The name itself. */
  readonly text: string;
  /** Whether it matches wildcards: QEMU can have it, and it is among the first names. */
  readonly isQemus: boolean;
  /** The places of each character, one bit for each: the first 32, and the next. */
  readonly #low = new Int32Array(CODES);
  readonly #high = new Int32Array(CODES);

  /**
   * Prepares a name.
   *
   * @param isTried whether it matches wildcards if QEMU can have it
   */
  constructor(text: string, isTried = true) {
    this.text = text;
    this.isQemus = isTried && EVENT_NAME.test(text);
    if (!this.isQemus) return;
    for (let at = 0; at < text.length; at++) {
      (at < 32 ? this.#low : this.#high)[text.codePointAt(at)!]! |= 1 << (at & 31);
    }
    this.#low[ANY] = bitsBelow(text.length);
    this.#high[ANY] = bitsBelow(text.length - 32);
  }

  /**
   * Tells whether it matches a glob, in one pass over the glob: bits hold all places in the name
   * where the present part of the glob may end.
   */
  matches(glob: string): boolean {
    const lows = this.#low;
    const highs = this.#high;
    let low = 0;
    let high = 0;
    /** Whether the present part of the glob matches the empty text. */
    let nothing = true;
    for (let at = 0; at < glob.length; at++) {
      const sign = glob.codePointAt(at)!;
      if (sign === STAR) {
        // Keep the first place, and add all that follow it.
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

/** The number of ASCII characters, the only ones in names. */
const CODES = 128;
const STAR = 0x2a;
const ANY = 0x3f;

/** Returns a number whose lowest `count` bits are set, at most 32. */
function bitsBelow(count: number): number {
  if (count <= 0) return 0;
  return count >= 32 ? -1 : (1 << count) - 1;
}

/** The names of the events that were received, also from earlier QEMUs. */
export class EventNames {
  readonly #known = new Map<string, EventName>();

  /** Prepares a name; only the first {@linkcode EVENT_NAMES_LIMIT} match wildcards. */
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
 * Returns an error for a misspelt event, with a suggestion and a way to insist on the name.
 *
 * @param glob a name, or a glob, which is never misspelt
 * @returns `undefined` when it is a known event, or similar to none
 */
export function misspelt(glob: string): string | undefined {
  if (/[*?]/.test(glob) || EVENT_NAMES.includes(glob)) return undefined;
  const meant = nearest(glob, EVENT_NAMES);
  if (meant === undefined) return undefined;
  return `unknown event "${glob}"; did you mean "${meant}"? Write "${glob}*" to mean it all the same`;
}
