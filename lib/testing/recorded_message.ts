/**
 * The texts in a recording: each is exactly one message, or the recording is damaged.
 *
 * @module
 */

import { parseMessage } from "../client/odd_numbers.ts";
import { type Greeting, type Message, readMessage } from "../wire/message.ts";

const DECODER = new TextDecoder();

/** Returns the message in bytes; `undefined` if they are not exactly one. */
export function wholeMessage(bytes: Uint8Array): Message | undefined {
  const value = objectIn(bytes);
  if (value === undefined) return undefined;
  const isBoth = Object.hasOwn(value, "return") && Object.hasOwn(value, "error");
  return isBoth ? undefined : readMessage(bytes);
}

/** Returns whether bytes are exactly one object of JSON. */
export function isObject(bytes: Uint8Array): boolean {
  return objectIn(bytes) !== undefined;
}

/** Returns the value in bytes if it is an object of JSON, in which QEMU may have written `inf` or `nan`. */
function objectIn(bytes: Uint8Array): object | undefined {
  let value: unknown;
  try {
    value = parseMessage(DECODER.decode(bytes));
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
  return typeof value === "object" && value !== null ? value : undefined;
}

/** Returns whether a greeting has a version of three numbers. */
export function hasVersion({ bytes }: Greeting): boolean {
  const { QMP: { version } } = objectIn(bytes) as { QMP: { version?: { qemu?: unknown } | null } };
  const { major, minor, micro } = Object(version?.qemu) as Record<string, unknown>;
  return [major, minor, micro].every((part) => Number.isSafeInteger(part));
}
