/**
 * Elements removed from a reply that returns an array.
 *
 * The other elements keep their bytes and order: a client cannot distinguish the shorter
 * reply from one of QEMU's.
 *
 * @module
 */

import type { Reply } from "./message.ts";
import { endOfValue } from "./scan.ts";
import { asciiBytes, asciiText } from "./text.ts";
import { UnexpectedMessage } from "./unexpected.ts";

const COMMA = 0x2c;
const SPACE = 0x20;
const CLOSE_SQUARE = 0x5d;

/**
 * Removes elements from a returned array.
 *
 * @param reply a reply without an id, plain or pretty
 * @param keeps whether to keep an element, which it gets decoded
 * @returns the reply itself when it is an error or nothing is removed
 * @throws UnexpectedMessage when it does not return an array of JSON values
 */
export function withElements(reply: Reply, keeps: (element: unknown) => boolean): Reply {
  if (reply.kind === "error") return reply;
  // QEMU's output is ASCII throughout.
  const text = asciiText(reply.bytes, 0, reply.bytes.length);
  const [head] = /^\{\s*"return": \[\s*/.exec(text) ?? [];
  if (head === undefined) throw notElements(reply);
  const { spans, close } = spansFrom(reply.bytes, head.length);
  const elements = parsed(`[${text.slice(head.length, close + 1)}`, reply);
  if (elements.length !== spans.length) throw notElements(reply);
  const kept = spans.filter((_, index) => keeps(elements[index]));
  if (kept.length === spans.length) return reply;
  const [first, second] = spans;
  const between = second ? text.slice(first!.end, second.start) : "";
  const list = kept.map(({ start, end }) => text.slice(start, end)).join(between);
  const opening = list === "" ? head.trimEnd() : head;
  return { ...reply, bytes: asciiBytes(opening + list + text.slice(spans.at(-1)!.end)) };
}

function parsed(text: string, reply: Reply): unknown[] {
  try {
    return JSON.parse(text);
  } catch {
    throw notElements(reply);
  }
}

function notElements({ bytes }: Reply): UnexpectedMessage {
  return new UnexpectedMessage("it did not return an array of JSON values", bytes);
}

interface Span {
  readonly start: number;
  readonly end: number;
}

/** Finds the spans of an array's elements, the first of which begins at `from`, and its closing bracket. */
function spansFrom(bytes: Uint8Array, from: number): { spans: Span[]; close: number } {
  const spans: Span[] = [];
  let at = from;
  const skipSpace = (): void => {
    while (bytes[at]! <= SPACE) at++;
  };
  while (at < bytes.length && bytes[at] !== CLOSE_SQUARE) {
    const start = at;
    at = endOfValue(bytes, at);
    // The end of a number or word includes white space.
    let end = at;
    while (bytes[end - 1]! <= SPACE) end--;
    spans.push({ start, end });
    skipSpace();
    if (bytes[at] !== COMMA) continue;
    at++;
    skipSpace();
  }
  return { spans, close: at };
}
