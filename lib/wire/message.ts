/**
 * What a frame says: a command of a client, or a greeting, reply or event of QEMU.
 *
 * Commands are checked in the order QEMU checks them. Replies are never parsed,
 * only labelled.
 *
 * @module
 */

import { type Frame, FrameSplitter, type Member } from "./frame.ts";
import { canonical, inQemuOrder } from "./format.ts";
import { asciiBytes, asciiText, isPlain } from "./text.ts";

/** A client's id as QEMU prints it back; `undefined` where the command has none. */
export type Id = string | undefined;

/** A well-formed command. */
export interface Command {
  /** What it asks to run, decoded. */
  readonly name: string;
  /** Was it sent with `exec-oob`? */
  readonly oob: boolean;
  /** What its reply will carry. */
  readonly id: Id;
  /** The command without its id, re-spelled; what goes to QEMU. */
  readonly bytes: Uint8Array;
  /** The bytes of the `arguments` object, if there is one. */
  readonly argumentBytes: Uint8Array | undefined;
}

/** A value that is no command, and the `desc` that QEMU answers it with. */
export interface Malformed {
  /** QEMU's text for it. */
  readonly because: string;
  /** Does QEMU answer it out of turn? */
  readonly oob: boolean;
  /** What its answer will carry. */
  readonly id: Id;
}

const QUOTE = 0x22;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const DECODER = new TextDecoder();

/**
 * Reads a frame as QEMU's dispatcher does.
 *
 * @param takesOob has this client enabled `oob`? Without it `exec-oob` is an unknown member.
 */
export function readCommand(frame: Frame, takesOob: boolean): Command | Malformed {
  if (!frame.isObject) {
    return { because: "QMP input must be a JSON object", oob: false, id: undefined };
  }
  let execute: Member | undefined;
  let execOob: Member | undefined;
  let args: Member | undefined;
  let idMember: Member | undefined;
  let others = false;
  for (const member of frame.members) {
    if (member.key === "execute") execute = member;
    else if (member.key === "exec-oob") execOob = member;
    else if (member.key === "arguments") args = member;
    else if (member.key === "id") idMember = member;
    else others = true;
  }
  const { bytes } = frame;
  const id = idMember && canonical(bytes, idMember.start, idMember.end);
  const oob = execOob !== undefined && execute === undefined;
  const verb = execute ?? (takesOob ? execOob : undefined);
  const wellFormed = verb !== undefined && !others && !(execute && execOob) &&
    (takesOob || !execOob) && bytes[verb.start] === QUOTE &&
    (args === undefined || bytes[args.start] === OPEN_BRACE);
  if (!wellFormed) return { because: firstOffence(frame, takesOob), oob, id };
  return {
    name: stringAt(bytes, verb.start, verb.end),
    oob,
    id,
    bytes: idMember ? without(frame, idMember) : bytes,
    argumentBytes: args && bytes.subarray(args.start, args.end),
  };
}

/** The arguments of a command as JSON text, `{}` where it has none. */
export function argumentsText({ argumentBytes }: Command): string {
  return argumentBytes === undefined ? "{}" : DECODER.decode(argumentBytes);
}

/** What is wrong with a command: members in QEMU's order, the first offence wins. */
function firstOffence({ bytes, members }: Frame, takesOob: boolean): string {
  let verb: string | undefined;
  for (const { key, start } of inQemuOrder(members)) {
    if (key === "execute" || (key === "exec-oob" && takesOob)) {
      if (bytes[start] !== QUOTE) return `QMP input member '${key}' must be a string`;
      if (verb !== undefined) return `QMP input member '${key}' clashes with '${verb}'`;
      verb = key;
    } else if (key === "arguments") {
      if (bytes[start] !== OPEN_BRACE) return "QMP input member 'arguments' must be an object";
    } else if (key !== "id") return `QMP input member '${key}' is unexpected`;
  }
  return "QMP input lacks member 'execute'";
}

/** A re-spelled string, decoded. */
function stringAt(bytes: Uint8Array, start: number, end: number): string {
  if (isPlain(bytes, start, end)) return asciiText(bytes, start + 1, end - 1);
  return JSON.parse(DECODER.decode(bytes.subarray(start, end)));
}

/** The frame's bytes less one member and one comma. */
function without({ bytes }: Frame, member: Member): Uint8Array {
  const first = bytes[member.keyStart - 1] === OPEN_BRACE;
  const last = bytes[member.end] === CLOSE_BRACE;
  const from = first ? member.keyStart : member.keyStart - 1;
  const to = first && !last ? member.end + 1 : member.end;
  return cut(bytes, from, to);
}

/** A message of QEMU, its bytes whole: `{…}` and a line end. */
export type Message = Greeting | Reply | Event;

/** QEMU's first line. */
export interface Greeting {
  /** What it is. */
  readonly kind: "greeting";
  /** The whole line. */
  readonly bytes: Uint8Array;
  /** The capabilities QEMU offers. */
  readonly capabilities: readonly string[];
  /** `[major, minor, micro]`, `[0, 0, 0]` where it does not say. */
  readonly version: readonly [number, number, number];
}

/** The answer to a command. */
export interface Reply {
  /** Has it worked? */
  readonly kind: "return" | "error";
  /** The whole line, less its id. */
  readonly bytes: Uint8Array;
  /** Its id as text, which is no longer in the bytes. */
  readonly id: Id;
}

/** An asynchronous message. */
export interface Event {
  /** What it is. */
  readonly kind: "event";
  /** The whole line. */
  readonly bytes: Uint8Array;
  /** As QEMU names it, decoded. */
  readonly name: string;
}

/**
 * Reads one message of QEMU.
 *
 * @param bytes as {@linkcode MessageSplitter} gives them
 * @returns `undefined` where it is neither greeting, reply nor event
 */
export function readMessage(bytes: Uint8Array): Message | undefined {
  // QEMU prints members in the order of its hash table: the first one tells.
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

/** A return, less the number behind a closing `"id": `; that is its own, for only the end follows. */
function trailingId(bytes: Uint8Array, idLast: Uint8Array, end: number): Reply {
  const close = bytes.length - end;
  let digits = close;
  while (isDigit(bytes[digits - 1])) digits--;
  const comma = digits - idLast.length;
  if (digits === close || !startsWith(bytes, idLast, comma)) {
    return { kind: "return", bytes, id: undefined };
  }
  return { kind: "return", bytes: cut(bytes, comma, close), id: asciiText(bytes, digits, close) };
}

/** An error that begins with a number as its id, less that id. */
function leadingId(bytes: Uint8Array): Reply | undefined {
  if (!startsWith(bytes, ID_FIRST)) return undefined;
  let end = ID_FIRST.length;
  while (isDigit(bytes[end])) end++;
  if (end === ID_FIRST.length || bytes[end] !== 0x2c) return undefined;
  const rest = cut(bytes, 1, end + 2);
  if (!startsWith(rest, ERROR) || !endsWith(rest, ERROR_END)) return undefined;
  return { kind: "error", bytes: rest, id: asciiText(bytes, ID_FIRST.length, end) };
}

function cut(bytes: Uint8Array, from: number, to: number): Uint8Array {
  const rest = new Uint8Array(bytes.length - (to - from));
  rest.set(bytes.subarray(0, from));
  rest.set(bytes.subarray(to), from);
  return rest;
}

function eventName(bytes: Uint8Array): string | undefined {
  const at = bytes.indexOf(CLOSE_BRACE);
  if (at < 0 || !startsWith(bytes, EVENT, at)) return undefined;
  const start = at + EVENT.length;
  const end = bytes.indexOf(QUOTE, start);
  return end < 0 ? undefined : asciiText(bytes, start, end);
}

/**
 * Reads a pretty reply or event by its lines.
 *
 * Those of its members begin four spaces in, and no string holds a line end. The
 * inside belongs to the client that asked, `inf` and all.
 */
function readPretty(bytes: Uint8Array): Message | undefined {
  if (startsWith(bytes, PRETTY_RETURN)) {
    return trailingId(bytes, PRETTY_ID_LAST, PRETTY_END.length);
  }
  // An id, an error's class and an event's name stand at the beginning.
  const text = asciiText(bytes, 0, Math.min(bytes.length, PRETTY_HEAD_BYTES));
  const [error, , id] = PRETTY_ERROR.exec(text) ?? [];
  if (error !== undefined && endsWith(bytes, PRETTY_ERROR_END)) {
    const rest = id === undefined ? bytes : cut(bytes, 1, 1 + PRETTY_ID_FIRST.length + id.length);
    return { kind: "error", bytes: rest, id };
  }
  const name = PRETTY_EVENT.exec(text)?.[1];
  return name === undefined ? undefined : { kind: "event", bytes, name };
}

const PRETTY_HEAD_BYTES = 1024;
const PRETTY_ID_FIRST = '\r\n    "id": ,';
const PRETTY_ERROR = /^\{(\r\n {4}"id": (\d+),)?\r\n {4}"error": \{\r\n {8}"class": "/;
const PRETTY_ERROR_END = asciiBytes('"\r\n    }\r\n}\r\n');
const PRETTY_EVENT =
  /^\{\r\n {4}"timestamp": \{(?:\r\n {8}[^\r]*)*\r\n {4}\},\r\n {4}"event": "(\w+)"/;

/** A message in another spelling is read as a whole, which takes its time. */
const ANY_SPELLING_BYTES_LIMIT = 512 << 10;

/** A message in another spelling than QEMU's: read slowly, by its members. */
function readAnySpelling(bytes: Uint8Array): Message | undefined {
  if (bytes.length > ANY_SPELLING_BYTES_LIMIT) return undefined;
  const splitter = new FrameSplitter();
  splitter.load(bytes);
  const frame = splitter.next();
  if (frame === undefined || "damage" in frame || !frame.isObject) return undefined;
  const member = (key: string) => frame.members.find((member) => member.key === key);
  const qmp = member("QMP");
  if (qmp) {
    return greeting(bytes, JSON.parse(DECODER.decode(frame.bytes.subarray(qmp.start, qmp.end))));
  }
  const event = member("event");
  if (event && frame.bytes[event.start] === QUOTE) {
    return { kind: "event", bytes, name: stringAt(frame.bytes, event.start, event.end) };
  }
  const error = member("error");
  if (error && !isErrorBody(frame.bytes.subarray(error.start, error.end))) return undefined;
  const kind = member("return") ? "return" : error ? "error" : undefined;
  if (kind === undefined) return undefined;
  const id = member("id");
  if (id === undefined) return { kind, bytes, id: undefined };
  const idText = canonical(frame.bytes, id.start, id.end);
  return { kind, bytes: plainRest(frame, id), id: idText };
}

/** Whether the value of an `error` member is what QEMU has there. */
function isErrorBody(bytes: Uint8Array): boolean {
  if (bytes[0] !== OPEN_BRACE) return false;
  const { class: errorClass, desc } = JSON.parse(DECODER.decode(bytes));
  return typeof errorClass === "string" && typeof desc === "string";
}

function plainRest(frame: Frame, id: Member): Uint8Array {
  const rest = without(frame, id);
  const line = new Uint8Array(rest.length + 2);
  line.set(rest);
  line.set(LINE_END, rest.length);
  return line;
}

/** Does this message come from a monitor with `pretty=on`? */
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
