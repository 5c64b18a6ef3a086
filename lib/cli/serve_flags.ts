/**
 * The settings of `qmpmux serve`: its flags, merged with its file.
 *
 * Without a file the modules that read TOML are not loaded.
 *
 * @module
 */

import { isTemplate } from "../policy/vm_template.ts";
import { ROLES } from "../policy/roles.ts";
import { ConfigError, naming, UsageError } from "../policy/usage_error.ts";
import type { Config } from "../config/config.ts";
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
import type { Given } from "./flags.ts";

/** The content of an empty file. */
export const NO_FILE: Config = {
  values: {},
  listeners: [],
  vms: [],
  roles: ROLES,
  conflicts: [],
  lacks: [],
  problems: [],
};

/**
 * Merges the flags with the content of the file that they name; flags take precedence.
 *
 * @throws UsageError, ConfigError
 */
export function mergedSettings(given: Given, config: Config): ServeSettings {
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
