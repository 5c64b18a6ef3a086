/**
 * `qmpmux serve`: reads settings from its flags and its file, and runs the daemon.
 *
 * @module
 */

import { serve } from "../daemon/daemon.ts";
import type { ExitStatus } from "../platform/failure.ts";
import { formatFor, openLog } from "../platform/log.ts";
import { print } from "../platform/output.ts";
import type { Given } from "./flags.ts";
import { mergedSettings, NO_FILE } from "./serve_flags.ts";
import { VERSION } from "./version.ts";

/**
 * Runs `qmpmux serve`.
 *
 * @throws UsageError, ConfigError, Failure
 */
export async function runServe(given: Given): Promise<ExitStatus> {
  const { settingsOf } = given.one("config") === undefined
    ? { settingsOf: undefined }
    : await import("./serve_settings.ts");
  const settings = settingsOf?.(given) ?? mergedSettings(given, NO_FILE);
  if (given.has("print-config")) {
    const { configText } = await import("../config/config_text.ts");
    print(configText(settings).trimEnd());
    return 0;
  }
  const reread = settingsOf && (() => settingsOf(given));
  const log = openLog(settings["log-format"] ?? formatFor(Deno.env.get("JOURNAL_STREAM")));
  return await serve(settings, log, reread, VERSION);
}
