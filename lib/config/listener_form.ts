/**
 * A listener's table in the configuration file.
 *
 * @module
 */

import { parseListenAddress } from "../policy/address.ts";
import type { Role } from "../policy/policy.ts";
import { invalidValue, UsageError } from "../policy/usage_error.ts";
import { KNOWN_OPTIONS, type ListenerSettings, OPTION_NAMES, readListener } from "./options.ts";
import type { Table } from "./toml.ts";

/** Returns the keys of a listener's table that no listener has. */
export function unknownKeys(form: Table): readonly string[] {
  return Object.keys(form).filter((key) => key !== "address" && !KNOWN_OPTIONS.includes(key));
}

/**
 * Reads a listener's table: `address`, and the options of `--listen`.
 *
 * @throws UsageError
 */
export function listenerOf(
  { address, ...options }: Table,
  roles: ReadonlyMap<string, Role>,
): ListenerSettings {
  if (address === undefined) {
    throw new UsageError(`address is missing; write address = "unix:/path"`);
  }
  if (typeof address !== "string") {
    throw invalidValue(address, "address", "text in quotes");
  }
  const pairs = Object.entries(options).map(([key, value]) =>
    [key, optionText(key, value)] as const
  );
  return readListener(parseListenAddress(address), pairs, roles);
}

/** Returns an option's value as text, as on the command line. */
function optionText(key: string, value: unknown): string {
  if (typeof value === "boolean") return value ? "on" : "off";
  if (Array.isArray(value) && value.every((item) => typeof item === "string")) {
    return value.join("+");
  }
  if (typeof value === "string") return value;
  // Only limits are numbers. For an unknown option `readListener` reports the name, not the value.
  const isNamed = OPTION_NAMES.some((name) => name === key);
  if (typeof value === "number" && !isNamed) return String(value);
  const expected = key.endsWith("mode")
    ? `octal digits in quotes, such as "${key === "mode" ? "0660" : "0755"}"`
    : "text, true, false or a list of texts";
  throw invalidValue(value, key, expected);
}
