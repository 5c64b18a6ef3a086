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
import {
  CLIENTS_IN_ALL,
  EVENT_LOG_BYTES,
  EVENT_LOG_EVENTS,
  MESSAGE_BYTES,
  RECORD_BYTES,
  RECORD_FILES,
  UNREAD_IN_ALL,
  VMS_IN_ALL,
} from "../policy/limits.ts";
import { isTemplate, isVmName, VM_NAME_EXPECTED } from "../policy/vm_template.ts";
import type { Role } from "../policy/policy.ts";
import { type ListenerSettings, parseQemu } from "./options.ts";
import { parseAudit, parseControl, parseMetrics, parseRecord, placeText } from "./recording.ts";
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
  readonly needs?: "audit" | "metrics" | "record";
  /** Whether only the file can set it, because it has no flag. */
  readonly fileOnly?: true;
  /** Whether each VM can have its own value. */
  readonly perVm?: true;
  /** A phrase that describes it, for the help and the manual. */
  readonly help: string;
}

/** The name of a VM. */
const VM_NAME: ValueKind<string> = text(
  (name) => isVmName(name) ? name : undefined,
  (name) => name,
  { value: "NAME", expected: VM_NAME_EXPECTED },
);

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
    help: "QEMU's monitor: the socket given to QEMU with -qmp" },
  "vm": { ...optional(VM_NAME), shownInitial: "default", restart: true,
    help: "the VM's name, in the status and in __org.qmpmux_query-self" },
  "control": { ...optional(text(parseControl, placeText, { value: "PATH[,...]", kind: "address" })),
    help: "socket for administration, which works without QEMU too" },
  "once": { ...SWITCH, initial: false,
    help: "exit with status 0 when QEMU disconnects, instead of waiting for the next" },
  "ready": { ...word("listening", "qemu"), initial: "listening",
    help: "when to send READY=1 to systemd: at once, or when QEMU, or that of every VM, has been ready" },
  "greeting-timeout": { ...SECONDS, initial: 10, perVm: true, help: "timeout in seconds for QEMU's greeting" },
  "handshake-timeout": { ...SECONDS, initial: 60, perVm: true,
    help: "timeout in seconds for a client that waits for QEMU's greeting" },
  "drain-timeout": { ...SECONDS, initial: 5,
    help: "seconds that pending commands have to finish at exit" },
  "stall-timeout": { ...SECONDS, initial: 10, perVm: true,
    help: "seconds without a reply until QEMU counts as stalled" },
  "on-loss": { ...word("close", "hold"), initial: "close", perVm: true,
    help: "when QEMU disconnects, close its clients, or keep them for the next QEMU" },
  "fd-store": { ...SWITCH, initial: false, restart: true,
    help: "keep the listening sockets in systemd's descriptor store, open across a restart" },
  "watchdog": { ...word("loop", "qemu"), initial: "loop",
    help: "what the systemd watchdog covers: qmpmux only, or a stalled QEMU too" },
  "max-clients": amount(CLIENTS_IN_ALL),
  "max-unread": amount(UNREAD_IN_ALL),
  "max-vms": amount(VMS_IN_ALL),
  "max-message": { ...amount(MESSAGE_BYTES), perVm: true },
  "event-log-bytes": { ...amount(EVENT_LOG_BYTES), perVm: true },
  "event-log-events": { ...amount(EVENT_LOG_EVENTS), perVm: true },
  "log-format": { ...optional(word("text", "json", "journal")),
    shownInitial: "text; journal where systemd reads it", restart: true,
    help: "format of the log on stderr" },
  "metrics": { ...optional(text(parseMetrics, placeText, { value: "ADDR[,...]", kind: "address" })),
    help: "address of the metrics for Prometheus: a socket, or a port of 127.0.0.1" },
  "metrics-host": { ...optional(HOSTS), needs: "metrics",
    help: "host names besides localhost that metrics requests may use; on a unix socket any, without this" },
  "audit": { ...optional(text(parseAudit, (to) => to, AUDIT_PLACE)),
    help: "file for a record of each command that changes something" },
  "audit-failure": { ...word("refuse", "continue"), initial: "continue", needs: "audit",
    help: "what to do with such commands while no record can be written" },
  "audit-all": { ...SWITCH, initial: false, needs: "audit", help: "also audit read-only commands" },
  "record": { ...optional(text(parseRecord, (path) => path, { value: "FILE", kind: "file", expected: "a path" })),
    help: "file for a recording of all traffic, without secrets" },
  "record-size": { ...amount(RECORD_BYTES), needs: "record" },
  "record-files": { ...amount(RECORD_FILES), needs: "record" },
  "deadline": { ...DEADLINES, initial: [], fileOnly: true, perVm: true,
    help: "timeouts in seconds by command glob; the first match counts" },
} as const satisfies Readonly<Record<string, Setting<unknown>>>;

/** The name of a setting: its key in the file, and its flag. */
export type SettingName = keyof typeof SETTINGS;

/** The names of the settings, in the order in which they are documented. */
export const SETTING_NAMES: readonly SettingName[] = Object.keys(SETTINGS) as SettingName[];

/** The name of a setting that each VM can have its own value of. */
export type VmSettingName = {
  [Name in SettingName]: (typeof SETTINGS)[Name] extends { readonly perVm: true } ? Name : never;
}[SettingName];

/** The names of the settings of a `[[vm]]` table, in the order in which they are documented. */
export const VM_SETTING_NAMES: readonly VmSettingName[] = SETTING_NAMES.filter((name) =>
  "perVm" in SETTINGS[name]
) as VmSettingName[];

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

/** A VM that the file names. */
export interface VmTable {
  /** Its name. */
  readonly name: string;
  /** QEMU's monitor; `undefined` if it is where the `{vm}` of the setting `qemu` says. */
  readonly qemu: Address | undefined;
  /** Its own listeners; if there are none, it has those of all VMs. */
  readonly listeners: readonly ListenerSettings[];
  /** Its own values. */
  readonly values: Partial<VmSettingValues>;
}

/** The value of each setting of a VM. */
export type VmSettingValues = Pick<SettingValues, VmSettingName>;

/** The settings of `qmpmux serve`, all read and checked. */
export interface ServeSettings extends SettingValues {
  /** QEMU's monitor, or with `{vm}` those of many; `undefined` if each VM of the file has its own. */
  readonly qemu: Address | undefined;
  /** The listeners, or with `{vm}` those of each VM. */
  readonly listeners: readonly ListenerSettings[];
  /** The VMs that the file names. */
  readonly vms: readonly VmTable[];
  /** The roles by name: the built-in ones and those of the file. */
  readonly roles: ReadonlyMap<string, Role>;
}

/** The settings that say which VMs there are. */
export type VmPlaces = Partial<Pick<ServeSettings, "qemu">> & Pick<ServeSettings, "vms">;

/** Tells whether the settings are for any number of VMs. */
export function isForMany({ qemu, vms }: VmPlaces): boolean {
  return vms.length > 0 || qemu !== undefined && isTemplate(qemu);
}

/** Returns the names of the settings that differ between two sets and need a restart. */
export function changedForRestart(before: ServeSettings, after: ServeSettings): SettingName[] {
  return SETTING_NAMES.filter((name) => {
    if (name === "qemu") return isForMany(before) !== isForMany(after);
    return "restart" in SETTINGS[name] && printed(before, name) !== printed(after, name);
  });
}

/** Returns a setting's value as TOML; `undefined` if it has none. */
export function printed<Name extends SettingName>(
  values: SettingValues,
  name: Name,
): string | undefined {
  const { print } = SETTINGS[name] as ValueKind<unknown>;
  return print(values[name]);
}
