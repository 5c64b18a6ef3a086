/**
 * The error for bytes of QEMU that violate its protocol.
 *
 * It closes the connection to QEMU and has no other effect: a QEMU that a guest has taken
 * over may send anything.
 *
 * @module
 */

import { shown } from "./text.ts";

/** The most bytes that an error shows. */
const SHOWN_BYTES = 200;

/** An unexpected message of QEMU; the text names the problem and shows the first bytes. */
export class UnexpectedMessage extends Error {
  /** The kind of error. */
  override name = "UnexpectedMessage";
  /** The problem without the bytes, which may be another client's and are for the log alone. */
  readonly problem: string;

  /**
   * Creates the error.
   *
   * @param problem the problem, such as `its greeting is too long`
   * @param bytes the bytes that QEMU sent
   */
  constructor(problem: string, bytes: Uint8Array) {
    super(`${problem}: ${shownBytes(bytes)}`);
    this.problem = problem;
  }
}

/** Returns bytes as text for a log, cut to some 200 bytes; the log escapes control characters. */
export function shownBytes(bytes: Uint8Array): string {
  const text = shown(bytes, 0, Math.min(bytes.length, SHOWN_BYTES)).trim();
  return bytes.length > SHOWN_BYTES ? `${text}… (${bytes.length} bytes)` : text;
}
