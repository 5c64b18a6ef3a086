/**
 * The list of commands as a role may see it.
 *
 * QEMU's own answer to `query-commands`, less what the role refuses whatever
 * the arguments. Where it refuses nothing, the bytes are QEMU's.
 *
 * @module
 */

import { refusesEntirely, refusesNothing, type Role } from "../terms/policy.ts";
import { withElements } from "../wire/elements.ts";
import type { Command, Reply } from "../wire/message.ts";

/** A reply to a command as a client in a role may see it. */
export function seenBy(role: Role, command: Command, reply: Reply): Reply {
  if (command.name !== "query-commands" || refusesNothing(role)) return reply;
  return withElements(reply, (element) => {
    const { name } = Object(element);
    return typeof name !== "string" || !refusesEntirely(role, name);
  });
}
