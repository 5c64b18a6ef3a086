/**
 * The version of a fake QEMU, and its greeting.
 *
 * @module
 */

import type { Greeting } from "../wire/message.ts";
import { qemuText } from "../wire/qemu_json.ts";
import { asciiBytes } from "../wire/text.ts";

/** A version of QEMU, as in its greeting. */
export interface QemuVersion {
  /** The first number. */
  readonly major: number;
  /** The second number. */
  readonly minor: number;
  /** The third number. */
  readonly micro: number;
  /** The distribution's package, such as `Debian 1:10.0.3+ds-0+deb13u1`; empty for QEMU's own. */
  readonly package: string;
}

const VERSION = /^(\d{1,4})\.(\d{1,4})(?:\.(\d{1,4}))?(?: \((.*)\))?$/;

/**
 * Reads a version as `qemu-system-x86_64 --version` prints it: `11.1.3`, or `10.0.3 (Debian 1:10.0.3+ds-0)`.
 *
 * @throws TypeError if it is not one
 */
export function readVersion(text: string): QemuVersion {
  const [, major, minor, micro = "0", name = ""] = VERSION.exec(text) ?? [];
  if (major === undefined) {
    throw new TypeError(
      `invalid version ${JSON.stringify(text)}: expected MAJOR.MINOR.MICRO, such as "11.1.3"`,
    );
  }
  return { major: Number(major), minor: Number(minor), micro: Number(micro), package: name };
}

/** Returns the greeting of a QEMU. */
export function greetingOf(version: QemuVersion, capabilities: readonly string[]): Greeting {
  const { package: name, ...qemu } = version;
  const text = qemuText({ QMP: { version: { qemu, package: name }, capabilities } });
  return {
    kind: "greeting",
    bytes: asciiBytes(`${text}\r\n`),
    capabilities,
    version: [version.major, version.minor, version.micro],
  };
}
