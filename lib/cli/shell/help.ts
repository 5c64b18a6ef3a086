/**
 * The help of the shell.
 *
 * @module
 */

import { OWN_COMMANDS } from "./own_commands.ts";
import type { Outcome, Session } from "./session.ts";

/** Explains the shell, or a command. */
// deno-lint-ignore require-await -- To come.
export async function helpOn(
  { view }: Session,
  _name: string,
  _signal: AbortSignal,
): Promise<Outcome> {
  const rows = Object.entries(OWN_COMMANDS).map(([name, { usage, help }]) =>
    `${`\\${name} ${usage}`.padEnd(36)}  ${help}`
  );
  view.print(rows.join("\n"));
  return 0;
}
