/**
 * `qmpmux serve`: reads settings from its flags and its file, and runs the daemon.
 *
 * @module
 */

import { readConfigFile } from "../platform/config_file.ts";
import { serve } from "../daemon/daemon.ts";
import type { ExitStatus } from "../platform/failure.ts";
import { formatFor, openLog } from "../platform/log.ts";
import { print } from "../platform/output.ts";
import { isTemplate } from "../policy/vm_template.ts";
import { ConfigError, naming, UsageError } from "../policy/usage_error.ts";
import { readConfig } from "../config/config.ts";
import { configText } from "../config/config_text.ts";
import { conflicts } from "../config/conflicts.ts";
import { parseListener } from "../config/options.ts";
import {
  defaults,
  type ServeSettings,
  type Setting,
  SETTING_NAMES,
  type SettingName,
  SETTINGS,
  type SettingValues,
} from "../config/settings.ts";
import { type Given, readFlags } from "./flags.ts";
import { VERSION } from "./version.ts";

/**
 * Runs `qmpmux serve`.
 *
 * @throws UsageError, ConfigError, Failure
 */
export async function runServe(given: Given): Promise<ExitStatus> {
  const settings = settingsOf(given);
  if (given.has("print-config")) {
    print(configText(settings).trimEnd());
    return 0;
  }
  const reread = given.one("config") === undefined ? undefined : () => settingsOf(given);
  const log = openLog(settings["log-format"] ?? formatFor(Deno.env.get("JOURNAL_STREAM")));
  return await serve(settings, log, reread, VERSION);
}

/**
 * Reads the flags of `qmpmux serve`, and its file.
 *
 * @throws UsageError, ConfigError, Failure
 */
export function serveSettings(args: string[]): ServeSettings {
  return settingsOf(readFlags("serve", args));
}

/** Merges the flags with the file that they name, which is read now; flags take precedence. */
function settingsOf(given: Given): ServeSettings {
  const file = given.one("config");
  const config = file === undefined ? readConfig("", "") : readConfigFile(file);
  const own = given.all("listen").map((text) => parseListener(text, config.roles));
  const listeners = own.length > 0 ? own : config.listeners;
  const flags = flagValues(given);
  const values: Partial<SettingValues> = { ...config.values, ...flags };
  const { qemu } = values;
  const { vms } = config;
  // A VM of the file can have listeners of its own.
  const isFound = vms.length === 0 || qemu !== undefined && isTemplate(qemu);
  if (listeners.length === 0 && isFound) {
    throw new UsageError(
      "serve: --listen is missing; give clients an address, such as --listen unix:/run/mux.sock",
    );
  }
  const lacks = config.lacks.filter((lack) =>
    lack.of === "vm" || (lack.of === "listen" ? own.length === 0 : flags[lack.of] === undefined)
  );
  // A configuration that is only printed may be for another host.
  if (lacks.length > 0 && !given.has("print-config")) {
    throw new ConfigError(lacks.map(({ problem }) => problem));
  }
  if (qemu === undefined && vms.length === 0) {
    throw new UsageError(
      "serve: --qemu is missing; name QEMU's monitor, such as --qemu unix:/run/vm.sock",
    );
  }
  for (const { text } of conflicts({ ...values, listeners, vms })) {
    if (config.conflicts.length > 0) throw new ConfigError(config.conflicts);
    throw new UsageError(`serve: ${text}`);
  }
  return { ...defaults(), ...values, qemu, listeners, vms, roles: config.roles };
}

/** Returns the values of the settings given by flags; @throws UsageError that names the flag */
function flagValues(given: Given): Partial<SettingValues> {
  const values: [SettingName, unknown][] = [];
  for (const name of SETTING_NAMES) {
    const { value, expected, read, fileOnly }: Setting<unknown> = SETTINGS[name];
    const text = value === undefined ? given.has(name) ? "" : undefined : given.one(name);
    if (fileOnly || text === undefined || (name === "qemu" && text === "")) continue;
    values.push([name, flagValue(name, text, expected, read)]);
  }
  return Object.fromEntries(values);
}

function flagValue<T>(
  name: SettingName,
  text: string,
  expected: string,
  read: (text: string) => T | undefined,
): T {
  const value = naming(`serve: --${name}`, () => read(text));
  if (value !== undefined) return value;
  throw new UsageError(`serve: invalid value "${text}" for --${name}: expected ${expected}`);
}
