/**
 * Errors that answer a command, as exit statuses.
 *
 * @module
 */

import type { Refusal } from "../client/session.ts";

/** The text by which qmpmux refuses a command because of a role. */
const REFUSED_BY_ROLE = /^The command .+ has been refused: role /s;

/** Returns 77 where a role refuses the command, and 1 for any other error. */
export function statusOfError({ errorClass, desc }: Refusal): 1 | 77 {
  return errorClass === "CommandNotFound" && REFUSED_BY_ROLE.test(desc) ? 77 : 1;
}
