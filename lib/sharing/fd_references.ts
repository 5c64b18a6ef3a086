/**
 * References of a command to QEMU's descriptors: names, numbers and sets, at any depth.
 *
 * @module
 */

import { Cursor } from "../wire/cursor.ts";
import { FrameSplitter } from "../wire/frame.ts";
import type { Command } from "../wire/message.ts";
import { qemuBytes, type StringEdit, withEdits } from "../wire/spelling.ts";
import { scalarIn } from "./fd_commands.ts";

/**
 * The members whose values name a descriptor, or several with colons between: `vhostfd`, `sock-fds`.
 * An `iommufd` is an object.
 */
const NAMING = /(?<!^iommu)fds?$|^(?:fdname|str)$/;
/** The ones whose value can be QEMU's own number of a descriptor instead; `str` can for `netdev_add`. */
const NUMBERING = /fds?$|^str$/;
/** The members whose value can be `fd:` and a name; for `migrate-incoming` a number, too. */
const PREFIXED: ReadonlySet<string> = new Set(["uri", "protocol"]);
const PREFIX = "fd:";
/** The lists whose elements have a `str` that is plain text, or a chardev as on QEMU's command line. */
const TEXTS: ReadonlySet<string> = new Set(["dnssearch", "guestfwd", "hostfwd"]);
/** The option by which such a chardev names a descriptor. */
const CHARDEV_FD = "fd=";
/** A number as C reads it: QEMU takes one as a descriptor where no monitor can resolve a name. */
const NUMBER = /^\s*[+-]?\d+$/;
/** The prefix of a file's name that is a block device's options, as JSON. */
const PSEUDO = "json:";
/** A part of the name of each file that QEMU opens from a set. */
const SET_PATH = "/dev/fdset/";
/** The number of references in one command; QEMU's network devices have 1,024 queues. */
const REFERENCES_LIMIT = 1024;
/** The number of options examined in one command, and their bytes in all. */
const OPTIONS_LIMIT = 128;
const OPTIONS_BYTES_LIMIT = 64 << 10;
/** The text of our error for a command with more of them. */
export const TOO_MANY: string =
  `A command may refer to at most ${REFERENCES_LIMIT} file descriptors, and ` +
  `have at most ${OPTIONS_LIMIT} file names in JSON, of 64 KiB in all; use several commands`;
/** A value appended to options, to check that they are one complete value. */
const LAST = "[] ";

/**
 * The members whose descriptor name QEMU has certainly consumed when the command succeeds.
 *
 * Measured on QEMU 7.2 to 11.1. Other commands succeed and leave the name, such as
 * `netdev_add` with a `str`, or ignore it.
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
  /** Whether it is QEMU's own number. */
  readonly isNumber: boolean;
  /** Whether QEMU has certainly taken the name away once the command has succeeded. */
  readonly isTakenAway: boolean;
}

/** The references of a command to descriptors, at any depth. */
export interface FdReferences {
  /** Names and numbers. */
  readonly names: readonly FdReference[];
  /** The numbers of sets, each as often as it is named. */
  readonly sets: readonly string[];
  /** Whether a text may contain references that were not found. */
  readonly mayHaveMore: boolean;
}

/** Returns the references of a command; `undefined` if it has too many. */
export function referencesIn(command: Command): FdReferences | undefined {
  const found = searched(command);
  if (found === undefined) return undefined;
  const takingAway = TAKING_AWAY.get(command.name);
  const names = [...partsIn(found.texts)].map(({ part: { text, isNumber }, isTop, key }) => ({
    text,
    isNumber,
    isTakenAway: isTop && takingAway?.test(key) === true,
  }));
  // A line of HMP runs on its own monitor, which has none of these names.
  const mayHaveMore = found.mayHaveMore && command.name !== "human-monitor-command";
  return { names, sets: found.sets, mayHaveMore };
}

/** Returns whether a command refers to descriptors by name, or may. */
export function namesDescriptors(command: Command): boolean {
  if (command.argumentBytes === undefined) return false;
  const found = searched(command);
  return found === undefined || !partsIn(found.texts).next().done;
}

/**
 * Returns the bytes of a command with tags after the names of descriptors.
 *
 * @param tagOf returns the tag of a name, empty if it has none
 */
export function tagged(command: Command, tagOf: (name: string) => string): Uint8Array {
  const { bytes } = command;
  const args = new Cursor(bytes);
  const found = searched(command);
  if (found === undefined || !args.member("arguments")) return bytes;
  return withEdits(bytes, editsOf(found.texts, tagOf, args.at));
}

/** A name or a number in a text, with its end in UTF-16 units. */
interface Part {
  readonly text: string;
  readonly isNumber: boolean;
  readonly end: number;
}

/** A string that names descriptors, or options that may. */
interface Text {
  /** The offset of its start in the bytes of the arguments or options that contain it. */
  readonly start: number;
  readonly end: number;
  /** The name of its member. */
  readonly key: string;
  /** Whether its member is at the top level of the arguments. */
  readonly isTop: boolean;
  readonly parts: readonly Part[];
  readonly options: Options | undefined;
}

/** Options as JSON in a file's name. */
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

/** Searches the arguments of a command, once. */
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
    // The name of a descriptor is not the name of a file.
    if (edits.length > before || options === undefined) continue;
    const inner = editsOf(options.texts, tagOf);
    if (inner.length === 0) continue;
    const text = PSEUDO + new TextDecoder().decode(withEdits(options.bytes, inner));
    edits.push({ ...place, text });
  }
  return edits;
}

/** The number of references found so far. */
interface Count {
  /** Whether a text may contain more that is not found. */
  mayHaveMore: boolean;
  references: number;
  options: number;
  optionsBytes: number;
}

/** The position of a missing key. */
const NO_KEY = -1;

/** A search through arguments or options that decodes only possible references. */
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
   * Searches all of it.
   *
   * @param setsOnly whether its texts can name sets only
   * @returns whether it stays within the limits
   */
  run(setsOnly = false): boolean {
    return this.#value(NO_KEY, 0, false, setsOnly);
  }

  /** Searches the value at the cursor, in a member of this key, and moves behind it. */
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
    // `blkdebug::json:…` opens the rest of the text, as some other protocols do.
    if (text.indexOf(PSEUDO, 1) > 0 && !text.startsWith(PSEUDO)) this.#count.mayHaveMore = true;
    if (isChardev && text.includes(CHARDEV_FD)) this.#count.mayHaveMore = true;
    // QEMU reads the number as C does.
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

  /** Returns the name that gives a string its meaning. */
  #member(keyAt: number): string {
    const key = this.#keyOf(keyAt);
    // `qom-set` has the name in another member.
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

/** Yields the names and numbers in the text of a member. */
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

/** Returns the last part of a member's name: QEMU's command line has `addr.str` for nested members. */
function bare(name: string): string {
  return name.slice(name.lastIndexOf(".") + 1);
}

/** Returns the options in a file's name, normalized; `undefined` if QEMU cannot read them either. */
function optionsIn(text: string): Uint8Array | undefined {
  const splitter = new FrameSplitter();
  splitter.load(qemuBytes(`${text.slice(PSEUDO.length)} ${LAST}`));
  const frame = splitter.next();
  if (frame === undefined || "damage" in frame || !frame.isObject) return undefined;
  const last = splitter.next();
  const isWhole = last !== undefined && !("damage" in last) && !last.isObject;
  return isWhole && splitter.next() === undefined ? frame.bytes : undefined;
}
