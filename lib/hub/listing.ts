/**
 * The list of commands that a role may see.
 *
 * It is QEMU's reply to `query-commands` without the commands that the role
 * refuses with any arguments. If the role refuses none, the reply is QEMU's, byte for byte.
 *
 * @module
 */

import { refusesEntirely, refusesNothing, type Role } from "../policy/policy.ts";
import { type Command, type Reply, UnexpectedMessage } from "../wire/message.ts";
import { elementsAt } from "../wire/scan.ts";
import { asciiBytes, asciiText } from "../wire/text.ts";

/** The longest list that is accepted: QEMU's has some 10 kB, and filtering a longer one takes time. */
const LIST_BYTES_LIMIT = 64 << 10;

/** The filtered replies by QEMU's reply and by role: a cached reply is filtered once for each role. */
const filtered = new WeakMap<Reply, WeakMap<Role, Reply>>();

/**
 * Checks that a reply to `query-commands` is a list of commands. Other replies are not checked.
 *
 * @throws UnexpectedMessage if it is not a list of commands
 */
export function checkListing({ name }: Command, reply: Reply): void {
  if (name !== "query-commands") return;
  if (reply.bytes.length > LIST_BYTES_LIMIT) {
    throw new UnexpectedMessage("its list of commands is too long", reply.bytes);
  }
  withElements(reply, (element) => {
    if (typeof Object(element).name === "string") return true;
    throw new UnexpectedMessage("its list of commands has an entry without a name", reply.bytes);
  });
}

/** Returns a checked reply to a command as clients with a role may see it. */
export function seenBy(role: Role, { name }: Command, reply: Reply): Reply {
  if (name !== "query-commands" || refusesNothing(role)) return reply;
  let byRole = filtered.get(reply);
  if (byRole === undefined) filtered.set(reply, byRole = new WeakMap());
  let seen = byRole.get(role);
  const isVisible = (element: unknown): boolean =>
    !refusesEntirely(role, (element as { name: string }).name);
  if (seen === undefined) byRole.set(role, seen = withElements(reply, isVisible));
  return seen;
}

/**
 * Removes elements from a returned array; the others keep their bytes and order.
 *
 * @param reply a reply without an id, plain or pretty
 * @param keeps returns whether to keep an element, which is passed decoded
 * @returns the reply itself if it is an error or nothing is removed
 * @throws UnexpectedMessage if it does not return an array of JSON values
 */
export function withElements(reply: Reply, keeps: (element: unknown) => boolean): Reply {
  if (reply.kind === "error") return reply;
  // QEMU's output is ASCII throughout.
  const text = asciiText(reply.bytes, 0, reply.bytes.length);
  const [head] = /^\{\s*"return": \[\s*/.exec(text) ?? [];
  if (head === undefined) throw notElements(reply);
  const { spans, close } = elementsAt(reply.bytes, head.length);
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
