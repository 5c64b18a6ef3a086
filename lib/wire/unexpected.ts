/**
 * The error for bytes of QEMU that are not what its protocol promises.
 *
 * It ends the connection to QEMU and nothing else: a QEMU that a guest has taken
 * over may send anything.
 *
 * @module
 */

import { shown } from "./text.ts";

/** An error shows at most this many of the bytes. */
const SHOWN_BYTES = 200;

/** QEMU has sent something unexpected; the message says what was expected and shows the bytes, cut. */
export class UnexpectedMessage extends Error {
  /** The kind of error. */
  override name = "UnexpectedMessage";
  /** What is wrong, without the bytes: these may be another client's, and are for the log alone. */
  readonly problem: string;

  /**
   * Describes what was unexpected.
   *
   * @param problem what is wrong with the bytes, such as `its greeting is too long`
   * @param bytes what QEMU sent; shown as text
   */
  constructor(problem: string, bytes: Uint8Array) {
    super(`${problem}: ${shownBytes(bytes)}`);
    this.problem = problem;
  }
}

/** Bytes as text for a log, cut to some 200 bytes; the log escapes control characters. */
export function shownBytes(bytes: Uint8Array): string {
  const text = shown(bytes, 0, Math.min(bytes.length, SHOWN_BYTES)).trim();
  return bytes.length > SHOWN_BYTES ? `${text}… (${bytes.length} bytes)` : text;
}
