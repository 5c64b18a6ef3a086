/**
 * References of a command to QEMU's descriptors: names, numbers and sets, wherever they stand.
 *
 * @module
 */

import { qemuBytes } from "../wire/format.ts";
import { FrameSplitter } from "../wire/frame.ts";
import type { Command } from "../wire/message.ts";
import { type StringEdit, withEdits } from "../wire/string_edits.ts";
import { type Leaf, Value } from "../wire/value.ts";

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
const PREFIX = "fd:";
/** Lists whose elements have a `str` that is just a text. */
const TEXTS: ReadonlySet<string> = new Set(["dnssearch", "guestfwd", "hostfwd"]);
/** What begins a file's name that is a block device's options, as JSON. */
const PSEUDO = "json:";
/** A value to put behind options, to see that they are one value and not half of another. */
const LAST = "[] ";

/**
 * The members whose names QEMU has surely taken away when the command has succeeded.
 *
 * Measured on QEMU 7.2 to 11.1. Others succeed and leave the name there, such as
 * `netdev_add` with a `str`, or do not look at it at all.
 */
const TAKING_AWAY: ReadonlyMap<string, RegExp> = new Map([
  ["closefd", /^fdname$/],
  ["add_client", /^fdname$/],
  ["dump-guest-memory", /^protocol$/],
  ["migrate", /^uri$/],
  ["migrate-incoming", /^uri$/],
  ["netdev_add", /fds?$/],
]);

/** Whether a command takes a descriptor, if it runs. */
export function takesDescriptor({ name }: Command): boolean {
  return TAKERS.has(name);
}

/** Whether a command is about descriptors, and nothing else. */
export function isAboutDescriptors({ name }: Command): boolean {
  return TAKERS.has(name) || ENDERS.has(name);
}

/**
 * Whether QEMU's handler of such a command surely runs, and takes what came.
 *
 * With wrong arguments it does not, and what came would wait at QEMU for the
 * client that asks next.
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

/** A reference to a descriptor. */
export interface FdReference {
  /** Its name, or its number. */
  readonly text: string;
  /** Whether it is QEMU's own number. */
  readonly isNumber: boolean;
  /** Whether QEMU has surely taken the name away once the command has succeeded. */
  readonly isTakenAway: boolean;
}

/** The references of a command to descriptors, at any depth. */
export function* referencesIn(command: Command): Generator<FdReference> {
  const takingAway = TAKING_AWAY.get(command.name);
  for (const { text, depth, key, isNumber } of placesIn(argumentsOf(command))) {
    yield { text, isNumber, isTakenAway: depth === 1 && takingAway?.test(key) === true };
  }
}

/** Whether a command refers to descriptors by name. */
export function namesDescriptors(command: Command): boolean {
  return command.argumentBytes !== undefined && !placesIn(argumentsOf(command)).next().done;
}

/**
 * The bytes of a command with tags behind the names of descriptors.
 *
 * @param tagOf gives the tag of a name, empty where it has none
 */
export function tagged({ bytes }: Command, tagOf: (name: string) => string): Uint8Array {
  for (const [name, args] of new Value(bytes).members()) {
    if (name === "arguments") return withEdits(bytes, editsIn(args, tagOf));
  }
  return bytes;
}

/** A name or a number of a descriptor, and its place. */
interface Place {
  readonly text: string;
  readonly isNumber: boolean;
  /** The member that it is in, and how deep; infinitely deep in a file's name. */
  readonly key: string;
  readonly depth: number;
}

function* placesIn(args: Value): Generator<Place> {
  for (const { leaf, key } of textsOf(args)) {
    const text = leaf.value.scalar!;
    for (const part of partsOf(key, leaf, text)) yield { ...part, key, depth: leaf.depth };
    const options = optionsIn(text);
    if (options === undefined) continue;
    for (const place of placesIn(new Value(options))) yield { ...place, depth: Infinity };
  }
}

function editsIn(args: Value, tagOf: (name: string) => string): StringEdit[] {
  const edits: StringEdit[] = [];
  for (const { leaf, key } of textsOf(args)) {
    const { value } = leaf;
    const text = value.scalar!;
    const before = edits.length;
    for (const part of partsOf(key, leaf, text)) {
      const tag = part.isNumber ? "" : tagOf(part.text);
      if (tag !== "") edits.push({ value, at: part.end, text: tag });
    }
    // A text that is the name of a descriptor is not that of a file.
    if (edits.length > before) continue;
    const options = optionsIn(text);
    const inner = options && editsIn(new Value(options), tagOf);
    if (inner === undefined || inner.length === 0) continue;
    edits.push({ value, text: PSEUDO + new TextDecoder().decode(withEdits(options!, inner)) });
  }
  return edits;
}

/** The strings that can refer to descriptors, with the member that says so. */
function* textsOf(args: Value): Generator<{ leaf: Leaf; key: string }> {
  // `qom-set` has the name as a value.
  const property = scalar(args, "property");
  for (const leaf of args.leaves((name) => TEXTS.has(bare(name)))) {
    if (!leaf.value.isString) continue;
    yield { leaf, key: leaf.name === "value" ? property ?? leaf.name : bare(leaf.name) };
  }
}

/** The names and numbers that a text of a member is, each with its end in UTF-16 units. */
function* partsOf(
  key: string,
  { inArray }: Leaf,
  text: string,
): Generator<{ text: string; isNumber: boolean; end: number }> {
  const isPrefixed = PREFIXED.has(key) && text.startsWith(PREFIX);
  if (!isPrefixed && !NAMING.test(key)) return;
  const start = isPrefixed ? PREFIX.length : 0;
  const parts = key.endsWith("fds") && !inArray ? text.split(":") : [text.slice(start)];
  const numbers = isPrefixed || NUMBERING.test(key);
  let end = start - 1;
  for (const part of parts) {
    end += 1 + part.length;
    yield { text: part, isNumber: numbers && /^\d+$/.test(part), end };
  }
}

/** A member's own name: QEMU's command line has `addr.str` for what is nested. */
function bare(name: string): string {
  return name.slice(name.lastIndexOf(".") + 1);
}

/** The numbers of the sets that are named in a value, each as often as it is. */
export function* setsNamedIn(args: Value): Generator<string> {
  for (const text of allTextsIn(args)) {
    // QEMU reads the number as C does.
    for (const [, id] of text.matchAll(/\/dev\/fdset\/\s*\+?0*(\d+)/g)) yield id!;
  }
}

/** All texts and numbers in a value, also in a file's name. */
function* allTextsIn(value: Value): Generator<string> {
  for (const text of value.scalars()) {
    yield text;
    const options = optionsIn(text);
    if (options) yield* allTextsIn(new Value(options));
  }
}

/** The options that a file's name is, re-spelled; `undefined` where QEMU cannot read them either. */
function optionsIn(text: string): Uint8Array | undefined {
  if (!text.startsWith(PSEUDO)) return undefined;
  const splitter = new FrameSplitter();
  splitter.load(qemuBytes(`${text.slice(PSEUDO.length)} ${LAST}`));
  const frame = splitter.next();
  if (frame === undefined || "damage" in frame || !frame.isObject) return undefined;
  const last = splitter.next();
  const isWhole = last !== undefined && !("damage" in last) && !last.isObject;
  return isWhole && splitter.next() === undefined ? frame.bytes : undefined;
}

/** The name that `getfd` gives; `undefined` for other commands, and where it is none. */
export function nameGivenBy(command: Command): string | undefined {
  if (command.name !== "getfd") return undefined;
  for (const [key, value] of argumentsOf(command).members()) {
    if (key === "fdname" && value.isString) return value.scalar;
  }
  return undefined;
}

/** Whether these are the arguments of a command that takes a name and nothing else. */
export function isOneName(args: Value): boolean {
  const [[key, value] = [], ...others] = args.members();
  return key === "fdname" && value?.isString === true && others.length === 0;
}

/** Whether a value is a number that no reader can take for anything else. */
function isSmallNumber(value: Value): boolean {
  return /^\d{1,9}$/.test(value.raw);
}

/** Whether a member of this name is deeper inside; what it makes may outlive the whole. */
export function hasInner(args: Value, member: string): boolean {
  for (const { name, depth } of args.leaves()) if (depth > 1 && name === member) return true;
  return false;
}
