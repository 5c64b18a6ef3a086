/**
 * Addresses of metrics, the control socket, the audit and the recording: texts read into checked values.
 *
 * @module
 */

import {
  addressText,
  isFile,
  isLocal,
  type ListenAddress,
  parseListenAddress,
} from "../policy/address.ts";
import { naming, UsageError } from "../policy/usage_error.ts";
import { type ListenerSettings, readListener, splitOptions, unknownOption } from "./options.ts";
import { ROLES } from "../policy/roles.ts";
import { isTemplate, VM_PLACEHOLDER } from "../policy/vm_template.ts";
import type { Grant } from "../policy/admission.ts";

/** The options that these addresses accept: those of a socket file. */
const FILE_OPTIONS: readonly string[] = ["mode", "user", "group"];

/**
 * Reads the address of the metrics.
 *
 * @param text an address of this machine, and `mode=`, `user=`, `group=` of its socket file
 * @throws UsageError
 */
export function parseMetrics(text: string): ListenerSettings {
  return readPlace(
    text,
    isLocal,
    "other machines could read the metrics; use a unix socket or 127.0.0.1",
  );
}

/**
 * Reads the address of the control socket.
 *
 * @param text a path, and `mode=`, `user=`, `group=` of the socket file
 * @throws UsageError
 */
export function parseControl(text: string): ListenerSettings {
  const expected = "expected a unix socket with a path, such as unix:/run/control.sock";
  const settings = readPlace(text, isFile, expected);
  const role = ROLES.get("admin")!;
  const grant: Grant = { ...settings.grant, name: "control", role, dialect: "control" };
  return { ...settings, grant, identity: true };
}

function readPlace(
  text: string,
  isAllowed: (place: ListenAddress) => boolean,
  otherwise: string,
): ListenerSettings {
  const [address, pairs] = splitOptions(text);
  const place = parseListenAddress(address);
  return naming(text, () => {
    const unknown = pairs.find(([key]) => !FILE_OPTIONS.includes(key));
    if (unknown !== undefined) throw unknownOption(unknown[0], FILE_OPTIONS);
    if (!isAllowed(place)) throw new UsageError(otherwise);
    if (isTemplate(place)) throw new UsageError("this socket is for all VMs; leave {vm} out");
    return readListener(place, pairs, ROLES);
  });
}

/** Returns the mode of a socket file as four octal digits. */
export function modeText(mode: number): string {
  return mode.toString(8).padStart(4, "0");
}

/** Prints an address of metrics, or of the control socket, as on the command line. */
export function placeText({ address, mode, user, group }: ListenerSettings): string {
  const parts = [addressText(address)];
  if (isFile(address)) parts.push(`mode=${modeText(mode)}`);
  if (user !== undefined) parts.push(`user=${user}`);
  if (group !== undefined) parts.push(`group=${group}`);
  return parts.join(",");
}

/**
 * Reads the destination of the audit.
 *
 * @returns a path, or `journal`; `undefined` if it is neither
 * @throws UsageError if it contains `{vm}`
 */
export function parseAudit(text: string): string | undefined {
  if (text.includes(VM_PLACEHOLDER)) {
    throw new UsageError(`${text}: the audit is for all VMs; leave {vm} out`);
  }
  return text !== "" && !text.includes("\0") && text.isWellFormed() ? text : undefined;
}

/**
 * Reads the path of the recording.
 *
 * @returns `undefined` if it is not a path
 * @throws UsageError if it contains `{vm}`
 */
export function parseRecord(text: string): string | undefined {
  if (text.includes(VM_PLACEHOLDER)) {
    throw new UsageError(`${text}: the recording is of all VMs; leave {vm} out`);
  }
  return text !== "" && !text.includes("\0") && text.isWellFormed() ? text : undefined;
}
