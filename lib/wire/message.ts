/**
 * The messages of QMP, and the reader of QEMU's messages: greetings, replies and events.
 *
 * The content of a reply is never parsed; the reader finds its kind and removes its id.
 *
 * @module
 */

import { type Frame, FrameSplitter } from "./frame.ts";
import { Cursor } from "./cursor.ts";
import { canonical } from "./qemu_json.ts";
import { NameTable } from "./names.ts";
import { asciiBytes, asciiText, joined, shown, stringAt } from "./text.ts";

/** A client's id as QEMU prints it; `undefined` for a command without an id. */
export type Id = string | undefined;

/** A well-formed command. */
export interface Command {
  /** The decoded name. */
  readonly name: string;
  /** Whether it was sent with `exec-oob`. */
  readonly oob: boolean;
  /** The id for its reply. */
  readonly id: Id;
  /** The normalized command without its id, for QEMU. */
  readonly bytes: Uint8Array;
  /** The bytes of the `arguments` object, if there is one. */
  readonly argumentBytes: Uint8Array | undefined;
}

/** A malformed command. */
export interface Malformed {
  /** The `desc` of QEMU's error. */
  readonly because: string;
  /** Whether QEMU replies to it out of band. */
  readonly oob: boolean;
  /** The id for its reply. */
  readonly id: Id;
}

const QUOTE = 0x22;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const DECODER = new TextDecoder();

const NO_ARGUMENTS = asciiBytes("{}");

/** Returns a cursor at the arguments of a command, or at an empty object when it has none. */
export function argumentsOf(
  { argumentBytes = NO_ARGUMENTS }: Pick<Command, "argumentBytes">,
): Cursor {
  return new Cursor(argumentBytes);
}

/** Returns the arguments of a command as JSON text, `{}` when it has none. */
export function argumentsText({ argumentBytes }: Command): string {
  return argumentBytes === undefined ? "{}" : DECODER.decode(argumentBytes);
}

/** Returns a frame's bytes without one member and its comma. */
export function withoutMember({ bytes, offsets }: Frame, place: number): Uint8Array {
  const [keyStart, end] = [offsets[place]!, offsets[place + 2]!];
  const first = bytes[keyStart - 1] === OPEN_BRACE;
  const last = bytes[end] === CLOSE_BRACE;
  const from = first ? keyStart : keyStart - 1;
  return without(bytes, from, first && !last ? end + 1 : end);
}

/** Copies bytes without a part of them. */
function without(bytes: Uint8Array, from: number, to: number): Uint8Array {
  const rest = new Uint8Array(bytes.length - (to - from));
  rest.set(bytes.subarray(0, from));
  rest.set(bytes.subarray(to), from);
  return rest;
}

/** A message of QEMU, whose bytes are `{…}` and a line end. */
export type Message = Greeting | Reply | Event;

/** QEMU's first line. */
export interface Greeting {
  /** The kind of message. */
  readonly kind: "greeting";
  /** The whole line. */
  readonly bytes: Uint8Array;
  /** The capabilities that QEMU offers. */
  readonly capabilities: readonly string[];
  /** `[major, minor, micro]`; a number that is missing is 0. */
  readonly version: readonly [number, number, number];
}

/** The reply to a command. */
export interface Reply {
  /** Success or failure. */
  readonly kind: "return" | "error";
  /** The whole line without its id. */
  readonly bytes: Uint8Array;
  /** The text of the id that was removed from the bytes. */
  readonly id: Id;
  /** The text of a `data` member that is inserted on sending, if the error is long. */
  readonly data?: string;
}

/** An asynchronous message. */
export interface Event {
  /** The kind of message. */
  readonly kind: "event";
  /** The whole line. */
  readonly bytes: Uint8Array;
  /** The decoded name, cut to {@linkcode EVENT_NAME_CHARS_LIMIT} characters and `…` if it is longer. */
  readonly name: string;
}

/** The most bytes of a message that an error shows. */
const SHOWN_BYTES = 200;

/**
 * An error for an unexpected message of QEMU; its text names the problem and shows the first bytes.
 *
 * It closes the connection to QEMU and has no other effect, because a QEMU that a guest has
 * compromised may send anything.
 */
export class UnexpectedMessage extends Error {
  /** The kind of error. */
  override name = "UnexpectedMessage";
  /** The problem without the bytes; these may belong to another client, so only the log shows them. */
  readonly problem: string;

  /**
   * Creates the error.
   *
   * @param problem the problem, such as `its greeting is too long`
   * @param bytes the bytes that QEMU sent
   */
  constructor(problem: string, bytes: Uint8Array) {
    const text = shown(bytes, 0, Math.min(bytes.length, SHOWN_BYTES)).trim();
    const more = bytes.length > SHOWN_BYTES ? `… (${bytes.length} bytes)` : "";
    super(`${problem}: ${text}${more}`);
    this.problem = problem;
  }
}

/**
 * Reads one message of QEMU.
 *
 * @param bytes a message of {@linkcode MessageSplitter}; this buffer may be changed to remove an id
 * @returns `undefined` when it is not a greeting, a reply or an event
 */
export function readMessage(bytes: Uint8Array): Message | undefined {
  // QEMU prints members in the order of its hash table, so the first member shows the kind.
  if (startsWith(bytes, RETURN)) return trailingId(bytes, ID_LAST, END.length);
  if (startsWith(bytes, ERROR) && endsWith(bytes, ERROR_END)) {
    return { kind: "error", bytes, id: undefined };
  }
  if (startsWith(bytes, TIMESTAMP)) {
    const name = eventName(bytes);
    if (name !== undefined) return { kind: "event", bytes, name };
  }
  return (isPretty(bytes) ? readPretty(bytes) : leadingId(bytes)) ?? readAnySpelling(bytes);
}

const RETURN = asciiBytes('{"return": ');
const ERROR = asciiBytes('{"error": {"class": "');
const ERROR_LAST = ERROR.subarray(1);
const ERROR_END = asciiBytes('"}}\r\n');
const TIMESTAMP = asciiBytes('{"timestamp": {');
const EVENT = asciiBytes('}, "event": "');
const ID_FIRST = asciiBytes('{"id": ');
const ID_LAST = asciiBytes(', "id": ');
const END = asciiBytes("}\r\n");
const PRETTY_RETURN = asciiBytes('{\r\n    "return": ');
const PRETTY_ID_LAST = asciiBytes(',\r\n    "id": ');
const PRETTY_END = asciiBytes("\r\n}\r\n");

function startsWith(bytes: Uint8Array, prefix: Uint8Array, at = 0): boolean {
  for (let i = 0; i < prefix.length; i++) if (bytes[at + i] !== prefix[i]) return false;
  return true;
}

function endsWith(bytes: Uint8Array, suffix: Uint8Array): boolean {
  return startsWith(bytes, suffix, bytes.length - suffix.length);
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39;
}

/** Reads a return and removes its id, a number in the last member. */
function trailingId(bytes: Uint8Array, idLast: Uint8Array, end: number): Reply {
  const close = bytes.length - end;
  let digits = close;
  while (isDigit(bytes[digits - 1])) digits--;
  const comma = digits - idLast.length;
  if (digits === close || !startsWith(bytes, idLast, comma)) {
    return { kind: "return", bytes, id: undefined };
  }
  const id = asciiText(bytes, digits, close);
  return { kind: "return", bytes: cut(bytes, comma, close), id };
}

/** Reads an error that begins with a number as its id, and removes the id. */
function leadingId(bytes: Uint8Array): Reply | undefined {
  if (!startsWith(bytes, ID_FIRST)) return undefined;
  let end = ID_FIRST.length;
  while (isDigit(bytes[end])) end++;
  if (end === ID_FIRST.length || bytes[end] !== 0x2c) return undefined;
  if (!startsWith(bytes, ERROR_LAST, end + 2) || !endsWith(bytes, ERROR_END)) return undefined;
  const id = asciiText(bytes, ID_FIRST.length, end);
  return { kind: "error", bytes: cut(bytes, 1, end + 2), id };
}

/**
 * The most characters of an event's name, since filters and counters need time and memory for each.
 *
 * QEMU's longest name has 29. A longer name is cut and ends with `…`.
 */
export const EVENT_NAME_CHARS_LIMIT = 256;

/** The length above which an id is removed without copying the message. */
const COPIED_BYTES_LIMIT = 1 << 20;

/** Removes a part of a message; in a long one, moves the shorter of the two remaining parts. */
function cut(bytes: Uint8Array, from: number, to: number): Uint8Array {
  const length = bytes.length - (to - from);
  if (length <= COPIED_BYTES_LIMIT) return without(bytes, from, to);
  if (from < bytes.length - to) return bytes.copyWithin(to - from, 0, from).subarray(to - from);
  return bytes.copyWithin(from, to).subarray(0, length);
}

function eventName(bytes: Uint8Array): string | undefined {
  const at = bytes.indexOf(CLOSE_BRACE);
  if (at < 0 || !startsWith(bytes, EVENT, at)) return undefined;
  const start = at + EVENT.length;
  const end = bytes.indexOf(QUOTE, start);
  if (end < 0) return undefined;
  return shortName(asciiText(bytes, start, Math.min(end, start + EVENT_NAME_CHARS_LIMIT + 1)));
}

function shortName(name: string): string {
  return name.length > EVENT_NAME_CHARS_LIMIT ? `${name.slice(0, EVENT_NAME_CHARS_LIMIT)}…` : name;
}

/**
 * Reads a pretty reply or event by its lines.
 *
 * Members are indented by four spaces, and no string contains a line end. The content is not
 * checked: it is for the client that sent the command, and may contain QEMU's `inf`.
 */
function readPretty(bytes: Uint8Array): Message | undefined {
  if (startsWith(bytes, PRETTY_RETURN)) {
    return trailingId(bytes, PRETTY_ID_LAST, PRETTY_END.length);
  }
  // The id and class of an error and the name of an event are near the beginning.
  const text = asciiText(bytes, 0, Math.min(bytes.length, PRETTY_HEAD_BYTES));
  const [error, , id] = PRETTY_ERROR.exec(text) ?? [];
  if (error !== undefined && endsWith(bytes, PRETTY_ERROR_END)) {
    const rest = id === undefined ? bytes : cut(bytes, 1, 1 + PRETTY_ID_FIRST.length + id.length);
    return { kind: "error", bytes: rest, id };
  }
  const name = PRETTY_EVENT.exec(text)?.[1];
  return name === undefined ? undefined : { kind: "event", bytes, name: shortName(name) };
}

const PRETTY_HEAD_BYTES = 1024;
const PRETTY_ID_FIRST = '\r\n    "id": ,';
const PRETTY_ERROR = /^\{(\r\n {4}"id": (\d+),)?\r\n {4}"error": \{\r\n {8}"class": "/;
const PRETTY_ERROR_END = asciiBytes('"\r\n    }\r\n}\r\n');
const PRETTY_EVENT =
  /^\{\r\n {4}"timestamp": \{(?:\r\n {8}[^\r]*)*\r\n {4}\},\r\n {4}"event": "(\w+)"/;

/** The most bytes of a message that does not have QEMU's spelling, which is slow to read. */
const ANY_SPELLING_BYTES_LIMIT = 64 << 10;

/** The length above which an id cannot be one that qmpmux sent, and is not read. */
const OWN_ID_BYTES = 64;
const FOREIGN_ID = "…";

/** The members that show the kind of a message. */
type MessageMember = "QMP" | "event" | "error" | "return" | "id";
const MESSAGE_MEMBERS = new NameTable<MessageMember>(
  (["QMP", "event", "error", "return", "id"] as const).map((name) => [name, name]),
);

/** Reads a message that does not have QEMU's spelling, by its members. */
function readAnySpelling(bytes: Uint8Array): Message | undefined {
  if (bytes.length > ANY_SPELLING_BYTES_LIMIT) return undefined;
  const splitter = new FrameSplitter();
  splitter.load(bytes);
  const frame = splitter.next();
  if (frame === undefined || "damage" in frame || !frame.isObject) return undefined;
  const places: Partial<Record<MessageMember, number>> = {};
  const { offsets } = frame;
  for (let place = 0; place < offsets.length; place += 3) {
    const name = MESSAGE_MEMBERS.at(frame.bytes, offsets[place]!, offsets[place + 1]! - 1);
    if (name !== undefined) places[name] = place;
  }
  const span = (place: number): [number, number] => [offsets[place + 1]!, offsets[place + 2]!];
  const { QMP: qmp, event, error, id } = places;
  if (qmp !== undefined) {
    return greeting(bytes, JSON.parse(DECODER.decode(frame.bytes.subarray(...span(qmp)))));
  }
  if (event !== undefined && frame.bytes[span(event)[0]] === QUOTE) {
    return { kind: "event", bytes, name: shortName(stringAt(frame.bytes, ...span(event))) };
  }
  if (error !== undefined && !isErrorBody(frame.bytes.subarray(...span(error)))) return undefined;
  const kind = places.return !== undefined ? "return" : error !== undefined ? "error" : undefined;
  if (kind === undefined) return undefined;
  if (id === undefined) return { kind, bytes, id: undefined };
  const [start, end] = span(id);
  const idText = end - start > OWN_ID_BYTES ? FOREIGN_ID : canonical(frame.bytes, start, end);
  return { kind, bytes: joined([withoutMember(frame, id), LINE_END]), id: idText };
}

/** Tells whether the value of an `error` member has QEMU's form. */
function isErrorBody(bytes: Uint8Array): boolean {
  if (bytes[0] !== OPEN_BRACE) return false;
  const { class: errorClass, desc } = JSON.parse(DECODER.decode(bytes));
  return typeof errorClass === "string" && typeof desc === "string";
}

/** Tells whether a message has the form of `pretty=on`. */
export function isPretty(bytes: Uint8Array): boolean {
  return bytes[1] === LINE_END[0];
}

const LINE_END = asciiBytes("\r\n");

function greeting(bytes: Uint8Array, body: unknown): Greeting {
  const { version, capabilities } = Object(body) as Record<string, unknown>;
  const qemu = Object(Object(version).qemu) as Record<string, unknown>;
  const part = (name: string) => typeof qemu[name] === "number" ? qemu[name] : 0;
  const list = Array.isArray(capabilities) ? capabilities : [];
  return {
    kind: "greeting",
    bytes,
    capabilities: list.filter((name) => typeof name === "string"),
    version: [part("major"), part("minor"), part("micro")],
  };
}
