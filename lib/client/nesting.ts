/**
 * The nesting of a message.
 *
 * A few bytes of brackets cost a reader of JSON much memory, or its stack.
 *
 * @module
 */

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** The most levels of a message: QEMU's own reader has the same limit. */
export const NESTING_LIMIT = 1024;

/** Returns whether JSON is nested deeper than the limit. */
export function isTooDeep(json: Uint8Array): boolean {
  // Each level has two brackets.
  if (json.length <= 2 * NESTING_LIMIT) return false;
  let depth = 0;
  for (let at = 0; at < json.length; at++) {
    const byte = json[at]!;
    if (byte === QUOTE) at = endOfString(json, at + 1);
    else if (byte === 0x7b || byte === 0x5b) {
      if (++depth > NESTING_LIMIT) return true;
    } else if (byte === 0x7d || byte === 0x5d) depth--;
  }
  return false;
}

/** Returns the place of the quotation mark that ends a string. */
function endOfString(json: Uint8Array, start: number): number {
  for (let at = start;;) {
    const end = json.indexOf(QUOTE, at);
    if (end < 0) return json.length;
    let first = end;
    while (json[first - 1] === BACKSLASH) first--;
    if ((end - first) % 2 === 0) return end;
    at = end + 1;
  }
}
