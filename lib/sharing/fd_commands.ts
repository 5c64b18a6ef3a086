/**
 * QEMU's commands that pass and close descriptors, such as `getfd` and `add-fd`, and their arguments.
 *
 * Also the commands with which qmpmux itself closes descriptors of departed clients.
 *
 * @module
 */

import type { Cursor } from "../wire/cursor.ts";
import { readCommand } from "../wire/command_reader.ts";
import { frameOf } from "../wire/frame.ts";
import { argumentsOf, type Command } from "../wire/message.ts";
import { quoted } from "../wire/spelling.ts";

/** The commands that consume a received descriptor. */
const TAKERS: ReadonlySet<string> = new Set(["getfd", "add-fd"]);
/** The commands that close a descriptor. */
const ENDERS: ReadonlySet<string> = new Set(["closefd", "remove-fd"]);

/** Returns whether a command consumes a received descriptor if it runs. */
export function takesDescriptor({ name }: Command): boolean {
  return TAKERS.has(name);
}

/** Returns whether a command only passes or closes descriptors. */
export function isAboutDescriptors({ name }: Command): boolean {
  return TAKERS.has(name) || ENDERS.has(name);
}

/**
 * Returns whether a `getfd` or `add-fd` certainly consumes its descriptor, because its arguments are valid.
 *
 * With invalid arguments QEMU does not run it. The descriptor would stay in QEMU for the next
 * such command, which may be another client's.
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

/** Returns the text of a scalar argument of a command; `undefined` if there is none of this name. */
export function scalar(command: Command, key: string): string | undefined {
  return scalarIn(argumentsOf(command), key);
}

/** Returns the text of a scalar member of an object; `undefined` if there is none of this name. */
export function scalarIn(object: Cursor, key: string): string | undefined {
  return object.member(key) && object.isScalar ? object.scalar : undefined;
}

/** Returns the name that a `getfd` gives its descriptor; `undefined` for other commands, or if it is not a string. */
export function nameGivenBy(command: Command): string | undefined {
  if (command.name !== "getfd") return undefined;
  const args = argumentsOf(command);
  return args.member("fdname") && args.isString ? args.scalar : undefined;
}

/** Returns whether the only argument of a command is `fdname`, a string. */
export function isOneName(command: Command): boolean {
  const args = argumentsOf(command);
  if (!args.enter() || !args.keyIs("fdname") || !args.isString) return false;
  args.skip();
  return !args.next();
}

/** Returns whether a value is a non-negative integer of at most nine digits, without sign, point or exponent. */
function isSmallNumber(value: Cursor): boolean {
  return value.isNumber && /^\d{1,9}$/.test(value.raw);
}

/** Returns whether a nested object has a member of this name, and so may outlive the outer object. */
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

/** A command that closes a descriptor of a client, and that client. */
export interface Cleanup<Owner> {
  /** The client. */
  readonly owner: Owner;
  /** The command. */
  readonly command: Command;
}

/** Makes a command of qmpmux itself; `args` is its arguments as JSON text. */
export function ownCommand(name: string, args: string): Command {
  const frame = frameOf(`{"execute":${quoted(name)},"arguments":${args}}`);
  return readCommand(frame, false) as Command;
}
