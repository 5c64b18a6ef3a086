/**
 * A reply that is an array, less some of its elements.
 *
 * What remains keeps its bytes and its order, so that a shortened answer cannot
 * be told from one that QEMU has given.
 *
 * @module
 */

import type { Reply } from "./message.ts";
import { asciiBytes, asciiText } from "./text.ts";

/**
 * Leaves out elements of a returned array.
 *
 * @param reply a return without an id, in QEMU's spelling, plain or pretty
 * @param keeps is asked with each element, decoded
 * @returns the reply itself where all are kept, or where it is no array
 */
export function withElements(reply: Reply, keeps: (element: unknown) => boolean): Reply {
  // QEMU's output is ASCII throughout.
  const text = asciiText(reply.bytes, 0, reply.bytes.length);
  const [head] = /^\{\s*"return": \[\s*/.exec(text) ?? [];
  if (head === undefined) return reply;
  const { elements, end } = elementsFrom(text, head.length);
  const kept = elements.filter(({ start, end }) => keeps(JSON.parse(text.slice(start, end))));
  if (kept.length === elements.length) return reply;
  const [first, second] = elements;
  const between = second ? text.slice(first!.end, second.start) : "";
  const list = kept.map(({ start, end }) => text.slice(start, end)).join(between);
  const opening = list === "" ? head.trimEnd() : head;
  return { ...reply, bytes: asciiBytes(opening + list + text.slice(end)) };
}

interface Span {
  readonly start: number;
  readonly end: number;
}

/** The spans of an array's elements, and where the last of them ends. */
function elementsFrom(text: string, from: number): { elements: Span[]; end: number } {
  const elements: Span[] = [];
  // A string is one token: what is in it opens and closes nothing.
  const token = /"(?:[^"\\]|\\.)*"|[[\]{},]|[^\s"[\]{},]+/g;
  token.lastIndex = from;
  let depth = 0;
  let start = -1;
  let end = from;
  for (let found = token.exec(text); found; found = token.exec(text)) {
    const [piece] = found;
    if (depth === 0 && (piece === "," || piece === "]")) {
      if (start >= 0) elements.push({ start, end });
      start = -1;
      if (piece === "]") break;
      continue;
    }
    if (start < 0) start = found.index;
    if (piece === "[" || piece === "{") depth++;
    else if (piece === "]" || piece === "}") depth--;
    end = token.lastIndex;
  }
  return { elements, end };
}
