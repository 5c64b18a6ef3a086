/**
 * The settings of `qmpmux serve` with the file that its flags name.
 *
 * @module
 */

import { readConfigFile } from "../platform/config_file.ts";
import type { ServeSettings } from "../config/settings.ts";
import { type Given, readFlags } from "./flags.ts";
import { mergedSettings, NO_FILE } from "./serve_flags.ts";

/**
 * Reads the flags of `qmpmux serve`, and its file.
 *
 * @throws UsageError, ConfigError, Failure
 */
export function serveSettings(args: string[]): ServeSettings {
  return settingsOf(readFlags("serve", args));
}

/**
 * Reads the file that the flags name, which may have changed, and merges it with them.
 *
 * @throws UsageError, ConfigError, Failure
 */
export function settingsOf(given: Given): ServeSettings {
  const file = given.one("config");
  return mergedSettings(given, file === undefined ? NO_FILE : readConfigFile(file));
}
