/**
 * The list of commands as a role may see it.
 *
 * It is QEMU's own answer to `query-commands`, less what the role refuses whatever
 * the arguments. Where it refuses nothing, the bytes are QEMU's.
 *
 * @module
 */

import { refusesEntirely, refusesNothing, type Role } from "../policy/policy.ts";
import { withElements } from "../wire/elements.ts";
import type { Command, Reply } from "../wire/message.ts";
import { UnexpectedMessage } from "../wire/unexpected.ts";

/** QEMU's list has some 10 kB; filtering takes time with its length. */
const LIST_BYTES_LIMIT = 64 << 10;

/** The filtered replies, by QEMU's: a reply that is cached is filtered once for a role. */
const filtered = new WeakMap<Reply, WeakMap<Role, Reply>>();

/**
 * Checks that a reply to `query-commands` is a list of commands; any other passes.
 *
 * @throws UnexpectedMessage where it is not one
 */
export function checkListing({ name }: Command, reply: Reply): void {
  if (name !== "query-commands") return;
  if (reply.bytes.length > LIST_BYTES_LIMIT) {
    throw new UnexpectedMessage("its list of commands is too long", reply.bytes);
  }
  withElements(reply, (element) => {
    if (typeof Object(element).name === "string") return true;
    throw new UnexpectedMessage("its list of commands holds one without a name", reply.bytes);
  });
}

/** A reply to a command, checked, as a client in a role may see it. */
export function seenBy(role: Role, { name }: Command, reply: Reply): Reply {
  if (name !== "query-commands" || refusesNothing(role)) return reply;
  let byRole = filtered.get(reply);
  if (byRole === undefined) filtered.set(reply, byRole = new WeakMap());
  let seen = byRole.get(role);
  if (seen === undefined) byRole.set(role, seen = visibleTo(role, reply));
  return seen;
}

function visibleTo(role: Role, reply: Reply): Reply {
  return withElements(
    reply,
    (element) => !refusesEntirely(role, (element as { name: string }).name),
  );
}
