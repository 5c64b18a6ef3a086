/**
 * The settings of `qmpmux serve`, as one table.
 *
 * The keys of the configuration file, the flags, `--print-config`, the help, the
 * manual page and the completions are all derived from it: a new setting needs
 * a row here and the code that uses its value.
 *
 * @module
 */

import { type Address, addressText } from "../policy/address.ts";
import { CLIENTS_IN_ALL, MESSAGE_BYTES, UNREAD_IN_ALL } from "../policy/limits.ts";
import { type ListenerSettings, parseQemu } from "./options.ts";
import { parseAudit, parseControl, parseMetrics, placeText } from "./recording.ts";
import {
  amount,
  DEADLINES,
  HOSTS,
  optional,
  SECONDS,
  SWITCH,
  text,
  type ValueKind,
  word,
} from "./value_kinds.ts";

/** One setting; `T` is its value. */
export interface Setting<T> extends ValueKind<T> {
  /** The value that applies when neither a flag nor the file gives one. */
  readonly initial: T;
  /** The default as the help shows it; defaults to `initial`. */
  readonly shownInitial?: string;
  /** Whether a new value needs a restart; a reload adopts every other setting. */
  readonly restart?: true;
  /** The setting without which this one has no effect. */
  readonly needs?: "audit" | "metrics";
  /** Whether only the file can set it, because it has no flag. */
  readonly fileOnly?: true;
  /** A phrase that describes it, for the help and the manual. */
  readonly help: string;
}

const VM_NAME_EXPECTED = "1 to 64 letters, digits, _, . or -, and not . or ..";

/** Reads a VM's name, which must be safe as a component of a path and as a label. */
function parseVmName(name: string): string | undefined {
  return /^(?!\.{1,2}$)[A-Za-z0-9_.-]{1,64}$/.test(name) ? name : undefined;
}

const AUDIT_PLACE = {
  value: "FILE|journal",
  words: ["journal"],
  kind: "file",
  expected: "a path or journal",
} as const;

/** The settings, in the order in which they are documented. */
// deno-fmt-ignore
export const SETTINGS = {
  "qemu": { ...optional(text(parseQemu, addressText, { value: "ADDR", kind: "address" })),
    restart: true, help: "QEMU's monitor: the socket given to QEMU with -qmp" },
  "vm": { ...text(parseVmName, (name) => name, { value: "NAME", expected: VM_NAME_EXPECTED }),
    initial: "default", restart: true,
    help: "the VM's name, in the status and in __org.qmpmux_query-self" },
  "control": { ...optional(text(parseControl, placeText, { value: "PATH[,...]", kind: "address" })),
    restart: true, help: "socket for administration, which works without QEMU too" },
  "once": { ...SWITCH, initial: false,
    help: "exit with status 0 when QEMU disconnects, instead of waiting for the next" },
  "ready": { ...word("listening", "qemu"), initial: "listening",
    help: "when to send READY=1 to systemd: at once, or when QEMU is ready" },
  "greeting-timeout": { ...SECONDS, initial: 10, help: "timeout in seconds for QEMU's greeting" },
  "handshake-timeout": { ...SECONDS, initial: 60,
    help: "timeout in seconds for a client that waits for QEMU's greeting" },
  "drain-timeout": { ...SECONDS, initial: 5,
    help: "seconds that pending commands have to finish at exit" },
  "stall-timeout": { ...SECONDS, initial: 10,
    help: "seconds without a reply until QEMU counts as stalled" },
  "on-loss": { ...word("close", "hold"), initial: "close",
    help: "when QEMU disconnects, close its clients, or keep them for the next QEMU" },
  "watchdog": { ...word("loop", "qemu"), initial: "loop",
    help: "what the systemd watchdog covers: qmpmux only, or a stalled QEMU too" },
  "max-clients": amount(CLIENTS_IN_ALL),
  "max-unread": amount(UNREAD_IN_ALL),
  "max-message": amount(MESSAGE_BYTES),
  "log-format": { ...optional(word("text", "json", "journal")),
    shownInitial: "text; journal where systemd reads it", restart: true,
    help: "format of the log on stderr" },
  "metrics": { ...optional(text(parseMetrics, placeText, { value: "ADDR[,...]", kind: "address" })),
    help: "address of the metrics for Prometheus: a socket, or a port of 127.0.0.1" },
  "metrics-host": { ...optional(HOSTS), needs: "metrics", restart: true,
    help: "host names besides localhost that metrics requests on a port may use" },
  "audit": { ...optional(text(parseAudit, (to) => to, AUDIT_PLACE)),
    help: "file for a record of each command that changes something" },
  "audit-failure": { ...word("refuse", "continue"), initial: "continue", needs: "audit",
    help: "what to do with such commands while no record can be written" },
  "audit-all": { ...SWITCH, initial: false, needs: "audit", help: "also audit read-only commands" },
  "deadline": { ...DEADLINES, initial: [], fileOnly: true,
    help: "timeouts in seconds by command glob; the first match counts" },
} as const satisfies Readonly<Record<string, Setting<unknown>>>;

/** The name of a setting: its key in the file, and its flag. */
export type SettingName = keyof typeof SETTINGS;

/** The names of the settings, in the order in which they are documented. */
export const SETTING_NAMES: readonly SettingName[] = Object.keys(SETTINGS) as SettingName[];

/** The value of each setting. */
export type SettingValues = {
  readonly [Name in SettingName]: Parameters<(typeof SETTINGS)[Name]["print"]>[0];
};

/** Returns the value of each setting when neither a flag nor a file gives one. */
export function defaults(): SettingValues {
  const entries = SETTING_NAMES.map((name): [string, unknown] => [name, SETTINGS[name].initial]);
  return Object.fromEntries(entries) as SettingValues;
}

/** The treatment of clients when QEMU disconnects. */
export type OnLoss = "close" | "hold";

/** The settings of `qmpmux serve`, all read and checked. */
export interface ServeSettings extends SettingValues {
  /** QEMU's monitor. */
  readonly qemu: Address;
  /** The listeners; at least one. */
  readonly listeners: readonly ListenerSettings[];
}

/** Returns the names of the settings that differ between two sets and need a restart. */
export function changedForRestart(before: ServeSettings, after: ServeSettings): SettingName[] {
  return SETTING_NAMES.filter((name) =>
    "restart" in SETTINGS[name] && printed(before, name) !== printed(after, name)
  );
}

/** Returns a setting's value as TOML; `undefined` if it has none. */
export function printed<Name extends SettingName>(
  values: SettingValues,
  name: Name,
): string | undefined {
  const { print } = SETTINGS[name] as ValueKind<unknown>;
  return print(values[name]);
}
