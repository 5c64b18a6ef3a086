/**
 * Addresses of metrics, the control socket and the audit: texts read into checked values.
 *
 * @module
 */

import { addressText, isFile, isLocal, parsePlace } from "../policy/address.ts";
import { UsageError } from "../policy/usage_error.ts";
import type { ListenerSettings } from "./listener_settings.ts";
import { readListener, splitOptions } from "./options.ts";
import { ROLES } from "../policy/roles.ts";
import { instead } from "../policy/suggestion.ts";
import type { Grant } from "../policy/grant.ts";

/** The options of such an address: of its socket file, and nothing else. */
const FILE_OPTIONS: readonly string[] = ["mode", "user", "group"];

/**
 * Reads where metrics can be fetched.
 *
 * @param text an address of this machine, and `mode=`, `user=`, `group=` of its socket file
 * @throws UsageError
 */
export function parseMetrics(text: string): ListenerSettings {
  const [address, pairs] = split(text);
  if (!isLocal(parsePlace(address))) {
    throw new UsageError(
      `${text}: other machines could read the metrics; use a unix socket or 127.0.0.1`,
    );
  }
  return readListener(address, pairs, text, ROLES);
}

/**
 * Reads the address of the control socket.
 *
 * @param text a path, and `mode=`, `user=`, `group=` of the socket file
 * @throws UsageError
 */
export function parseControl(text: string): ListenerSettings {
  const [address, pairs] = split(text);
  if (!isFile(parsePlace(address))) {
    throw new UsageError(`${text}: expected a unix socket with a path, as unix:/run/control.sock`);
  }
  const settings = readListener(address, pairs, text, ROLES);
  const grant: Grant = {
    ...settings.grant,
    name: "control",
    role: ROLES.get("admin")!,
    dialect: "control",
  };
  return { ...settings, grant, identity: true };
}

/** Splits an address from the options of its socket file. */
function split(text: string): [address: string, options: [string, string][]] {
  const [address, options] = splitOptions(text);
  const unknown = options.find(([key]) => !FILE_OPTIONS.includes(key));
  if (unknown === undefined) return [address, options];
  throw new UsageError(
    `${text}: unknown option "${unknown[0]}"${instead(unknown[0], FILE_OPTIONS)}`,
  );
}

/** The mode of a socket file as it is written: four octal digits. */
export function modeText(mode: number): string {
  return mode.toString(8).padStart(4, "0");
}

/** An address of metrics, or of the control socket, as it is written on the command line. */
export function placeText({ address, mode, user, group }: ListenerSettings): string {
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
  if (text !== "" && !text.includes("\0") && text.isWellFormed()) return text;
  throw new UsageError(`${JSON.stringify(text)} is no file; write a path, or journal`);
}
