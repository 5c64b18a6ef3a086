/**
 * The list of commands that a role may see.
 *
 * It is QEMU's reply to `query-commands` without the commands that the role
 * refuses whatever the arguments. If it refuses none, the bytes are QEMU's.
 *
 * @module
 */

import { refusesEntirely, refusesNothing, type Role } from "../policy/policy.ts";
import { withElements } from "../wire/elements.ts";
import type { Command, Reply } from "../wire/message.ts";
import { UnexpectedMessage } from "../wire/unexpected.ts";

/** The longest list: QEMU's has some 10 kB, and filtering takes time with its length. */
const LIST_BYTES_LIMIT = 64 << 10;

/** The filtered replies by QEMU's: a cached reply is filtered once for each role. */
const filtered = new WeakMap<Reply, WeakMap<Role, Reply>>();

/**
 * Checks that a reply to `query-commands` is a list of commands; every other reply passes.
 *
 * @throws UnexpectedMessage if it is not one
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

/** Returns a checked reply to a command as a client in a role may see it. */
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
