/**
 * Commands that qmpmux itself sends, to close leftovers of clients at QEMU.
 *
 * @module
 */

import { quoted } from "../wire/qemu_json.ts";
import { frameOf } from "../wire/frame.ts";
import { readCommand } from "../wire/command_reader.ts";
import type { Command } from "../wire/message.ts";

/** A command that cleans up after a client, and that client. */
export interface Cleanup<Owner> {
  /** The client. */
  readonly owner: Owner;
  /** The command. */
  readonly command: Command;
}

/** Returns a command; `args` is the text of its arguments. */
export function ownCommand(name: string, args: string): Command {
  const frame = frameOf(`{"execute":${quoted(name)},"arguments":${args}}`);
  return readCommand(frame, false) as Command;
}
