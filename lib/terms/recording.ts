/**
 * Addresses of metrics and the audit: texts read into checked values.
 *
 * @module
 */

import { addressText, isFile, isLocal, parsePlace, UsageError } from "./address.ts";
import type { ListenerSettings } from "./listener_settings.ts";
import { readListener } from "./options.ts";
import { ROLES } from "./roles.ts";
import { instead } from "./suggestion.ts";

/** What a metrics address may have behind it: about its socket file, and nothing else. */
const METRICS_OPTIONS: readonly string[] = ["mode", "user", "group"];

/**
 * Reads where metrics can be fetched.
 *
 * @param text an address of this machine, and `mode=`, `user=`, `group=` of its socket file
 * @throws UsageError
 */
export function parseMetrics(text: string): ListenerSettings {
  const [address = "", ...options] = text.split(",");
  const pairs = options.map((option): [string, string] => {
    const [key = "", ...value] = option.split("=");
    if (value.length === 0) {
      throw new UsageError(`${text}: "${option}" has no value; write option=value`);
    }
    if (METRICS_OPTIONS.includes(key)) return [key, value.join("=")];
    throw new UsageError(`${text}: unknown option "${key}"${instead(key, METRICS_OPTIONS)}`);
  });
  if (!isLocal(parsePlace(address))) {
    throw new UsageError(
      `${text}: other machines could read the metrics; use a unix socket or 127.0.0.1`,
    );
  }
  return readListener(address, pairs, text, ROLES);
}

/** The mode of a socket file as it is written: four octal digits. */
export function modeText(mode: number): string {
  return mode.toString(8).padStart(4, "0");
}

/** A metrics address as it is written on the command line. */
export function metricsText({ address, mode, user, group }: ListenerSettings): string {
  const parts = [addressText(address)];
  if (isFile(address)) parts.push(`mode=${modeText(mode)}`);
  if (user !== undefined) parts.push(`user=${user}`);
  if (group !== undefined) parts.push(`group=${group}`);
  return parts.join(",");
}

/**
 * Reads where the audit goes.
 *
 * @param text a path, or `journal`
 * @throws UsageError
 */
export function parseAudit(text: string): string {
  if (text !== "" && !text.includes("\0")) return text;
  throw new UsageError(`${JSON.stringify(text)} is no file; write a path, or journal`);
}
