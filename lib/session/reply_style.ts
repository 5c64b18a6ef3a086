/**
 * Replies in the style of the QEMU at hand, plain or as with `pretty=on`.
 *
 * @module
 */

import { isPretty, type Reply } from "../wire/message.ts";
import { pretty } from "../wire/reply.ts";

/** The most bytes of a reply that is converted to the style of `pretty=on`; a longer one would take too much time. */
const PRETTY_BYTES_LIMIT = { return: 512 << 10, error: 2 << 20 } as const;

/** Returns whether a reply is plain, and short enough to be converted to the style of `pretty=on`. */
function isPrettied({ kind, bytes }: Reply): boolean {
  return !isPretty(bytes) && bytes.length <= PRETTY_BYTES_LIMIT[kind];
}

/**
 * Returns a reply in the style of QEMU.
 *
 * @param isPrettyStyle whether QEMU prints with `pretty=on`; then a local reply is converted
 */
export function styled(reply: Reply, isPrettyStyle: boolean): Reply {
  return isPrettyStyle && isPrettied(reply) ? pretty(reply) : reply;
}
