/**
 * `qmpmux serve`: its flags, and its help.
 *
 * @module
 */

import { readConfigFile } from "../rim/config_file.ts";
import { serve } from "../rim/daemon.ts";
import type { ExitStatus } from "../rim/failure.ts";
import { formatFor, openLog } from "../rim/log.ts";
import { addressText, type Place, UsageError } from "../terms/address.ts";
import {
  type AuditSettings,
  parseListener,
  parseQemu,
  type ServeSettings,
} from "../terms/options.ts";
import { type Config, configText, readConfig } from "../terms/config.ts";
import { CLIENTS_IN_ALL, LIMIT_NAMES, limitRange, LIMITS, readLimit } from "../terms/limits.ts";
import {
  AUDIT_FAILURES,
  LOG_FORMATS,
  parseAudit,
  parseMetrics,
  wordOf,
} from "../terms/recording.ts";
import { type Given, readFlags, secondsOf } from "./flags.ts";
import { VERSION } from "./version.ts";

/** What `qmpmux serve --help` prints. */
export const SERVE_HELP =
  `Usage: qmpmux serve --qemu ADDR --listen ADDR[,option=value...] [--listen ...]
       qmpmux serve --config FILE

Owns one QMP connection to QEMU and gives every client that connects a virtual
monitor of its own.

  --qemu ADDR            QEMU's monitor: the socket it was given with -qmp
  --listen ADDR[,...]    where clients connect; may be given many times
  --ready listening|qemu when systemd is told READY=1: at once, or with QEMU (listening)
  --config FILE          a TOML file that says the same; flags win over it
  --print-config         print the settings that come of it all, and end
  --once                 end with QEMU, with status 0, instead of waiting for the next
  --greeting-timeout S   seconds QEMU may take for its greeting (10)
  --handshake-timeout S  seconds a client may wait for QEMU's greeting (60)
  --drain-timeout S      seconds commands under way may take to finish at the end (5)
  --stall-timeout S      seconds QEMU may be silent, though asked, until it counts as stalled (10)
  --on-loss close|hold   when QEMU goes its clients see the end, or wait for the next one (close)
  --watchdog loop|qemu   a stalled QEMU does not concern systemd's watchdog, or does (loop)
  --max-clients N        clients of all listeners at a time; one more is closed at once (1024)
  --metrics ADDR[,...]   where Prometheus fetches metrics: a socket, or a port of 127.0.0.1
  --audit FILE|journal   where a record of each command that changes something goes
  --audit-failure refuse|continue
                         what becomes of such commands while no record can be written (continue)
  --audit-all            put commands that only read on record too
  --log-format text|json|journal
                         (journal where systemd reads the log, else text)
  -h, --help             this text

ADDR is unix:/path, /path, unix-abstract:NAME, tcp:HOST:PORT or HOST:PORT.
--listen takes fd:NAME too, a socket that systemd passes under this name.

Options of a listener:
  name=NAME              what it is called in the log (from its address)
  role=NAME              what its clients may run: full, observer, operator, admin (full)
  dialect=qmp|rfc2010    today's QMP, or the negotiation proposed in 2010 (qmp)
  events=GLOB+GLOB...    the events its clients can see (all)
  mode=0600              of the socket file
  user=NAME group=NAME   owner of the socket file
  allow-remote=on        listen on an address other machines can reach
  cache=off              ask QEMU even for answers that cannot change
  join=off               never share the answer to a question others ask too

Limits of a listener (BYTES may be written 64K, 1M or 1G):
${limitsHelp()}`;

const SWITCHES = ["once", "print-config", "audit-all"];
const VALUES = [
  "config",
  "qemu",
  "listen",
  "ready",
  "greeting-timeout",
  "handshake-timeout",
  "drain-timeout",
  "stall-timeout",
  "on-loss",
  "max-clients",
  "metrics",
  "audit",
  "audit-failure",
  "log-format",
  "watchdog",
];

/**
 * Runs `qmpmux serve`.
 *
 * @param args what follows `serve` on the command line
 * @throws UsageError, Failure
 */
export async function runServe(args: string[]): Promise<ExitStatus> {
  const given = readFlags("serve", args, { values: VALUES, switches: SWITCHES });
  if (given.help) {
    console.log(SERVE_HELP.trimEnd());
    return 0;
  }
  const settings = settingsOf(given);
  if (given.has("print-config")) {
    console.log(configText(settings).trimEnd());
    return 0;
  }
  const reread = given.one("config") === undefined ? undefined : () => settingsOf(given);
  const log = openLog(settings.logFormat ?? formatFor(Deno.env.get("JOURNAL_STREAM")));
  return await serve(settings, log, reread, VERSION);
}

/**
 * Reads the flags of `qmpmux serve`, and its file.
 *
 * @throws UsageError, ConfigError, Failure
 */
export function serveSettings(args: string[]): ServeSettings | "help" {
  const given = readFlags("serve", args, { values: VALUES, switches: SWITCHES });
  return given.help ? "help" : settingsOf(given);
}

/** The settings that come of the flags and, where they name one, of the file as it is now. */
function settingsOf(given: Given): ServeSettings {
  const file = given.one("config");
  const config = file === undefined ? NO_CONFIG : readConfigFile(file);
  const own = given.all("listen").map((text) => parseListener(text, config.roles));
  const listeners = own.length > 0 ? own : config.listeners;
  if (listeners.length === 0) {
    throw new UsageError(
      "serve: --listen is missing; say where clients connect, as --listen unix:/run/mux.sock",
    );
  }
  const flag = given.one("qemu");
  const qemu = flag ? parseQemu(flag) : config.qemu;
  if (qemu === undefined) {
    throw new UsageError(
      "serve: --qemu is missing; name QEMU's monitor, as --qemu unix:/run/vm.sock",
    );
  }
  const metrics = read(given, "metrics", parseMetrics) ?? config.metrics;
  const places = [...listeners, ...(metrics ? [metrics] : [])];
  checkDistinct([qemu, ...places.map(({ address }) => address)]);
  return {
    qemu,
    listeners,
    readyWhen: word(given, "ready", "listening", "qemu") ?? config.readyWhen ?? "listening",
    once: given.has("once") || (config.once ?? false),
    greetingTime: seconds(given, "greeting-timeout") ?? config.greetingTime ?? 10,
    handshakeTime: seconds(given, "handshake-timeout") ?? config.handshakeTime ?? 60,
    drainTime: seconds(given, "drain-timeout") ?? config.drainTime ?? 5,
    stallTime: seconds(given, "stall-timeout") ?? config.stallTime ?? 10,
    onLoss: word(given, "on-loss", "close", "hold") ?? config.onLoss ?? "close",
    watchdogOf: word(given, "watchdog", "loop", "qemu") ?? config.watchdogOf ?? "loop",
    deadlines: config.deadlines,
    maxClients: maxClients(given) ?? config.maxClients ?? CLIENTS_IN_ALL.initial,
    metrics,
    audit: auditOf(given, config),
    logFormat: read(given, "log-format", wordOf(LOG_FORMATS)) ?? config.logFormat,
  };
}

const NO_CONFIG = readConfig("", "");

function auditOf(given: Given, config: Config): AuditSettings | undefined {
  const failure = read(given, "audit-failure", wordOf(AUDIT_FAILURES)) ?? config.auditFailure;
  const all = given.has("audit-all") || (config.auditAll ?? false);
  const to = read(given, "audit", parseAudit) ?? config.audit;
  if (to !== undefined) return { to, failure: failure ?? "continue", all };
  if (failure === undefined && !all) return undefined;
  throw new UsageError("serve: --audit is missing; say where records go, as --audit journal");
}

/** The value of a flag; @throws UsageError that names it */
function read<T>(given: Given, flag: string, parse: (text: string) => T): T | undefined {
  const text = given.one(flag);
  if (text === undefined) return undefined;
  try {
    return parse(text);
  } catch (error) {
    if (error instanceof UsageError) throw new UsageError(`serve: --${flag} ${error.message}`);
    throw error;
  }
}

/** @throws UsageError where an address has two uses; port 0 is another port each time */
function checkDistinct(addresses: readonly Place[]): void {
  const taken = new Set<string>();
  for (const text of addresses.map(addressText)) {
    if (taken.has(text) && !text.endsWith(":0")) {
      throw new UsageError(`serve: ${text} is given twice; every address has its own use`);
    }
    taken.add(text);
  }
}

/** @throws UsageError where a flag is neither of two words */
function word<A extends string, B extends string>(
  given: Given,
  flag: string,
  a: A,
  b: B,
): A | B | undefined {
  const text = given.one(flag);
  if (text === undefined || text === a || text === b) return text as A | B | undefined;
  throw new UsageError(`serve: --${flag} ${text} is not possible; write ${a} or ${b}`);
}

function maxClients(given: Given): number | undefined {
  const text = given.one("max-clients");
  if (text === undefined) return undefined;
  const count = readLimit(CLIENTS_IN_ALL, text);
  if (count !== undefined) return count;
  const range = limitRange(CLIENTS_IN_ALL);
  throw new UsageError(`serve: --max-clients ${text} is not possible; write ${range}`);
}

/** A line for each limit, out of their table. */
function limitsHelp(): string {
  return LIMIT_NAMES.map((name) => {
    const { unit, initial, help } = LIMITS[name];
    const value =
      ({ bytes: "BYTES", seconds: "S", clients: "N", "commands/s": "N" } as const)[unit];
    const shown = initial === 0 ? "off" : initial;
    return `  ${`${name}=${value}`.padEnd(22)} ${help} (${shown})\n`;
  }).join("");
}

function seconds(given: Given, flag: string): number | undefined {
  const text = given.one(flag);
  return text === undefined ? undefined : secondsOf("serve", flag, text);
}
