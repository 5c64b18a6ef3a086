/**
 * The reader of clients' commands, which makes QEMU's checks in QEMU's order.
 *
 * @module
 */

import { type Frame, TOO_LONG } from "./frame.ts";
import { type Command, type Id, type Malformed, withoutMember } from "./message.ts";
import { NameTable } from "./names.ts";
import { bucketAt, orderOf } from "./order.ts";
import { Printer } from "./printer.ts";
import { stringAt } from "./text.ts";

const QUOTE = 0x22;
const OPEN_BRACE = 0x7b;

/** The members of a command. */
const EXECUTE = 0;
const EXEC_OOB = 1;
const ARGUMENTS = 2;
const ID = 3;
const OTHER = 4;
const MEMBERS = new NameTable([
  ["execute", EXECUTE],
  ["exec-oob", EXEC_OOB],
  ["arguments", ARGUMENTS],
  ["id", ID],
]);

/** The limit of a pretty id: this many times the client's bytes, but at least `PRETTY_BYTES`. */
const PRETTY_GROWTH = 8;
const PRETTY_BYTES = 65536;

/** The members of a command, located in its frame, and the printer of its id. */
interface Parts {
  /** The index in the frame's `offsets` of each kind of member; `ABSENT` if there is none. */
  readonly places: readonly number[];
  /** The printer of the id. */
  readonly printer: Printer | undefined;
  readonly isPretty: boolean;
}

/** The parts of each prepared frame. */
const prepared = new WeakMap<Frame, Parts>();

/** The indentation level of a reply's members in pretty text. */
const ID_DEPTH = 1;

/** The index of an absent member. */
const ABSENT = -1;

/** Finds the members of a command and creates the printer of its id. */
function partsOf({ bytes, offsets }: Frame, isPretty: boolean): Parts {
  const places = [ABSENT, ABSENT, ABSENT, ABSENT, ABSENT];
  for (let place = 0; place < offsets.length; place += 3) {
    places[MEMBERS.at(bytes, offsets[place]!, offsets[place + 1]! - 1) ?? OTHER] = place;
  }
  const id = places[ID]!;
  if (id === ABSENT) return { places, printer: undefined, isPretty };
  const [start, end] = [offsets[id + 1]!, offsets[id + 2]!];
  const limit = Math.max(PRETTY_BYTES, PRETTY_GROWTH * (end - start));
  const style = isPretty ? { depth: ID_DEPTH, limit } : {};
  return { places, printer: new Printer(bytes, start, end, style), isPretty };
}

/**
 * Prepares a frame for {@linkcode readCommand}: each call prints a part of its id.
 *
 * A client may choose an id that takes a hundred milliseconds to print. If a frame is not
 * prepared, `readCommand` prints its whole id at once.
 *
 * @param isPretty whether QEMU prints with `pretty=on`
 * @param step the number of bytes of the id to print
 * @returns whether the frame is prepared
 */
export function prepareCommand(frame: Frame, isPretty: boolean, step: number): boolean {
  let parts = prepared.get(frame);
  if (parts?.isPretty !== isPretty) prepared.set(frame, parts = partsOf(frame, isPretty));
  return parts.printer === undefined || parts.printer.step(step);
}

/**
 * Reads a frame as QEMU's dispatcher does.
 *
 * @param takesOob whether this client has enabled `oob`; otherwise `exec-oob` is an unknown member
 * @param isPretty whether QEMU prints with `pretty=on`; an id that becomes far longer by it is refused
 */
export function readCommand(
  frame: Frame,
  takesOob: boolean,
  isPretty = false,
): Command | Malformed {
  if (!frame.isObject) {
    return { because: "QMP input must be a JSON object", oob: false, id: undefined };
  }
  const { bytes, offsets } = frame;
  const known = prepared.get(frame);
  const { places, printer } = known?.isPretty === isPretty ? known : partsOf(frame, isPretty);
  const [execute, execOob, args, idPlace, other] = places as Places;
  const oob = execOob !== ABSENT && execute === ABSENT;
  let id: Id;
  if (printer) {
    while (!printer.step(bytes.length));
    id = printer.text;
    if (id === undefined) return { because: TOO_LONG, oob: false, id };
  }
  const verb = execute !== ABSENT ? execute : takesOob ? execOob : ABSENT;
  const wellFormed = verb !== ABSENT && other === ABSENT &&
    (execOob === ABSENT || (takesOob && execute === ABSENT)) &&
    bytes[offsets[verb + 1]!] === QUOTE &&
    (args === ABSENT || bytes[offsets[args + 1]!] === OPEN_BRACE);
  if (!wellFormed) return { because: firstOffence(frame, takesOob), oob, id };
  return {
    name: stringAt(bytes, offsets[verb + 1]!, offsets[verb + 2]!),
    oob,
    id,
    bytes: idPlace === ABSENT ? bytes : withoutMember(frame, idPlace),
    argumentBytes: args === ABSENT
      ? undefined
      : bytes.subarray(offsets[args + 1], offsets[args + 2]),
  };
}

type Places = readonly [number, number, number, number, number];

/** Returns QEMU's error for a malformed command: the first error when members are checked in QEMU's order. */
function firstOffence({ bytes, offsets }: Frame, takesOob: boolean): string {
  let verb: string | undefined;
  const buckets: number[] = [];
  for (let place = 0; place < offsets.length; place += 3) {
    buckets.push(bucketAt(bytes, offsets[place]!, offsets[place + 1]! - 1));
  }
  for (const number of orderOf(buckets)) {
    const place = 3 * number;
    const first = bytes[offsets[place + 1]!];
    const key = stringAt(bytes, offsets[place]!, offsets[place + 1]! - 1);
    if (key === "execute" || (key === "exec-oob" && takesOob)) {
      if (first !== QUOTE) return `QMP input member '${key}' must be a string`;
      if (verb !== undefined) return `QMP input member '${key}' clashes with '${verb}'`;
      verb = key;
    } else if (key === "arguments") {
      if (first !== OPEN_BRACE) return "QMP input member 'arguments' must be an object";
    } else if (key !== "id") return `QMP input member '${key}' is unexpected`;
  }
  return "QMP input lacks member 'execute'";
}
