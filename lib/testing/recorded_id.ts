/**
 * The removal of a client's id from a recorded reply, so that it can be played with another.
 *
 * @module
 */

import type { Id } from "../wire/message.ts";
import { isPretty } from "../wire/message.ts";
import { prettied } from "../wire/qemu_json.ts";

const DECODER = new TextDecoder("latin1");

/**
 * Returns a reply without its id.
 *
 * @param bytes the reply, plain or pretty, with its line end
 * @param id the id of its command, as QEMU prints it on one line; `undefined` if it has none
 */
export function withoutRecordedId(bytes: Uint8Array, id: Id): Uint8Array {
  if (id === undefined) return bytes;
  const pretty = isPretty(bytes);
  const [first, last] = pretty
    ? prettyMembers(prettied(id, 1))
    : [`"id": ${id}, `, `, "id": ${id}}\r\n`];
  if (textAt(bytes, 1, first.length) === first) return without(bytes, 1, 1 + first.length);
  const from = bytes.length - last.length;
  if (textAt(bytes, from, last.length) !== last) return bytes;
  return without(bytes, from, bytes.length - (pretty ? "\r\n}\r\n" : "}\r\n").length);
}

function prettyMembers(id: string): [first: string, last: string] {
  return [`\r\n    "id": ${id},`, `,\r\n    "id": ${id}\r\n}\r\n`];
}

function textAt(bytes: Uint8Array, from: number, length: number): string | undefined {
  return from < 0 ? undefined : DECODER.decode(bytes.subarray(from, from + length));
}

function without(bytes: Uint8Array, from: number, to: number): Uint8Array {
  const rest = new Uint8Array(bytes.length - (to - from));
  rest.set(bytes.subarray(0, from));
  rest.set(bytes.subarray(to), from);
  return rest;
}
