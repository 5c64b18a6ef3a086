/**
 * Replies in the style of the QEMU at hand, plain or as with `pretty=on`.
 *
 * @module
 */

import { type Id, isPretty, type Reply } from "../wire/message.ts";
import { partsWithId, pretty } from "../wire/reply.ts";

/** The most bytes of a reply that is converted to the style of `pretty=on`; a longer one would take too much time. */
const PRETTY_BYTES_LIMIT = { return: 512 << 10, error: 2 << 20 } as const;

/** Returns whether a reply is plain, and short enough to be converted to the style of `pretty=on`. */
function isPrettied({ kind, bytes }: Reply): boolean {
  return !isPretty(bytes) && bytes.length <= PRETTY_BYTES_LIMIT[kind];
}

/**
 * Returns a reply as parts of bytes, with an id.
 *
 * @param isPrettyStyle whether QEMU prints with `pretty=on`; then a local reply is converted
 */
export function styledParts(reply: Reply, id: Id, isPrettyStyle: boolean): readonly Uint8Array[] {
  return partsWithId(isPrettyStyle && isPrettied(reply) ? pretty(reply) : reply, id);
}
