/**
 * QEMU's commands for descriptors (`getfd`, `add-fd` and those that close), and their arguments;
 * and the commands that qmpmux itself sends, to close leftovers of clients.
 *
 * @module
 */

import type { Cursor } from "../wire/cursor.ts";
import { readCommand } from "../wire/command_reader.ts";
import { frameOf } from "../wire/frame.ts";
import { argumentsOf, type Command } from "../wire/message.ts";
import { quoted } from "../wire/spelling.ts";

/** The commands that take a received descriptor. */
const TAKERS: ReadonlySet<string> = new Set(["getfd", "add-fd"]);
/** The commands that close a descriptor. */
const ENDERS: ReadonlySet<string> = new Set(["closefd", "remove-fd"]);

/** Returns whether a command takes a descriptor if it runs. */
export function takesDescriptor({ name }: Command): boolean {
  return TAKERS.has(name);
}

/** Returns whether a command concerns descriptors and nothing else. */
export function isAboutDescriptors({ name }: Command): boolean {
  return TAKERS.has(name) || ENDERS.has(name);
}

/**
 * Returns whether QEMU's handler of such a command certainly runs, and takes the descriptor.
 *
 * With wrong arguments it does not run, and the descriptor would wait at QEMU for
 * the next client's command.
 */
export function takesSurely(command: Command): boolean {
  if (command.name === "getfd") return isOneName(command);
  const args = argumentsOf(command);
  if (!args.enter()) return true;
  do {
    const key = args.key();
    const fits = key === "opaque" ? args.isString : key === "fdset-id" && isSmallNumber(args);
    if (!fits) return false;
    args.skip();
  } while (args.next());
  return true;
}

/** Returns a member of a command's arguments that is a string or a number, decoded. */
export function scalar(command: Command, key: string): string | undefined {
  return scalarIn(argumentsOf(command), key);
}

/** Returns a member of an object that is a string or a number, decoded. */
export function scalarIn(object: Cursor, key: string): string | undefined {
  return object.member(key) && object.isScalar ? object.scalar : undefined;
}

/** Returns the name that `getfd` gives; `undefined` for other commands, and if it is not a string. */
export function nameGivenBy(command: Command): string | undefined {
  if (command.name !== "getfd") return undefined;
  const args = argumentsOf(command);
  return args.member("fdname") && args.isString ? args.scalar : undefined;
}

/** Returns whether a command has a name and no other argument. */
export function isOneName(command: Command): boolean {
  const args = argumentsOf(command);
  if (!args.enter() || !args.keyIs("fdname") || !args.isString) return false;
  args.skip();
  return !args.next();
}

/** Returns whether a value is a number that every reader reads alike. */
function isSmallNumber(value: Cursor): boolean {
  return value.isNumber && /^\d{1,9}$/.test(value.raw);
}

/** Returns whether a nested object has a member of this name: it may outlive the outer one. */
export function hasInner(command: Command, member: string): boolean {
  const args = argumentsOf(command);
  const hasIt = (depth: number): boolean => {
    const { isObject } = args;
    if (args.isScalar) args.skip();
    else if (args.enter()) {
      do {
        if (isObject && args.keyIs(member) && depth > 0) return true;
        if (hasIt(depth + 1)) return true;
      } while (args.next());
    }
    return false;
  };
  return hasIt(0);
}

/** A command that cleans up after a client, and that client. */
export interface Cleanup<Owner> {
  /** The client. */
  readonly owner: Owner;
  /** The command. */
  readonly command: Command;
}

/** Returns a command of qmpmux itself; `args` is the text of its arguments. */
export function ownCommand(name: string, args: string): Command {
  const frame = frameOf(`{"execute":${quoted(name)},"arguments":${args}}`);
  return readCommand(frame, false) as Command;
}
