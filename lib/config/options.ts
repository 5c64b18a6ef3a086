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
  parseAddress,
  parsePlace,
  type Place,
} from "../policy/address.ts";
import { UsageError } from "../policy/usage_error.ts";
import { EVERYBODY, type Principal, readPrincipal } from "../policy/admission.ts";
import { EventFilter } from "../policy/event_filter.ts";
import { misspelt } from "../policy/event_names.ts";
import { LIMIT_NAMES, type LimitName, readLimits } from "../policy/limits.ts";
import type { ListenerSettings } from "./listener_settings.ts";
import type { Role } from "../policy/policy.ts";
import { FULL, ROLES } from "../policy/roles.ts";
import { instead } from "../policy/suggestion.ts";
import type { DialectName, Grant } from "../policy/grant.ts";

/** One option of a listener: what stands for its value, and what it says, for the help and the manual. */
export interface OptionRow {
  /** What stands for its value. */
  readonly value: string;
  /** The values there are, where they are few. */
  readonly words?: readonly string[];
  /** What holds where nothing is said. */
  readonly initial?: string;
  /** What it is. */
  readonly help: string;
}

/** The options of a listener, by name; its limits are in a table of their own. */
export const OPTIONS = {
  "name": { value: "NAME", initial: "from its address", help: "what it is called in the log" },
  "role": {
    value: "NAME",
    words: [...ROLES.keys()],
    initial: FULL.name,
    help: "what its clients may run: full, observer, operator, admin, or a role of the file",
  },
  "dialect": {
    value: "qmp|rfc2010",
    words: ["qmp", "rfc2010"],
    initial: "qmp",
    help: "today's QMP, or the negotiation proposed in 2010",
  },
  "absent": {
    value: "wait|refuse",
    words: ["wait", "refuse"],
    initial: "wait",
    help: "while QEMU is away clients wait for it, or cannot connect",
  },
  "events": { value: "GLOB+GLOB...", initial: "all", help: "the events its clients can see" },
  "mode": { value: "MODE", initial: "0600", help: "of the socket file" },
  "user": { value: "NAME", help: "owner of the socket file" },
  "group": { value: "NAME", help: "group of the socket file" },
  "identity": {
    value: "on|off",
    words: ["on", "off"],
    initial: "off",
    help: "note the process, user and group of each client",
  },
  "allow": {
    value: "WHO+WHO...",
    help: "users, and groups behind an @, that may connect; implies identity=on",
  },
  "role-for": {
    value: "WHO:ROLE+...",
    help: "other roles for users and groups; implies identity=on, and without role= nobody else",
  },
  "fds": {
    value: "on|off",
    words: ["on", "off"],
    initial: "off",
    help: "take descriptors along to QEMU (getfd, add-fd); implies identity=on",
  },
  "allow-remote": {
    value: "on|off",
    words: ["on", "off"],
    initial: "off",
    help: "listen on an address other machines can reach",
  },
  "cache": {
    value: "on|off",
    words: ["on", "off"],
    initial: "on",
    help: "off: ask QEMU even for answers that cannot change",
  },
  "join": {
    value: "on|off",
    words: ["on", "off"],
    initial: "on",
    help: "off: never share the answer to a question others ask too",
  },
} as const satisfies Readonly<Record<string, OptionRow>>;

/** The names of the options, in the order in which they are documented. */
export const OPTION_NAMES: readonly (keyof typeof OPTIONS)[] = Object.keys(
  OPTIONS,
) as (keyof typeof OPTIONS)[];
type Option = keyof typeof OPTIONS | LimitName;
const KNOWN: readonly string[] = [...OPTION_NAMES, ...LIMIT_NAMES];

/** QEMU's own spelling of a listening socket; as qmpmux behaves anyway. */
const QEMU_SPELLING: ReadonlyMap<string, string> = new Map([["server", "on"], ["wait", "off"]]);

/**
 * Reads the address of QEMU.
 *
 * @param text an address; QEMU's `,server=on,wait=off` behind it is taken too
 * @throws UsageError
 */
export function parseQemu(text: string): Address {
  const [address, options] = splitOptions(text);
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
  return readListener(...splitOptions(text), `--listen ${text}`, roles);
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
    if (options.has(key) && !isFile(address)) {
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
  const name = nameOf(options.get("name"), address, where);
  const dialect = dialectOf(options.get("dialect"), where);
  const events = filterOf(options.get("events"), where);
  const caches = switchOf("cache", options.get("cache") ?? "on", where);
  const joins = switchOf("join", options.get("join") ?? "on", where);
  const descriptors = switchOf("fds", options.get("fds") ?? "off", where);
  const termsOf = (role: Role): Grant => {
    const limits = readLimits((name) => options.get(name), role.name, where);
    const grant = { name, role, dialect, events, caches, joins, limits };
    return descriptors ? { ...grant, passes: true } : grant;
  };
  const grant = termsOf(roleOf(options.get("role"), "role", where, roles));
  const special = (options.get("role-for")?.split("+") ?? []).map((text) => {
    const [who, role] = readRule(text, where);
    return { who, grant: termsOf(roleOf(role, "role-for", where, roles)) };
  });
  const allow = options.get("allow")?.split("+").map((text) => readPrincipal(text, "allow", where));
  const identity = switchOf("identity", options.get("identity") ?? "off", where) ||
    descriptors || allow !== undefined || special.length > 0 || grant.limits["user-rate"] > 0;
  if (identity && address.transport === "tcp") {
    const key = (["allow", "role-for", "fds", "user-rate"] as const).find((each) =>
      options.has(each) && options.get(each) !== "off"
    ) ?? "identity";
    throw new UsageError(
      `${where}: ${key}= needs a unix socket, for of others it is not known who connects; leave it out`,
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
    descriptors,
    absent: absentOf(options.get("absent"), address, where),
    mode: modeOf(options.get("mode"), where),
    user: options.get("user"),
    group: options.get("group"),
  };
}

/**
 * Splits an address from its options.
 *
 * @throws UsageError where an option has no value
 */
export function splitOptions(text: string): [address: string, options: [string, string][]] {
  if (!text.isWellFormed()) throw new UsageError(`${text}: expected valid Unicode`);
  const [address = "", ...options] = text.split(",");
  const pairs = options.map((option): [string, string] => {
    const [key = "", ...value] = option.split("=");
    if (value.length > 0) return [key, value.join("=")];
    throw new UsageError(`${text}: "${option}" has no value; write option=value`);
  });
  return [address, pairs];
}

function isOption(key: string): key is Option {
  return KNOWN.includes(key);
}

function unknownOption(where: string, key: string, known: readonly string[]): UsageError {
  return new UsageError(`${where}: unknown option "${key}"${instead(key, known)}`, key);
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
    const base = addressText(address).split(/[/]/).pop()!
      .replace(/^(unix|unix-abstract|tcp|fd):/, "").replace(/\.(sock|socket)$/, "");
    // One that could be written: a path may have any sign in it.
    return base.replace(/[^A-Za-z0-9._:[\]-]/gu, "_").slice(0, 64) || "listener";
  }
  if (/^[A-Za-z0-9._:[\]-]{1,64}$/.test(name)) return name;
  throw new UsageError(
    `${where}: name=${name} is not possible; a name has 1 to 64 letters, digits, ".", "_", ":" or "-"`,
    "name",
  );
}

/** Reads `WHO:ROLE`. */
function readRule(text: string, where: string): [Principal, string] {
  const [who, role, ...rest] = text.split(":");
  if (role === undefined || role === "" || rest.length > 0) {
    throw new UsageError(
      `${where}: role-for: "${text}" is no rule; write WHO:ROLE, as alice:operator or @kvm:observer`,
      "role-for",
    );
  }
  return [readPrincipal(who!, "role-for", where), role];
}

function roleOf(
  name: string | undefined,
  option: Option,
  where: string,
  roles: ReadonlyMap<string, Role>,
): Role {
  if (name === undefined) return FULL;
  const role = roles.get(name);
  if (role) return role;
  const known = [...roles.keys()];
  throw new UsageError(`${where}: unknown role "${name}"${instead(name, known)}`, option);
}

function dialectOf(dialect: string | undefined, where: string): DialectName {
  if (dialect === undefined || dialect === "qmp") return "qmp";
  if (dialect === "rfc2010") return dialect;
  throw new UsageError(
    `${where}: unknown dialect "${dialect}"${instead(dialect, OPTIONS.dialect.words)}`,
    "dialect",
  );
}

function absentOf(absent: string | undefined, address: Place, where: string): "wait" | "refuse" {
  if (absent === undefined || absent === "wait") return "wait";
  if (absent !== "refuse") {
    throw new UsageError(
      `${where}: invalid value "${absent}" for absent=: expected wait or refuse`,
      "absent",
    );
  }
  if (address.transport !== "fd") return absent;
  throw new UsageError(
    `${where}: absent=refuse closes the listening socket, and a passed one cannot be opened again; ` +
      "let qmpmux listen itself (unix:/path)",
    "absent",
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
  for (const glob of globs) {
    const problem = misspelt(glob);
    if (problem !== undefined) throw new UsageError(`${where}: ${problem}`, "events");
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
