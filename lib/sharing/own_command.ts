/**
 * Commands that qmpmux sends on its own account, to end what clients have left at QEMU.
 *
 * @module
 */

import { quoted } from "../wire/qemu_json.ts";
import { frameOf } from "../wire/frame.ts";
import { readCommand } from "../wire/command_reader.ts";
import type { Command } from "../wire/message.ts";

/** A command that ends something of a client's, and that client. */
export interface Ending<Owner> {
  /** The client. */
  readonly owner: Owner;
  /** The command. */
  readonly command: Command;
}

/** Makes a command; `args` is the text of its arguments. */
export function ownCommand(name: string, args: string): Command {
  const frame = frameOf(`{"execute":${quoted(name)},"arguments":${args}}`);
  return readCommand(frame, false) as Command;
}
