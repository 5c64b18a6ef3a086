/**
 * `--listen ADDR,option=value…` and `--qemu ADDR`, read into checked values.
 *
 * @module
 */

import {
  type Address,
  addressText,
  isLocal,
  parseAddress,
  parsePlace,
  type Place,
  UsageError,
} from "./address.ts";
import { EventFilter } from "./event_filter.ts";
import { LIMIT_NAMES, type LimitName, readLimits } from "./limits.ts";
import type { Role } from "./policy.ts";
import { FULL, ROLES } from "./roles.ts";
import type { DialectName, Terms } from "./terms.ts";

/** A listener: where, for whom, on what terms. */
export interface ListenerSettings {
  /** Where it listens. */
  readonly address: Place;
  /** May other machines reach it? */
  readonly remote: boolean;
  /** What it grants. */
  readonly terms: Terms;
  /** Of the socket file. */
  readonly mode: number;
  /** The owner of the socket file, by name or number. */
  readonly user: string | undefined;
  /** The group of the socket file, by name or number. */
  readonly group: string | undefined;
}

/** What becomes of the clients when QEMU goes. */
export type OnLoss = "close" | "hold";

/** What keeps the service manager's watchdog quiet: qmpmux's own loop, or QEMU's answers as well. */
export type WatchdogOf = "loop" | "qemu";

/** How long some commands may take. */
export interface Deadline {
  /** A glob of their names. */
  readonly glob: string;
  /** Seconds from when qmpmux has read it. */
  readonly seconds: number;
}

/** All listeners listen; or QEMU has been there as well. */
export type ReadyWhen = "listening" | "qemu";

/** The form of the log: lines of text, JSON, or lines with the journal's priorities. */
export type LogFormat = "text" | "json" | "journal";

/** What becomes of commands that change something while the audit cannot be written. */
export type AuditFailure = "refuse" | "continue";

/** Where records of commands go. */
export interface AuditSettings {
  /** A path, or `journal`. */
  readonly to: string;
  /** What becomes of commands that cannot be put on record. */
  readonly failure: AuditFailure;
  /** Is what only reads put on record too? */
  readonly all: boolean;
}

/** What `qmpmux serve` is told; times in seconds. */
export interface ServeSettings {
  /** QEMU's monitor. */
  readonly qemu: Address;
  /** Where clients connect; at least one. */
  readonly listeners: readonly ListenerSettings[];
  /** When the service manager is told that the daemon is ready. */
  readonly readyWhen: ReadyWhen;
  /** End with QEMU, instead of waiting for the next one. */
  readonly once: boolean;
  /** How long QEMU may take for its greeting. */
  readonly greetingTime: number;
  /** How long a client may wait for QEMU's greeting. */
  readonly handshakeTime: number;
  /** How long commands under way may take to finish at the end. */
  readonly drainTime: number;
  /** What becomes of the clients when QEMU goes. */
  readonly onLoss: OnLoss;
  /** How long QEMU may be silent, though asked, before it counts as stalled. */
  readonly stallTime: number;
  /** What keeps the service manager's watchdog quiet. */
  readonly watchdogOf: WatchdogOf;
  /** How long commands may take. */
  readonly deadlines: readonly Deadline[];
  /** How many clients there may be in all. */
  readonly maxClients: number;
  /** Where metrics can be fetched, if anywhere. */
  readonly metrics?: ListenerSettings | undefined;
  /** Where records of commands go, if anywhere. */
  readonly audit?: AuditSettings | undefined;
  /** The form of the log, where one is chosen. */
  readonly logFormat?: LogFormat | undefined;
}

const OPTIONS = [
  "name",
  "role",
  "dialect",
  "events",
  "mode",
  "user",
  "group",
  "allow-remote",
  "cache",
  "join",
] as const;
type Option = typeof OPTIONS[number] | LimitName;
const KNOWN: readonly string[] = [...OPTIONS, ...LIMIT_NAMES];

/** QEMU's own spelling of a listening socket; as qmpmux behaves anyway. */
const QEMU_SPELLING: ReadonlyMap<string, string> = new Map([["server", "on"], ["wait", "off"]]);

/**
 * Reads the address of QEMU.
 *
 * @param text an address; QEMU's `,server=on,wait=off` behind it is taken too
 * @throws UsageError
 */
export function parseQemu(text: string): Address {
  const [address, options] = split(text);
  for (const [key, value] of options) {
    if (!QEMU_SPELLING.has(key)) throw unknownOption(`--qemu ${text}`, key, ["server", "wait"]);
    switchOf(key, value, `--qemu ${text}`);
  }
  return parseAddress(address);
}

/**
 * Reads one listener of a command line.
 *
 * @param text an address and its options
 * @param roles the roles there are, by name
 * @throws UsageError
 */
export function parseListener(
  text: string,
  roles: ReadonlyMap<string, Role> = ROLES,
): ListenerSettings {
  return readListener(...split(text), `--listen ${text}`, roles);
}

/**
 * Reads one listener.
 *
 * @param addressPart its address
 * @param pairs its options, each with its value as text
 * @param where what the messages begin with
 * @param roles the roles there are, by name
 * @throws UsageError
 */
export function readListener(
  addressPart: string,
  pairs: readonly (readonly [string, string])[],
  where: string,
  roles: ReadonlyMap<string, Role>,
): ListenerSettings {
  const address = parsePlace(addressPart);
  const options = new Map<Option, string>();
  for (const [key, value] of pairs) {
    if (QEMU_SPELLING.has(key)) {
      if (QEMU_SPELLING.get(key) !== value) {
        throw new UsageError(`${where}: ${key}=${value} is not possible; leave it out`, key);
      }
      continue;
    }
    if (!isOption(key)) throw unknownOption(where, key, KNOWN);
    if (options.has(key)) {
      throw new UsageError(`${where}: ${key}= is given twice; give it once`, key);
    }
    options.set(key, value);
  }
  const remote = switchOf("allow-remote", options.get("allow-remote") ?? "off", where);
  if (!isLocal(address) && !remote) {
    throw new UsageError(
      `${where}: other machines could control the VM through this address; ` +
        "listen on a unix socket or on 127.0.0.1, or add allow-remote=on",
    );
  }
  for (const key of ["mode", "user", "group"] as const) {
    const isFile = address.transport === "unix" && !address.path.startsWith("\0");
    if (options.has(key) && !isFile) {
      throw new UsageError(`${where}: ${key}= belongs to a socket file; leave it out`, key);
    }
  }
  for (const key of ["user", "group"] as const) {
    if (options.get(key) === "") {
      throw new UsageError(
        `${where}: ${key}= is empty; write a name or a number, or leave it out`,
        key,
      );
    }
  }
  const role = roleOf(options.get("role"), where, roles);
  return {
    address,
    remote,
    terms: {
      name: nameOf(options.get("name"), address, where),
      role,
      dialect: dialectOf(options.get("dialect"), where),
      events: filterOf(options.get("events"), where),
      caches: switchOf("cache", options.get("cache") ?? "on", where),
      joins: switchOf("join", options.get("join") ?? "on", where),
      limits: readLimits((name) => options.get(name), role.name, where),
    },
    mode: modeOf(options.get("mode"), where),
    user: options.get("user"),
    group: options.get("group"),
  };
}

function split(text: string): [string, [string, string][]] {
  const [address = "", ...options] = text.split(",");
  return [
    address,
    options.map((option) => {
      const [key, ...value] = option.split("=");
      if (value.length === 0) {
        throw new UsageError(`${text}: "${option}" is no option; write option=value`);
      }
      return [key!, value.join("=")];
    }),
  ];
}

function isOption(key: string): key is Option {
  return KNOWN.includes(key);
}

function unknownOption(where: string, key: string, known: readonly string[]): UsageError {
  return new UsageError(
    `${where}: there is no option "${key}"; there are ${known.join(", ")}`,
    key,
  );
}

function onOff(where: string, key: string, value: string): UsageError {
  return new UsageError(
    `${where}: ${key}=${value} is not possible; write ${key}=on or ${key}=off`,
    key,
  );
}

function switchOf(key: string, value: string, where: string): boolean {
  if (value !== "on" && value !== "off") throw onOff(where, key, value);
  return value === "on";
}

function nameOf(name: string | undefined, address: Place, where: string): string {
  if (name === undefined) {
    const base = addressText(address).split(/[/]/).pop()!;
    return base.replace(/^(unix|unix-abstract|tcp|fd):/, "").replace(/\.(sock|socket)$/, "");
  }
  if (/^[A-Za-z0-9._:[\]-]{1,64}$/.test(name)) return name;
  throw new UsageError(
    `${where}: name=${name} is not possible; a name has 1 to 64 letters, digits, ".", "_", ":" or "-"`,
    "name",
  );
}

function roleOf(
  name: string | undefined,
  where: string,
  roles: ReadonlyMap<string, Role>,
): Role {
  if (name === undefined) return FULL;
  const role = roles.get(name);
  if (role) return role;
  const known = [...roles.keys()].join(", ");
  throw new UsageError(`${where}: there is no role "${name}"; there are ${known}`, "role");
}

function dialectOf(dialect: string | undefined, where: string): DialectName {
  if (dialect === undefined || dialect === "qmp") return "qmp";
  if (dialect === "rfc2010") return dialect;
  throw new UsageError(
    `${where}: there is no dialect "${dialect}"; there are qmp, rfc2010`,
    "dialect",
  );
}

function filterOf(events: string | undefined, where: string): EventFilter | undefined {
  if (events === undefined) return undefined;
  const globs = events === "" ? [] : events.split("+");
  const wrong = globs.find((glob) => !/^[A-Za-z0-9_.*?-]+$/.test(glob));
  if (wrong !== undefined) {
    throw new UsageError(
      `${where}: "${wrong}" is no event; write names of events with * and ?, joined by +`,
      "events",
    );
  }
  try {
    return new EventFilter(globs);
  } catch (error) {
    if (error instanceof RangeError) throw new UsageError(`${where}: ${error.message}`, "events");
    throw error;
  }
}

function modeOf(mode: string | undefined, where: string): number {
  if (mode === undefined) return 0o600;
  if (/^0?[0-7]{3}$/.test(mode)) return parseInt(mode, 8);
  throw new UsageError(
    `${where}: mode=${mode} is not possible; write three octal digits, as 0660`,
    "mode",
  );
}
