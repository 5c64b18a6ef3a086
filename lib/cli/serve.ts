/**
 * `qmpmux serve`: its flags and its file, made into settings.
 *
 * @module
 */

import { readConfigFile } from "../rim/config_file.ts";
import { serve } from "../rim/daemon.ts";
import type { ExitStatus } from "../rim/failure.ts";
import { formatFor, openLog } from "../rim/log.ts";
import { print } from "../rim/output.ts";
import { addressText, type Place, UsageError } from "../terms/address.ts";
import { parseListener, parseQemu } from "../terms/options.ts";
import type { AuditSettings, ServeSettings } from "../terms/settings.ts";
import { type Config, readConfig } from "../terms/config.ts";
import { configText } from "../terms/config_text.ts";
import { CLIENTS_IN_ALL, limitRange, readLimit } from "../terms/limits.ts";
import { parseAudit, parseMetrics, wordOf } from "../terms/recording.ts";
import { type Given, readFlags, secondsOf } from "./flags.ts";
import { showHelp } from "./help.ts";
import { SUBCOMMANDS } from "./manual.ts";
import { VERSION } from "./version.ts";

const FLAGS = SUBCOMMANDS.serve.flags;

/**
 * Runs `qmpmux serve`.
 *
 * @param args what follows `serve` on the command line
 * @throws UsageError, Failure
 */
export async function runServe(args: string[]): Promise<ExitStatus> {
  const given = readFlags("serve", args);
  if (given.help) return showHelp("serve");
  const settings = settingsOf(given);
  if (given.has("print-config")) {
    print(configText(settings).trimEnd());
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
  const given = readFlags("serve", args);
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
  if (qemu.transport === "tcp" && listeners.some(({ descriptors }) => descriptors)) {
    throw new UsageError(
      "serve: fds=on: descriptors pass through unix sockets only; let QEMU listen on one",
    );
  }
  const metrics = read(given, "metrics", parseMetrics) ?? config.metrics;
  const places = [...listeners, ...(metrics ? [metrics] : [])];
  checkDistinct([qemu, ...places.map(({ address }) => address)]);
  return {
    qemu,
    listeners,
    readyWhen: read(given, "ready", wordOf(FLAGS.ready.words)) ?? config.readyWhen ??
      FLAGS.ready.initial,
    once: given.has("once") || (config.once ?? false),
    greetingTime: seconds(given, "greeting-timeout", config.greetingTime),
    handshakeTime: seconds(given, "handshake-timeout", config.handshakeTime),
    drainTime: seconds(given, "drain-timeout", config.drainTime),
    stallTime: seconds(given, "stall-timeout", config.stallTime),
    onLoss: read(given, "on-loss", wordOf(FLAGS["on-loss"].words)) ?? config.onLoss ??
      FLAGS["on-loss"].initial,
    watchdogOf: read(given, "watchdog", wordOf(FLAGS.watchdog.words)) ?? config.watchdogOf ??
      FLAGS.watchdog.initial,
    deadlines: config.deadlines,
    maxClients: maxClients(given) ?? config.maxClients ?? CLIENTS_IN_ALL.initial,
    metrics,
    audit: auditOf(given, config),
    logFormat: read(given, "log-format", wordOf(FLAGS["log-format"].words)) ?? config.logFormat,
  };
}

const NO_CONFIG = readConfig("", "");

function auditOf(given: Given, config: Config): AuditSettings | undefined {
  const failure = read(given, "audit-failure", wordOf(FLAGS["audit-failure"].words)) ??
    config.auditFailure;
  const all = given.has("audit-all") || (config.auditAll ?? false);
  const to = read(given, "audit", parseAudit) ?? config.audit;
  if (to !== undefined) return { to, failure: failure ?? FLAGS["audit-failure"].initial, all };
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

function maxClients(given: Given): number | undefined {
  const text = given.one("max-clients");
  if (text === undefined) return undefined;
  const count = readLimit(CLIENTS_IN_ALL, text);
  if (count !== undefined) return count;
  const range = limitRange(CLIENTS_IN_ALL);
  throw new UsageError(`serve: --max-clients ${text} is not possible; write ${range}`);
}

/** The flag, else what the file says, else what the manual says. */
function seconds(
  given: Given,
  flag: keyof typeof FLAGS & `${string}-timeout`,
  file?: number,
): number {
  const text = given.one(flag);
  return text === undefined ? file ?? FLAGS[flag].initial : secondsOf("serve", flag, text);
}
