/**
 * `--listen ADDR,option=value…` and `--qemu ADDR`, read into checked values.
 *
 * @module
 */

import {
  type Address,
  addressText,
  isFile,
  isLocal,
  type ListenAddress,
  parseAddress,
  parseListenAddress,
} from "../policy/address.ts";
import { invalidValue, naming, UsageError } from "../policy/usage_error.ts";
import {
  type AccessRules,
  type DialectName,
  EVERYBODY,
  type Grant,
  type Principal,
  readPrincipal,
} from "../policy/admission.ts";
import { EventFilter, misspelt } from "../policy/event_filter.ts";
import { LIMIT_NAMES, type LimitName, readLimits } from "../policy/limits.ts";
import type { Role } from "../policy/policy.ts";
import { FULL, ROLES } from "../policy/roles.ts";
import { instead } from "../policy/suggestion.ts";
import {
  checkTemplate,
  filled,
  filledText,
  isTemplate,
  SocketPattern,
  VM_PLACEHOLDER,
} from "../policy/vm_template.ts";

/** One option of a listener: its placeholder and help, for `--help` and the manual. */
export interface OptionRow {
  /** The placeholder for its value. */
  readonly value: string;
  /** The possible values if they are few. */
  readonly words?: readonly string[];
  /** The default. */
  readonly initial?: string;
  /** The help. */
  readonly help: string;
}

const ON_OFF = { value: "on|off", words: ["on", "off"] } as const;

/** The options of a listener, by name; its limits are in a table of their own. */
// deno-fmt-ignore
export const OPTIONS = {
  "name": { value: "NAME", initial: "from its address", help: "its name in the log" },
  "role": { value: "NAME", words: [...ROLES.keys()], initial: FULL.name,
    help: "role of its clients: full, observer, operator, admin, or one defined in the file" },
  "dialect": { value: "qmp|rfc2010", words: ["qmp", "rfc2010"], initial: "qmp",
    help: "today's QMP, or the negotiation proposed in 2010" },
  "absent": { value: "wait|refuse", words: ["wait", "refuse"], initial: "wait",
    help: "while QEMU is away, clients wait or cannot connect" },
  "events": { value: "GLOB+GLOB...", initial: "all", help: "events that its clients receive" },
  "mode": { value: "MODE", initial: "0600", help: "mode of the socket file" },
  "user": { value: "NAME", help: "owner of the socket file" },
  "group": { value: "NAME", help: "group of the socket file" },
  "directory-mode": { value: "MODE", initial: "0755 with many VMs, else none is made",
    help: "mode of missing directories of the socket file, which qmpmux then makes" },
  "identity": { ...ON_OFF, initial: "off",
    help: "record the process, user and group of each client" },
  "log-clients": { ...ON_OFF, initial: "off", help: "log each client that connects or disconnects" },
  "allow": { value: "WHO+WHO...",
    help: "users and @groups that may connect; implies identity=on" },
  "role-for": { value: "WHO:ROLE+...",
    help: "roles for users and @groups; implies identity=on; without role= only they may connect" },
  "fds": { ...ON_OFF, initial: "off",
    help: "accept file descriptors for getfd and add-fd; implies identity=on" },
  "allow-remote": { ...ON_OFF, initial: "off",
    help: "allow an address that other machines can reach" },
  "cache": { ...ON_OFF, initial: "on",
    help: "off: ask QEMU again for replies that cannot change" },
  "join": { ...ON_OFF, initial: "on",
    help: "off: never share one reply among clients with the same query" },
} as const satisfies Readonly<Record<string, OptionRow>>;

/** The names of the options, in the order in which they are documented. */
export const OPTION_NAMES: readonly OptionName[] = Object.keys(OPTIONS) as OptionName[];
/** The name of an option. */
export type OptionName = keyof typeof OPTIONS;
type Option = OptionName | LimitName;
/** The options of a listener, and its limits. */
export const KNOWN_OPTIONS: readonly string[] = [...OPTION_NAMES, ...LIMIT_NAMES];

/** QEMU's options of a listening socket, accepted because they describe what qmpmux always does. */
const QEMU_SPELLING: ReadonlyMap<string, string> = new Map([["server", "on"], ["wait", "off"]]);

/**
 * Reads the address of QEMU.
 *
 * @param text an address; QEMU's `,server=on,wait=off` after it is accepted
 * @throws UsageError
 */
export function parseQemu(text: string): Address {
  const [address, pairs] = splitOptions(text);
  naming(`--qemu ${text}`, () => {
    for (const [key, value] of pairs) {
      if (!QEMU_SPELLING.has(key)) throw unknownOption(key, ["server", "wait"]);
      if (value !== "on" && value !== "off") throw invalidValue(value, key, "on or off");
    }
  });
  const place = parseAddress(address);
  if (!isTemplate(place) || place.transport !== "unix") return place;
  checkTemplate(place);
  // The constructor throws if the path cannot be a pattern.
  new SocketPattern(place.path);
  return place;
}

/**
 * Reads one listener of a command line.
 *
 * @param text an address and its options
 * @param roles the roles by name
 * @throws UsageError
 */
export function parseListener(
  text: string,
  roles: ReadonlyMap<string, Role> = ROLES,
): ListenerSettings {
  const [address, pairs] = splitOptions(text);
  const place = parseListenAddress(address);
  return naming(`--listen ${text}`, () => readListener(place, pairs, roles));
}

/**
 * Reads one listener.
 *
 * @param address its address
 * @param pairs its options, each with its value as text
 * @param roles the roles by name
 * @throws UsageError
 */
export function readListener(
  address: ListenAddress,
  pairs: readonly (readonly [string, string])[],
  roles: ReadonlyMap<string, Role>,
): ListenerSettings {
  const options = optionsOf(pairs);
  const remote = isOn(options, "allow-remote");
  if (!isLocal(address) && !remote) {
    throw new UsageError(
      "other machines could control the VM through this address; " +
        "listen on a unix socket or on 127.0.0.1, or add allow-remote=on",
    );
  }
  checkTemplate(address);
  checkFileOptions(options, address);
  const grantOf = grants(options, address);
  const grant = grantOf(roleOf(options.get("role") ?? FULL.name, "role", roles));
  const special = (options.get("role-for")?.split("+") ?? []).map((text) => {
    const [who, role] = readRule(text);
    return { who, grant: grantOf(roleOf(role, "role-for", roles)) };
  });
  const allow = options.get("allow")?.split("+").map((text) => readPrincipal(text, "allow"));
  const identity = isOn(options, "identity") || grant.passes === true ||
    allow !== undefined || special.length > 0 || grant.limits["user-rate"] > 0;
  if (identity && address.transport === "tcp") {
    const key = (["allow", "role-for", "fds", "user-rate"] as const).find((each) =>
      options.has(each) && options.get(each) !== "off"
    ) ?? "identity";
    throw new UsageError(
      `${key}= needs a unix socket, which identifies its clients; leave it out`,
      key,
    );
  }
  const others = allow === undefined && (special.length === 0 || options.has("role"));
  return {
    address,
    remote,
    grant,
    admission: identity ? { allow, special, others } : EVERYBODY,
    identity,
    descriptors: grant.passes === true,
    logsClients: isOn(options, "log-clients"),
    absent: absentOf(options, address),
    mode: modeOf(options.get("mode") ?? OPTIONS.mode.initial, "mode"),
    user: options.get("user"),
    group: options.get("group"),
    directoryMode: directoryModeOf(options, address),
  };
}

/**
 * Returns the listener of one VM: with its name for each `{vm}`.
 *
 * @throws UsageError if its path is longer than that of a socket can be
 */
export function listenerFor(vm: string, listener: ListenerSettings): ListenerSettings {
  const { address, grant, admission } = listener;
  if (!isTemplate(address)) return listener;
  const named = (grant: Grant): Grant => {
    return { ...grant, name: filledText(grant.name, vm).slice(0, NAME_LENGTH_LIMIT) };
  };
  const special = admission.special.map(({ who, grant }) => ({ who, grant: named(grant) }));
  return {
    ...listener,
    address: filled(address, vm),
    grant: named(grant),
    admission: special.length === 0 ? admission : { ...admission, special },
  };
}

type Given = ReadonlyMap<Option, string>;

function optionsOf(pairs: readonly (readonly [string, string])[]): Given {
  const options = new Map<Option, string>();
  for (const [key, value] of pairs) {
    if (QEMU_SPELLING.get(key) === value) continue;
    if (QEMU_SPELLING.has(key)) {
      throw new UsageError(`${key}=${value} is not supported; leave it out`, key);
    }
    if (!isOption(key)) throw unknownOption(key, KNOWN_OPTIONS);
    if (options.has(key)) throw new UsageError(`${key}= is given twice; remove one`, key);
    options.set(key, value);
  }
  return options;
}

function checkFileOptions(options: Given, address: ListenAddress): void {
  for (const key of ["mode", "user", "group", "directory-mode"] as const) {
    const value = options.get(key);
    if (value === undefined) continue;
    if (!isFile(address)) {
      throw new UsageError(`${key}= is for socket files only; leave it out`, key);
    }
    if (value === "" && !key.endsWith("mode")) throw invalidValue(value, key, "a name or a number");
  }
}

/** Returns a function that makes the grant of a role. */
function grants(options: Given, address: ListenAddress): (role: Role) => Grant {
  const name = nameOf(options.get("name"), address);
  const dialect = wordOf(options, "dialect") as DialectName;
  const events = filterOf(options.get("events"));
  const [caches, joins] = [isOn(options, "cache"), isOn(options, "join")];
  const passes = isOn(options, "fds");
  return (role) => {
    const limits = readLimits((name) => options.get(name), role.name);
    const grant = { name, role, dialect, events, caches, joins, limits };
    return passes ? { ...grant, passes } : grant;
  };
}

/**
 * Splits an address from its options.
 *
 * @throws UsageError if an option has no value
 */
export function splitOptions(text: string): [address: string, options: [string, string][]] {
  if (!text.isWellFormed()) throw new UsageError(`invalid address "${text}": expected Unicode`);
  const [address = "", ...options] = text.split(",");
  const pairs = options.map((option): [string, string] => {
    const [key = "", ...value] = option.split("=");
    if (value.length > 0) return [key, value.join("=")];
    throw new UsageError(`${text}: "${option}" has no value; write option=value`);
  });
  return [address, pairs];
}

function isOption(key: string): key is Option {
  return KNOWN_OPTIONS.includes(key);
}

/** Returns the error for an option that an address does not have. */
export function unknownOption(key: string, known: readonly string[]): UsageError {
  return new UsageError(`unknown option "${key}"${instead(key, known)}`, key);
}

/** Returns the value of an option with a fixed set of values, or its default. */
function wordOf(options: Given, key: OptionName): string {
  const { words = [], initial = "" }: OptionRow = OPTIONS[key];
  const value = options.get(key) ?? initial;
  if (words.includes(value)) return value;
  throw invalidValue(value, key, words.join(" or "));
}

function isOn(options: Given, key: OptionName): boolean {
  return wordOf(options, key) === "on";
}

/** The most characters of a listener's name. */
const NAME_LENGTH_LIMIT = 64;

function nameOf(name: string | undefined, address: ListenAddress): string {
  if (name === undefined) {
    const base = addressText(address).split(/[/]/).pop()!
      .replace(/^(unix|unix-abstract|tcp|fd):/, "").replace(/\.(sock|socket)$/, "");
    // A path may contain any character.
    const safe = base.split(VM_PLACEHOLDER)
      .map((part) => part.replace(/[^A-Za-z0-9._:[\]-]/gu, "_")).join(VM_PLACEHOLDER);
    // A {vm} that is cut is left out.
    return safe.slice(0, NAME_LENGTH_LIMIT).replace(/\{(vm?)?$/, "") || "listener";
  }
  if (/^(?:[A-Za-z0-9._:[\]-]|\{vm\}){1,64}$/.test(name)) {
    if (isTemplate(address) || !name.includes(VM_PLACEHOLDER)) return name;
    throw new UsageError(`name=${name} has {vm} and the address has not; leave {vm} out`, "name");
  }
  throw invalidValue(name, "name", '1 to 64 letters, digits, ".", "_", ":" or "-"');
}

/** Reads `WHO:ROLE`. */
function readRule(text: string): [Principal, string] {
  const [who, role, ...rest] = text.split(":");
  if (role === undefined || role === "" || rest.length > 0) {
    const expected = "WHO:ROLE, such as alice:operator or @kvm:observer";
    throw invalidValue(text, "role-for", expected);
  }
  return [readPrincipal(who!, "role-for"), role];
}

function roleOf(name: string, option: Option, roles: ReadonlyMap<string, Role>): Role {
  const role = roles.get(name);
  if (role) return role;
  throw new UsageError(`unknown role "${name}"${instead(name, [...roles.keys()])}`, option);
}

function absentOf(options: Given, { transport }: ListenAddress): "wait" | "refuse" {
  const absent = wordOf(options, "absent") as "wait" | "refuse";
  if (absent === "wait" || transport !== "fd") return absent;
  throw new UsageError(
    "absent=refuse closes the listening socket, and qmpmux cannot reopen one that was passed to it; " +
      "let qmpmux listen itself (unix:/path)",
    "absent",
  );
}

function filterOf(events: string | undefined): EventFilter | undefined {
  if (events === undefined) return undefined;
  const globs = events === "" ? [] : events.split("+");
  for (const glob of globs) {
    if (!/^[A-Za-z0-9_.*?-]+$/.test(glob)) {
      throw invalidValue(glob, "events", "names of events with * and ?, joined by +");
    }
    const problem = misspelt(glob);
    if (problem !== undefined) throw new UsageError(problem, "events");
  }
  try {
    return new EventFilter(globs);
  } catch (error) {
    if (error instanceof RangeError) throw new UsageError(error.message, "events");
    throw error;
  }
}

/** The mode of the directories that are made for the listeners of many VMs. */
export const DIRECTORY_MODE = 0o755;

function directoryModeOf(options: Given, address: ListenAddress): number | undefined {
  const mode = options.get("directory-mode");
  if (mode !== undefined) return modeOf(mode, "directory-mode");
  return isFile(address) && isTemplate(address) ? DIRECTORY_MODE : undefined;
}

function modeOf(mode: string, option: OptionName): number {
  if (/^0?[0-7]{3}$/.test(mode)) return parseInt(mode, 8);
  const example = option === "mode" ? "0660" : "0755";
  throw invalidValue(mode, option, `three octal digits, such as ${example}`);
}

/** A listener's settings, read and checked. */
export interface ListenerSettings {
  /** The address it listens on. */
  readonly address: ListenAddress;
  /** Whether other machines may reach it. */
  readonly remote: boolean;
  /** The terms it grants its clients by default. */
  readonly grant: Grant;
  /** The clients it admits, and the grants of clients with a role of their own. */
  readonly admission: AccessRules;
  /** Whether the process behind each client must be known. */
  readonly identity: boolean;
  /** Whether its clients may pass descriptors. */
  readonly descriptors: boolean;
  /** Whether connects and disconnects of its clients are logged. */
  readonly logsClients: boolean;
  /** The behaviour while QEMU is away: clients can connect and wait, or the socket is closed. */
  readonly absent: "wait" | "refuse";
  /** The mode of the socket file. */
  readonly mode: number;
  /** The owner of the socket file, by name or number. */
  readonly user: string | undefined;
  /** The group of the socket file, by name or number. */
  readonly group: string | undefined;
  /** The mode of missing directories of the socket file; `undefined` if none are made. */
  readonly directoryMode: number | undefined;
}
