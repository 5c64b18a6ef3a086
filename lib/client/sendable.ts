/**
 * The check of a command before it is sent.
 *
 * QEMU answers JSON that it cannot read without an id. If several commands are in flight, nobody can
 * tell which one such an answer is for. So the client sends nothing that QEMU's reader refuses.
 *
 * @module
 */

import { FrameSplitter } from "../wire/frame.ts";
import { printable } from "../wire/printable.ts";
import { shortened } from "../wire/shortened.ts";

const ENCODER = new TextEncoder();

/** A name that needs no check; all of QEMU's have this form. */
const PLAIN_NAME = /^[\w.-]*$/;
/** The most characters of a name in an error. */
const SHOWN_LENGTH = 60;

/**
 * Checks that QEMU can read a command.
 *
 * @param args the arguments as JSON text
 * @throws TypeError if the name is not a string; SyntaxError if QEMU refuses the JSON: for a lone
 *   surrogate or another code point that is not a character, a key that is given twice, or too many levels
 */
export function checkSendable(name: string, args?: string): void {
  if (typeof name !== "string") {
    throw new TypeError(`Invalid command name of type ${typeof name}: expected a string`);
  }
  if (args === undefined && PLAIN_NAME.test(name)) return;
  const text = JSON.stringify(name);
  const refuse = (problem: string): SyntaxError =>
    new SyntaxError(`Cannot send ${printable(shortened(text, SHOWN_LENGTH))}: ${problem}`);
  // UTF-8 would have another character in its place.
  if (args?.isWellFormed() === false) throw refuse("the arguments have a lone surrogate");
  const splitter = new FrameSplitter();
  // The largest id stands for the one that the command gets.
  splitter.load(ENCODER.encode(
    `{"execute":${text},"arguments":${args ?? "{}"},"id":${Number.MAX_SAFE_INTEGER}}\n`,
  ));
  const found = splitter.next();
  if (found !== undefined && !("damage" in found)) return;
  throw refuse(found?.damage ?? "the JSON is not complete");
}
