/**
 * The writer of messages: replies and events in QEMU's spelling, with ids where QEMU prints them.
 *
 * Members are inserted into QEMU's messages without parsing them.
 *
 * @module
 */

import { prettied, prettyBytes, qemuText, quoted } from "./qemu_json.ts";
import {
  type Event,
  type Greeting,
  type Id,
  isPretty,
  type Reply,
  UnexpectedMessage,
} from "./message.ts";
import { asciiBytes, putAscii } from "./text.ts";

const CLOSE_BRACE = 0x7d;
const DECODER = new TextDecoder();
const LINE_END = "\r\n";
const PRETTY_ERROR_END = "\r\n    }\r\n}\r\n";

/**
 * Adds an id, a number, to a command.
 *
 * @param bytes the bytes of a {@linkcode Command}, which have no id
 * @param id the number in digits
 */
export function numbered(bytes: Uint8Array, id: string): Uint8Array {
  return inserted(bytes, bytes.length - 1, `,"id":${id}`);
}

/** Returns a plain reply as a monitor with `pretty=on` prints it. */
export function pretty(reply: Reply): Reply {
  return { ...reply, bytes: prettyBytes(reply.bytes) };
}

/** The length above which an id is inserted without copying the reply. */
const COPIED_BYTES_LIMIT = 65536;

/** A reply without its id, in QEMU's spelling, plain or pretty. */
export type Bare = Pick<Reply, "kind" | "bytes" | "data">;

/**
 * Inserts a client's id into a reply where QEMU prints it: after `return`, before `error`.
 *
 * @param id the id as QEMU prints it in the reply's style, plain or pretty
 */
export function withId(reply: Bare, id: Id): Uint8Array {
  return id === undefined ? reply.bytes : inserted(reply.bytes, ...idPlace(reply, id));
}

/** Returns a reply with a client's id, as parts to send in order; a long reply is not copied. */
export function partsWithId(reply: Bare, id: Id): readonly Uint8Array[] {
  const { bytes, data } = reply;
  if (data === undefined && bytes.length + (id?.length ?? 0) <= COPIED_BYTES_LIMIT) {
    return [withId(reply, id)];
  }
  const places = id === undefined ? [] : [idPlace(reply, id)];
  if (data !== undefined) places.push(dataPlace(bytes, data));
  const parts: Uint8Array[] = [];
  let from = 0;
  for (const [at, text] of places) {
    parts.push(bytes.subarray(from, at), asciiBytes(text));
    from = at;
  }
  return [...parts, bytes.subarray(from)];
}

/** Returns the offset for an id in a reply, and the text to insert there. */
function idPlace({ kind, bytes }: Bare, id: string): [at: number, text: string] {
  if (isPretty(bytes)) {
    const line = `\r\n    "id": ${id}`;
    if (kind === "error") return [1, `${line},`];
    return [bytes.lastIndexOf(CLOSE_BRACE) - LINE_END.length, `,${line}`];
  }
  if (kind === "error") return [1, `"id": ${id}, `];
  return [bytes.lastIndexOf(CLOSE_BRACE), `, "id": ${id}`];
}

function inserted(bytes: Uint8Array, at: number, text: string): Uint8Array {
  const whole = new Uint8Array(bytes.length + text.length);
  whole.set(bytes.subarray(0, at));
  putAscii(text, whole, at);
  whole.set(bytes.subarray(at), at + text.length);
  return whole;
}

/**
 * Returns an error reply without an id, as QEMU writes it.
 *
 * @param data the text of a `data` member, which QEMU removed in 2012
 */
export function errorReply(errorClass: string, desc: string, data?: string): Reply {
  const text = `{"error": {"class": ${quoted(errorClass)}, "desc": ${quoted(desc)}}}\r\n`;
  const reply: Reply = { kind: "error", bytes: asciiBytes(text), id: undefined };
  return data === undefined ? reply : withData(reply, data);
}

/** Adds a `data` member to an error without an id, plain or pretty. */
export function withData(reply: Reply, data: string): Reply {
  const { bytes } = reply;
  if (bytes.length > COPIED_BYTES_LIMIT) return { ...reply, data };
  return { ...reply, bytes: inserted(bytes, ...dataPlace(bytes, data)) };
}

/** Returns the offset for a `data` member in an error, and the text to insert there. */
function dataPlace(bytes: Uint8Array, data: string): [at: number, text: string] {
  if (isPretty(bytes)) {
    const line = `,\r\n        "data": ${prettied(data, 2)}`;
    return [bytes.length - PRETTY_ERROR_END.length, line];
  }
  return [bytes.lastIndexOf(CLOSE_BRACE) - 1, `, "data": ${data}`];
}

/** Returns the text of a return's value in QEMU's spelling; `undefined` for an error. */
export function returned({ kind, bytes }: Reply): string | undefined {
  if (kind === "error") return undefined;
  const text = DECODER.decode(bytes);
  return text.slice(text.indexOf(":") + 1, text.lastIndexOf("}")).trim();
}

/** The most bytes of a reply whose object is decoded; the reply to `add-fd` has about 50. */
const OBJECT_BYTES_LIMIT = 4096;

/**
 * Decodes the object that a reply returns.
 *
 * @throws UnexpectedMessage when the reply returns no object, or is too long
 */
export function objectReturned(reply: Reply): Readonly<Record<string, unknown>> {
  if (reply.bytes.length > OBJECT_BYTES_LIMIT) {
    throw new UnexpectedMessage("the object that it returned is too long", reply.bytes);
  }
  let value: unknown;
  try {
    value = JSON.parse(returned(reply) ?? "");
  } catch {
    // Malformed JSON is refused below, like any other value that is not an object.
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  throw new UnexpectedMessage("it did not return an object", reply.bytes);
}

/** Returns an event in QEMU's spelling. */
export function eventMessage(
  name: string,
  timestamp: { readonly seconds: number; readonly microseconds: number },
  data: object,
): Event {
  const bytes = asciiBytes(`${qemuText({ timestamp, event: name, data })}\r\n`);
  return { kind: "event", bytes, name };
}

/**
 * Returns the greeting of a connection to qmpmux itself, not to a QEMU.
 *
 * @param version the version of qmpmux, `MAJOR.MINOR.MICRO`
 */
export function controlGreeting(version: string): Greeting {
  const [major = 0, minor = 0, micro = 0] = version.split(".").map((part) => parseInt(part) || 0);
  const numbers = `{"major": ${major}, "minor": ${minor}, "micro": ${micro}}`;
  const text = `{"QMP": {"version": {"qmpmux": ${numbers}}, "capabilities": []}}\r\n`;
  return { kind: "greeting", bytes: asciiBytes(text), capabilities: [], version: [0, 0, 0] };
}

/** The number of bytes at the beginning of an error that contain its class. */
const CLASS_BYTES = 256;

/** Returns the class of an error, `undefined` for a return. */
export function errorClass({ kind, bytes }: Reply): string | undefined {
  if (kind === "return") return undefined;
  // Text that a client chose can follow the class only, with its quotes escaped.
  return /"class": "(\w+)"/.exec(DECODER.decode(bytes.subarray(0, CLASS_BYTES)))?.[1];
}

/** Makes a return without an id; `value` is text in QEMU's spelling. */
export function returnReply(value: string): Reply {
  return { kind: "return", bytes: asciiBytes(`{"return": ${value}}\r\n`), id: undefined };
}

/** The indentation level of the elements of a returned list in pretty text. */
const ELEMENT_DEPTH = 2;

/** Returns an element of a returned list in QEMU's spelling. */
export function elementText(value: unknown, isPretty: boolean): string {
  const text = qemuText(value);
  return isPretty ? prettied(text, ELEMENT_DEPTH) : text;
}

/** Makes a return of a list, without an id; `elements` are texts in QEMU's spelling. */
export function listReply(elements: readonly string[], isPretty: boolean): Reply {
  if (!isPretty || elements.length === 0) return returnReply(`[${elements.join(", ")}]`);
  const line = `\r\n${" ".repeat(4 * ELEMENT_DEPTH)}`;
  const list = `[${line}${elements.join(`,${line}`)}\r\n    ]`;
  const bytes = asciiBytes(`{\r\n    "return": ${list}\r\n}\r\n`);
  return { kind: "return", bytes, id: undefined };
}
