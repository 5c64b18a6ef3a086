/**
 * The table of limits for a listener's clients.
 *
 * The options of `--listen`, the keys of the file, the defaults, the help and
 * `docs/limits.md` take their names and numbers from this table.
 *
 * @module
 */

import { invalidValue, UsageError } from "./usage_error.ts";

/** The unit of a limit; `bytes` may have the suffix K, M or G. */
export type Unit = "clients" | "VMs" | "events" | "files" | "bytes" | "seconds" | "commands/s";

/** One limit. */
export interface LimitRow {
  /** The unit. */
  readonly unit: Unit;
  /** The default. */
  readonly initial: number;
  /** The least value, except for 0 if `off` is allowed. */
  readonly least: number;
  /** The greatest value. */
  readonly most: number;
  /** Whether the values `off` and 0 are allowed, which remove the limit. */
  readonly off?: boolean;
  /** The defaults for listeners with certain roles, by role. */
  readonly forRole?: Readonly<Record<string, number>>;
  /** The description in the help. */
  readonly help: string;
}

const KIB = 1 << 10;
const MIB = 1 << 20;
const DAY = 86400;

/** The limits of each listener, by the name of the option. */
// deno-fmt-ignore
export const LIMITS = {
  "max-clients": { unit: "clients", initial: 2048, least: 1, most: 65536,
    help: "clients connected at a time; one more is closed at once" },
  "max-command": { unit: "bytes", initial: 256 * KIB, least: KIB, most: 64 * MIB,
    forRole: { observer: 64 * KIB },
    help: "size of a command without white space; a longer one is an error" },
  "max-waiting": { unit: "bytes", initial: 256 * KIB, least: KIB, most: 1024 * MIB,
    help: "queued commands of a client; above it, the client is not read" },
  "read-ahead": { unit: "bytes", initial: 64 * KIB, least: KIB, most: 64 * MIB,
    help: "input read from a client that may not send further commands yet" },
  "slow-unread": { unit: "bytes", initial: MIB, least: 4 * KIB, most: 1024 * MIB,
    help: "unread output of a client; above it, no further command is accepted" },
  "slow-time": { unit: "seconds", initial: 30, least: 1, most: DAY,
    help: "time a client above slow-unread may read nothing; then it is dropped" },
  "max-unread": { unit: "bytes", initial: 16 * MIB, least: MIB, most: 1024 * MIB,
    help: "unread output of a client besides replies; above it, it is dropped" },
  "fds-time": { unit: "seconds", initial: 10, least: 1, most: DAY,
    help: "time passed descriptors wait for getfd or add-fd; then they are closed" },
  "rate": { unit: "commands/s", initial: 0, least: 0.01, most: 1_000_000, off: true,
    help: "commands per second of each client; above it, the client waits" },
  "user-rate": { unit: "commands/s", initial: 0, least: 0.01, most: 1_000_000, off: true,
    help: "commands per second of all clients of one user; above it, they wait" },
  "idle": { unit: "seconds", initial: 0, least: 1, most: DAY, off: true,
    help: "time without traffic in either direction; then the client is closed" },
  "lease-wait": { unit: "seconds", initial: 0, least: 0.1, most: DAY, off: true,
    help: "time a command waits for another's lease; then it is refused" },
  "max-ttl": { unit: "seconds", initial: 3600, least: 1, most: 7 * DAY,
    help: "longest time of a lease that its clients acquire" },
} as const satisfies Readonly<Record<string, LimitRow>>;

/** The name of a limit. */
export type LimitName = keyof typeof LIMITS;

/** The limits of one listener; 0 means no limit. */
export type Limits = Readonly<Record<LimitName, number>>;

/** The names of all limits, in the order in which they are documented. */
export const LIMIT_NAMES: readonly LimitName[] = Object.keys(LIMITS) as LimitName[];

/** The most clients of all listeners: `--max-clients`. */
// deno-fmt-ignore
export const CLIENTS_IN_ALL: LimitRow = {
  unit: "clients", initial: 4096, least: 1, most: 1_000_000,
  help: "clients of all listeners at a time; one more is closed at once",
};

/** The limit of the VMs of a process: `--max-vms`. */
// deno-fmt-ignore
export const VMS_IN_ALL: LimitRow = {
  unit: "VMs", initial: 2048, least: 1, most: 65536,
  help: "VMs at a time; one more is not served",
};

/** The limit of the unread replies of all clients: `--max-unread`. */
// deno-fmt-ignore
export const UNREAD_IN_ALL: LimitRow = {
  unit: "bytes", initial: 256 * MIB, least: MIB, most: 64 * 1024 * MIB,
  help: "unread replies of all clients; above it, the slowest client is dropped",
};

/** The most bytes of a message from QEMU: `--max-message`. */
// deno-fmt-ignore
export const MESSAGE_BYTES: LimitRow = {
  unit: "bytes", initial: 64 * MIB, least: MIB, most: 1024 * MIB,
  help: "size of a message from QEMU; a longer one closes the connection to QEMU",
};

/** The bytes of events that are kept for each VM: `--event-log-bytes`. */
// deno-fmt-ignore
export const EVENT_LOG_BYTES: LimitRow = {
  unit: "bytes", initial: MIB, least: 0, most: 1024 * MIB,
  help: "events of each VM kept for clients that subscribe; the oldest are dropped",
};

/** The number of events that are kept for each VM: `--event-log-events`. */
// deno-fmt-ignore
export const EVENT_LOG_EVENTS: LimitRow = {
  unit: "events", initial: 10_000, least: 0, most: 100_000,
  help: "number of events of each VM kept for them",
};

/** The bytes of a file of the recording, after which another one begins: `--record-size`. */
// deno-fmt-ignore
export const RECORD_BYTES: LimitRow = {
  unit: "bytes", initial: 64 * MIB, least: 64 * KIB, most: 1024 * 1024 * MIB,
  help: "size of FILE after which it becomes FILE.1, and another one begins",
};

/** The number of older files of the recording: `--record-files`. */
// deno-fmt-ignore
export const RECORD_FILES: LimitRow = {
  unit: "files", initial: 4, least: 1, most: 1000,
  help: "number of older files, of which FILE.1 is the newest",
};

/**
 * Reads the value of a limit.
 *
 * @param row the limit
 * @param text a number; for bytes also 64K, 1M or 1G
 * @returns `undefined` when it is malformed or out of range
 */
export function readLimit(row: LimitRow, text: string): number | undefined {
  if (row.off && (text === "off" || text === "0")) return 0;
  const isWhole = ["clients", "VMs", "events", "files"].includes(row.unit);
  const value = row.unit === "bytes" ? bytesOf(text) : numberOf(text, isWhole);
  return value >= row.least && value <= row.most ? value : undefined;
}

/** Describes the allowed values of a limit, for messages. */
export function limitRange({ unit, least, most, off }: LimitRow): string {
  const range = `${unit} from ${least} to ${most}`;
  if (unit === "bytes") return `${range}, as 65536 or 64K`;
  return off ? `${range}, or off` : range;
}

/** Returns the default limits of a listener with this role. */
export function defaultLimits(role: string): Limits {
  const initial = (row: LimitRow): number => row.forRole?.[role] ?? row.initial;
  return limitsBy((name) => initial(LIMITS[name]));
}

/**
 * Reads the limits of a listener.
 *
 * @param given returns the text for a limit, if the user has given one
 * @param role the name of the listener's role
 * @throws UsageError when a limit is invalid
 */
export function readLimits(given: (name: LimitName) => string | undefined, role: string): Limits {
  const initial = defaultLimits(role);
  const limits = limitsBy((name) => {
    const text = given(name);
    if (text === undefined) return initial[name];
    const value = readLimit(LIMITS[name], text);
    if (value !== undefined) return value;
    throw invalidValue(text, name, limitRange(LIMITS[name]));
  });
  if (limits["slow-unread"] <= limits["max-unread"]) return limits;
  throw new UsageError(
    `slow-unread=${limits["slow-unread"]} exceeds ` +
      `max-unread=${limits["max-unread"]}; lower slow-unread or raise max-unread`,
    given("slow-unread") === undefined ? "max-unread" : "slow-unread",
  );
}

function limitsBy(value: (name: LimitName) => number): Limits {
  return Object.fromEntries(LIMIT_NAMES.map((name) => [name, value(name)])) as Limits;
}

const FACTORS: Readonly<Record<string, number>> = { "": 1, K: KIB, M: MIB, G: 1024 * MIB };

function bytesOf(text: string): number {
  const [, digits, letter] = /^(\d{1,15})([KMG]?)$/.exec(text) ?? [];
  return digits === undefined ? NaN : Number(digits) * FACTORS[letter!]!;
}

function numberOf(text: string, whole: boolean): number {
  return (whole ? /^\d+$/ : /^\d+(\.\d+)?$/).test(text) ? Number(text) : NaN;
}
