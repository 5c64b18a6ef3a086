/**
 * The end of a session whose QEMU sends something other than a message.
 *
 * @module
 */

import type { NoMessage } from "../wire/message_splitter.ts";
import type { QemuEnding } from "../wire/peer.ts";
import { shown } from "../wire/text.ts";

/** The number of bytes that are shown of a message that is not QMP. */
const SHOWN_BYTES = 80;

/** Returns why the session with a QEMU ends that has sent this. */
export function endingAfter(input: Uint8Array | NoMessage): QemuEnding {
  if (!("damage" in input)) {
    return notQmp(shown(input, 0, Math.min(input.length - 2, SHOWN_BYTES)));
  }
  const { damage, limit } = input;
  if (limit === undefined) return notQmp(damage);
  const text = `it sent a message of more than ${limit} bytes`;
  return { kind: "unexpected", text, detail: `${text}; the limit is max-message` };
}

function notQmp(said: string): QemuEnding {
  return { kind: "no-qmp", text: "it does not speak QMP", said };
}
