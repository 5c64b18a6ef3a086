/**
 * What a command says of QEMU's descriptors: names, numbers and sets, wherever it says so.
 *
 * @module
 */

import { qemuBytes } from "../wire/format.ts";
import { FrameSplitter } from "../wire/frame.ts";
import type { Command } from "../wire/message.ts";
import { Value } from "../wire/value.ts";

/** The commands that take a descriptor that has come. */
const TAKERS: ReadonlySet<string> = new Set(["getfd", "add-fd"]);
/** The commands that need one to be there. */
const ENDERS: ReadonlySet<string> = new Set(["closefd", "remove-fd"]);

/**
 * The members whose values name a descriptor, or several with colons between: `vhostfd`, `sock-fds`.
 * An `iommufd` is an object.
 */
const NAMING = /(?<!^iommu)fds?$|^(?:fdname|str)$/;
/** Those of them that can have QEMU's own number of a descriptor instead; `str` has it for `netdev_add`. */
const NUMBERING = /fds?$|^str$/;
/** The members that can be `fd:` and a name; for `migrate-incoming` a number, too. */
const PREFIXED: ReadonlySet<string> = new Set(["uri", "protocol"]);
/** Lists whose elements have a `str` that is just a text. */
const TEXTS: ReadonlySet<string> = new Set(["dnssearch", "guestfwd", "hostfwd"]);
/** What begins a file's name that is a block device's options, as JSON. */
const PSEUDO = "json:";
/** A value to put behind options, to see that they are one value and not half of another. */
const LAST = "[] ";

/** Does a command take a descriptor, if it runs? */
export function takesDescriptor({ name }: Command): boolean {
  return TAKERS.has(name);
}

/** Is it about descriptors, and nothing else? */
export function isAboutDescriptors({ name }: Command): boolean {
  return TAKERS.has(name) || ENDERS.has(name);
}

/**
 * Does QEMU's handler of such a command surely run, and take what came?
 *
 * Where its arguments are wrong it does not, and what came would wait at QEMU for
 * whoever asks next.
 */
export function takesSurely(command: Command): boolean {
  const args = argumentsOf(command);
  if (command.name === "getfd") return isOneName(args);
  return [...args.members()].every(([key, value]) => {
    return key === "opaque" ? value.isString : key === "fdset-id" && isSmallNumber(value);
  });
}

const NO_ARGUMENTS = new Value(new TextEncoder().encode("{}"));

/** The arguments of a command; an empty object where it has none. */
export function argumentsOf({ argumentBytes }: Command): Value {
  return argumentBytes === undefined ? NO_ARGUMENTS : new Value(argumentBytes);
}

/** A member that is a string or a number, decoded. */
export function scalar(args: Value, key: string): string | undefined {
  for (const [name, value] of args.members()) if (name === key) return value.scalar;
  return undefined;
}

/** What names a descriptor, and the member that does. */
export interface Naming {
  /** Its name, or its number. */
  readonly text: string;
  /** Is it QEMU's own number of it? */
  readonly isNumber: boolean;
}

/** The names of descriptors in a value, at any depth. */
export function* namesIn(args: Value): Generator<Naming> {
  // `qom-set` has the name as a value.
  const property = scalar(args, "property");
  for (const { name, inArray, value } of args.leaves((name) => TEXTS.has(bare(name)))) {
    if (!value.isString) continue;
    const text = value.scalar!;
    const key = name === "value" ? property ?? name : bare(name);
    if (PREFIXED.has(key) && text.startsWith("fd:")) {
      yield { text: text.slice(3), isNumber: /^\d+$/.test(text.slice(3)) };
    }
    if (NAMING.test(key)) {
      const names = key.endsWith("fds") && !inArray ? text.split(":") : [text];
      for (const each of names) {
        yield { text: each, isNumber: NUMBERING.test(key) && /^\d+$/.test(each) };
      }
    }
    const options = optionsIn(text);
    if (options) yield* namesIn(options);
  }
}

/** A member's own name: QEMU's command line has `addr.str` for what is nested. */
function bare(name: string): string {
  return name.slice(name.lastIndexOf(".") + 1);
}

/** The numbers of the sets that are named in a value, each as often as it is. */
export function* setsNamedIn(args: Value): Generator<string> {
  for (const text of textsIn(args)) {
    // QEMU reads the number as C does.
    for (const [, id] of text.matchAll(/\/dev\/fdset\/\s*\+?0*(\d+)/g)) yield id!;
  }
}

/** All texts and numbers in a value, also in a file's name. */
function* textsIn(value: Value): Generator<string> {
  for (const text of value.scalars()) {
    yield text;
    const options = optionsIn(text);
    if (options) yield* textsIn(options);
  }
}

/** The options that a file's name is; `undefined` where QEMU cannot read them either. */
function optionsIn(text: string): Value | undefined {
  if (!text.startsWith(PSEUDO)) return undefined;
  const splitter = new FrameSplitter();
  splitter.load(qemuBytes(`${text.slice(PSEUDO.length)} ${LAST}`));
  const frame = splitter.next();
  if (frame === undefined || "damage" in frame || !frame.isObject) return undefined;
  const last = splitter.next();
  const isWhole = last !== undefined && !("damage" in last) && !last.isObject;
  return isWhole && splitter.next() === undefined ? new Value(frame.bytes) : undefined;
}

/** Are these the arguments of a command that takes a name and nothing else? */
export function isOneName(args: Value): boolean {
  const [[key, value] = [], ...others] = args.members();
  return key === "fdname" && value?.isString === true && others.length === 0;
}

/** Is it a number that no reader can take for anything else? */
function isSmallNumber(value: Value): boolean {
  return /^\d{1,9}$/.test(value.raw);
}

/** Is there a member of this name deeper inside? What it makes may outlive the whole. */
export function hasInner(args: Value, member: string): boolean {
  for (const { name, depth } of args.leaves()) if (depth > 1 && name === member) return true;
  return false;
}
