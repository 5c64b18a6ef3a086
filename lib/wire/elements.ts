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
import { UnexpectedMessage } from "./unexpected.ts";

/**
 * Leaves out elements of a returned array.
 *
 * @param reply a reply without an id, plain or pretty
 * @param keeps decides on each element, decoded
 * @returns the reply itself where all are kept, and an error
 * @throws UnexpectedMessage where it returns something else than an array of JSON values
 */
export function withElements(reply: Reply, keeps: (element: unknown) => boolean): Reply {
  if (reply.kind === "error") return reply;
  // QEMU's output is ASCII throughout.
  const text = asciiText(reply.bytes, 0, reply.bytes.length);
  const [head] = /^\{\s*"return": \[\s*/.exec(text) ?? [];
  if (head === undefined) throw notElements(reply);
  const { elements, end } = elementsFrom(text, head.length);
  const kept = elements.filter(({ start, end }) => keeps(parsed(text.slice(start, end), reply)));
  if (kept.length === elements.length) return reply;
  const [first, second] = elements;
  const between = second ? text.slice(first!.end, second.start) : "";
  const list = kept.map(({ start, end }) => text.slice(start, end)).join(between);
  const opening = list === "" ? head.trimEnd() : head;
  return { ...reply, bytes: asciiBytes(opening + list + text.slice(end)) };
}

function parsed(text: string, reply: Reply): unknown {
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
