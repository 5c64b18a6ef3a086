/**
 * The search for a command's references to descriptors of QEMU: names, numbers and sets, at any depth.
 *
 * @module
 */

import { Cursor } from "../wire/cursor.ts";
import { FrameSplitter } from "../wire/frame.ts";
import type { Command } from "../wire/message.ts";
import { qemuBytes, type StringEdit, withEdits } from "../wire/spelling.ts";
import { scalarIn } from "./fd_commands.ts";

/**
 * The members whose values name a descriptor, or several ones separated by colons: `vhostfd`, `sock-fds`.
 *
 * `iommufd` does not match, because it names an object.
 */
const NAMING = /(?<!^iommu)fds?$|^(?:fdname|str)$/;
/** The naming members whose value can also be QEMU's number of a descriptor; `str` can in `netdev_add`. */
const NUMBERING = /fds?$|^str$/;
/** The members whose value can be `fd:` and a name, or a number in `migrate-incoming`. */
const PREFIXED: ReadonlySet<string> = new Set(["uri", "protocol"]);
const PREFIX = "fd:";
/** The lists whose elements have a `str` that is plain text, or a chardev in command-line syntax. */
const TEXTS: ReadonlySet<string> = new Set(["dnssearch", "guestfwd", "hostfwd"]);
/** The option with which such a chardev names a descriptor. */
const CHARDEV_FD = "fd=";
/** A number as C reads it. QEMU uses it as a descriptor's number where it cannot look up a name. */
const NUMBER = /^\s*[+-]?\d+$/;
/** The prefix of a file name that contains the options of a block device as JSON. */
const PSEUDO = "json:";
/** The path with which QEMU opens a file from a set; the number of the set follows. */
const SET_PATH = "/dev/fdset/";
/** The most references in one command; QEMU's network devices have at most 1,024 queues. */
const REFERENCES_LIMIT = 1024;
/** The most file names with JSON options in one command, and the most bytes of them all. */
const OPTIONS_LIMIT = 128;
const OPTIONS_BYTES_LIMIT = 64 << 10;
/** Our error for a command that exceeds these limits. */
export const TOO_MANY: string =
  `A command may refer to at most ${REFERENCES_LIMIT} file descriptors, and ` +
  `have at most ${OPTIONS_LIMIT} file names in JSON, of 64 KiB in all; use several commands`;
/** A value that is appended to options, to check that they are exactly one complete value. */
const LAST = "[] ";

/**
 * The members whose descriptor name QEMU has certainly consumed if the command succeeds.
 *
 * Measured on QEMU 7.2 to 11.1. Other commands may succeed without consuming the name, such as
 * `netdev_add` with a `str`.
 */
const TAKING_AWAY: ReadonlyMap<string, RegExp> = new Map([
  ["closefd", /^fdname$/],
  ["add_client", /^fdname$/],
  ["dump-guest-memory", /^protocol$/],
  ["migrate", /^uri$/],
  ["migrate-incoming", /^uri$/],
  ["netdev_add", /fds?$/],
]);

/** A reference to a descriptor. */
export interface FdReference {
  /** The descriptor's name or number. */
  readonly text: string;
  /** Whether the text is QEMU's number of the descriptor. */
  readonly isNumber: boolean;
  /** Whether QEMU has certainly consumed the name if the command succeeds. */
  readonly isTakenAway: boolean;
}

/** The references of a command to descriptors, at any depth. */
export interface FdReferences {
  /** The references by name or by number. */
  readonly names: readonly FdReference[];
  /** The numbers of sets, one for each reference. */
  readonly sets: readonly string[];
  /** Whether a string may contain references that the search cannot find. */
  readonly mayHaveMore: boolean;
}

/** Returns the references of a command; `undefined` if there are too many. */
export function referencesIn(command: Command): FdReferences | undefined {
  const found = searched(command);
  if (found === undefined) return undefined;
  const takingAway = TAKING_AWAY.get(command.name);
  const names = [...partsIn(found.texts)].map(({ part: { text, isNumber }, isTop, key }) => ({
    text,
    isNumber,
    isTakenAway: isTop && takingAway?.test(key) === true,
  }));
  // An HMP command line runs on a monitor of its own, which has none of these names.
  const mayHaveMore = found.mayHaveMore && command.name !== "human-monitor-command";
  return { names, sets: found.sets, mayHaveMore };
}

/** Returns whether a command refers, or may refer, to descriptors by name or number. */
export function namesDescriptors(command: Command): boolean {
  if (command.argumentBytes === undefined) return false;
  const found = searched(command);
  return found === undefined || !partsIn(found.texts).next().done;
}

/**
 * Appends tags to the names of descriptors in a command.
 *
 * @param tagOf returns the tag for a name; empty if it needs none
 * @returns the bytes of the command
 */
export function tagged(command: Command, tagOf: (name: string) => string): Uint8Array {
  const { bytes } = command;
  const args = new Cursor(bytes);
  const found = searched(command);
  if (found === undefined || !args.member("arguments")) return bytes;
  return withEdits(bytes, editsOf(found.texts, tagOf, args.at));
}

/** A name or a number in a string; its end is counted in UTF-16 units. */
interface Part {
  readonly text: string;
  readonly isNumber: boolean;
  readonly end: number;
}

/** A string that names descriptors, or contains options, which may name them. */
interface Text {
  /** The offset of the string in the arguments or options that contain it. */
  readonly start: number;
  readonly end: number;
  /** The name of the member whose value it is. */
  readonly key: string;
  /** Whether that member is at the top level of the arguments. */
  readonly isTop: boolean;
  readonly parts: readonly Part[];
  readonly options: Options | undefined;
}

/** Options as JSON in a file name. */
interface Options {
  /** The options, normalized. */
  readonly bytes: Uint8Array;
  readonly texts: readonly Text[];
}

/** The references found in the arguments of a command. */
interface Found {
  readonly texts: readonly Text[];
  readonly sets: readonly string[];
  readonly mayHaveMore: boolean;
}

const NO_ARGUMENTS = qemuBytes("{}");

const found = new WeakMap<Command, Found | "too many">();

/** Searches the arguments of a command, and caches the result. */
function searched(command: Command): Found | undefined {
  let known = found.get(command);
  if (known === undefined) {
    const search = new Search(command.argumentBytes ?? NO_ARGUMENTS);
    known = search.run() ? search : "too many";
    found.set(command, known);
  }
  return known === "too many" ? undefined : known;
}

/** Yields the names and numbers in texts and in the options of file names. */
function* partsIn(
  texts: readonly Text[],
  inOptions = false,
): Generator<{ part: Part; key: string; isTop: boolean }> {
  for (const { parts, key, isTop, options } of texts) {
    for (const part of parts) yield { part, key, isTop: isTop && !inOptions };
    if (options) yield* partsIn(options.texts, true);
  }
}

function editsOf(
  texts: readonly Text[],
  tagOf: (name: string) => string,
  offset = 0,
): StringEdit[] {
  const edits: StringEdit[] = [];
  for (const { start, end, parts, options } of texts) {
    const place = { start: offset + start, end: offset + end };
    const before = edits.length;
    for (const part of parts) {
      const tag = part.isNumber ? "" : tagOf(part.text);
      if (tag !== "") edits.push({ ...place, at: part.end, text: tag });
    }
    // A string that names a descriptor is not a file name.
    if (edits.length > before || options === undefined) continue;
    const inner = editsOf(options.texts, tagOf);
    if (inner.length === 0) continue;
    const text = PSEUDO + new TextDecoder().decode(withEdits(options.bytes, inner));
    edits.push({ ...place, text });
  }
  return edits;
}

/** The counts of a search so far. */
interface Count {
  /** Whether a string may contain references that the search cannot find. */
  mayHaveMore: boolean;
  references: number;
  options: number;
  optionsBytes: number;
}

/** The position of the key of a value that has no key. */
const NO_KEY = -1;

/** A search through arguments or options, which decodes only strings that may be references. */
class Search implements Found {
  readonly texts: Text[] = [];
  readonly sets: string[];
  readonly #bytes: Uint8Array;
  readonly #cursor: Cursor;
  readonly #count: Count;
  /** The position of the key that was decoded last. */
  #keyAt = NO_KEY;
  #key = "";

  constructor(
    bytes: Uint8Array,
    sets: string[] = [],
    count: Count = { mayHaveMore: false, references: 0, options: 0, optionsBytes: 0 },
  ) {
    this.#bytes = bytes;
    this.#cursor = new Cursor(bytes);
    this.sets = sets;
    this.#count = count;
  }

  get mayHaveMore(): boolean {
    return this.#count.mayHaveMore;
  }

  /**
   * Searches all values.
   *
   * @param setsOnly whether the strings can refer only to sets
   * @returns whether the references are within the limits
   */
  run(setsOnly = false): boolean {
    return this.#value(NO_KEY, 0, false, setsOnly);
  }

  /** Searches the value at the cursor, in the member with this key, and moves past the value. */
  #value(keyAt: number, depth: number, inArray: boolean, setsOnly: boolean): boolean {
    const cursor = this.#cursor;
    if (cursor.isString) {
      const { at } = cursor;
      if (!this.#string(keyAt, depth, inArray, setsOnly)) return false;
      cursor.at = at;
    }
    if (cursor.isScalar) {
      cursor.skip();
      return true;
    }
    const { isObject } = cursor;
    const onlySets = setsOnly || (!isObject && TEXTS.has(bare(this.#keyOf(keyAt))));
    if (!cursor.enter()) return true;
    do {
      if (isObject) {
        keyAt = cursor.at;
        cursor.skipKey();
      }
      if (!this.#value(keyAt, depth + 1, !isObject, onlySets)) return false;
    } while (cursor.next());
    return true;
  }

  #string(keyAt: number, depth: number, inArray: boolean, setsOnly: boolean): boolean {
    const key = setsOnly ? "" : this.#member(keyAt);
    const isNaming = NAMING.test(key) || PREFIXED.has(key);
    const cursor = this.#cursor;
    const isChardev = setsOnly && cursor.canContain(CHARDEV_FD);
    const isFile = cursor.canContain(PSEUDO) || cursor.canContain(SET_PATH);
    if (!isNaming && !isChardev && !isFile) return true;
    const { at: start, scalar: text } = cursor;
    // With `blkdebug::json:…` and some other protocols, QEMU opens the rest of the string as a file name.
    if (text.indexOf(PSEUDO, 1) > 0 && !text.startsWith(PSEUDO)) this.#count.mayHaveMore = true;
    if (isChardev && text.includes(CHARDEV_FD)) this.#count.mayHaveMore = true;
    // QEMU reads the number as C does: with leading spaces, a sign and zeros.
    for (const [, id] of text.matchAll(/\/dev\/fdset\/\s*\+?0*(\d+)/g)) {
      this.sets.push(id!);
      if (!this.#counts()) return false;
    }
    const parts: Part[] = [];
    if (isNaming) {
      for (const part of partsOf(key, inArray, text)) {
        parts.push(part);
        if (!this.#counts()) return false;
      }
    }
    let options: Options | undefined;
    if (text.startsWith(PSEUDO)) {
      if (!this.#countsOptions(text.length)) return false;
      const bytes = optionsIn(text);
      if (bytes !== undefined) {
        const inner = new Search(bytes, this.sets, this.#count);
        if (!inner.run(setsOnly)) return false;
        options = { bytes, texts: inner.texts };
      }
    }
    if (setsOnly || (parts.length === 0 && options === undefined)) return true;
    cursor.skip();
    this.texts.push({ start, end: cursor.at, key, isTop: depth === 1, parts, options });
    return true;
  }

  #counts(): boolean {
    return ++this.#count.references <= REFERENCES_LIMIT;
  }

  #countsOptions(length: number): boolean {
    this.#count.optionsBytes += length;
    return ++this.#count.options <= OPTIONS_LIMIT &&
      this.#count.optionsBytes <= OPTIONS_BYTES_LIMIT;
  }

  /** Returns the member name that determines the meaning of a string. */
  #member(keyAt: number): string {
    const key = this.#keyOf(keyAt);
    // `qom-set` has the name of the property in another member.
    if (key === "value") return scalarIn(new Cursor(this.#bytes), "property") ?? key;
    return bare(key);
  }

  #keyOf(at: number): string {
    if (at !== this.#keyAt) {
      this.#keyAt = at;
      this.#key = at === NO_KEY ? "" : new Cursor(this.#bytes, at).key();
    }
    return this.#key;
  }
}

/** Yields the names and numbers in the string of a member. */
function* partsOf(key: string, inArray: boolean, text: string): Generator<Part> {
  const isPrefixed = PREFIXED.has(key) && text.startsWith(PREFIX);
  if (!isPrefixed && !NAMING.test(key)) return;
  const start = isPrefixed ? PREFIX.length : 0;
  const parts = key.endsWith("fds") && !inArray ? text.split(":") : [text.slice(start)];
  const numbers = isPrefixed || NUMBERING.test(key);
  let end = start - 1;
  for (const part of parts) {
    end += 1 + part.length;
    yield { text: part, isNumber: numbers && NUMBER.test(part), end };
  }
}

/** Returns the last part of a member's name; QEMU's command-line syntax has `addr.str` for nested members. */
function bare(name: string): string {
  return name.slice(name.lastIndexOf(".") + 1);
}

/** Returns the normalized options in a file name; `undefined` if they are malformed, so that QEMU refuses them too. */
function optionsIn(text: string): Uint8Array | undefined {
  const splitter = new FrameSplitter();
  splitter.load(qemuBytes(`${text.slice(PSEUDO.length)} ${LAST}`));
  const frame = splitter.next();
  if (frame === undefined || "damage" in frame || !frame.isObject) return undefined;
  const last = splitter.next();
  const isWhole = last !== undefined && !("damage" in last) && !last.isObject;
  return isWhole && splitter.next() === undefined ? frame.bytes : undefined;
}
