/**
 * Messages written: replies and events in QEMU's spelling, ids put where QEMU prints them.
 *
 * What QEMU has said is spliced, never parsed and written anew.
 *
 * @module
 */

import { prettied, qemuText, quoted } from "./format.ts";
import { type Event, type Id, isPretty, type Reply } from "./message.ts";
import { asciiBytes, asciiText } from "./text.ts";

const CLOSE_BRACE = 0x7d;
const DECODER = new TextDecoder();
const LINE_END = "\r\n";
const PRETTY_ERROR_END = "\r\n    }\r\n}\r\n";

/**
 * A command with a number as its id.
 *
 * @param bytes a command without an id, as {@linkcode Command} has it
 * @param id digits
 */
export function numbered(bytes: Uint8Array, id: string): Uint8Array {
  return inserted(bytes, bytes.length - 1, `,"id":${id}`);
}

/** A plain reply, as a monitor with `pretty=on` would print it. */
export function pretty(reply: Reply): Reply {
  const text = asciiText(reply.bytes, 0, reply.bytes.length - LINE_END.length);
  return { ...reply, bytes: asciiBytes(`${prettied(text)}\r\n`) };
}

/**
 * A reply with a client's id, where QEMU prints it: behind `return`, before `error`.
 *
 * @param reply a reply without an id, in QEMU's spelling, plain or pretty
 */
export function withId(reply: { kind: Reply["kind"]; bytes: Uint8Array }, id: Id): Uint8Array {
  if (id === undefined) return reply.bytes;
  const { bytes } = reply;
  if (isPretty(bytes)) {
    const line = `\r\n    "id": ${prettied(id, 1)}`;
    if (reply.kind === "error") return inserted(bytes, 1, `${line},`);
    return inserted(bytes, bytes.lastIndexOf(CLOSE_BRACE) - LINE_END.length, `,${line}`);
  }
  if (reply.kind === "error") return inserted(bytes, 1, `"id": ${id}, `);
  return inserted(bytes, bytes.lastIndexOf(CLOSE_BRACE), `, "id": ${id}`);
}

function inserted(bytes: Uint8Array, at: number, text: string): Uint8Array {
  const whole = new Uint8Array(bytes.length + text.length);
  whole.set(bytes.subarray(0, at));
  for (let i = 0; i < text.length; i++) whole[at + i] = text.charCodeAt(i);
  whole.set(bytes.subarray(at), at + text.length);
  return whole;
}

/**
 * An error reply without an id, as QEMU writes it.
 *
 * @param data the text of a `data` member, which QEMU itself has given up in 2012
 */
export function errorReply(errorClass: string, desc: string, data?: string): Reply {
  const text = `{"error": {"class": ${quoted(errorClass)}, "desc": ${quoted(desc)}}}\r\n`;
  const reply: Reply = { kind: "error", bytes: asciiBytes(text), id: undefined };
  return data === undefined ? reply : withData(reply, data);
}

/** An error of QEMU, plain or pretty and without an id, with a `data` member as its last. */
export function withData(reply: Reply, data: string): Reply {
  if (isPretty(reply.bytes)) {
    const end = reply.bytes.length - PRETTY_ERROR_END.length;
    const line = `,\r\n        "data": ${prettied(data, 2)}`;
    return { ...reply, bytes: inserted(reply.bytes, end, line) };
  }
  const end = reply.bytes.lastIndexOf(CLOSE_BRACE) - 1;
  return { ...reply, bytes: inserted(reply.bytes, end, `, "data": ${data}`) };
}

/** The value of a return as text, as QEMU spelled it; `undefined` for an error. */
export function returned({ kind, bytes }: Reply): string | undefined {
  if (kind === "error") return undefined;
  const text = DECODER.decode(bytes);
  return text.slice(text.indexOf(":") + 1, text.lastIndexOf("}")).trim();
}

/** An event as QEMU would write it. */
export function eventMessage(
  name: string,
  timestamp: { readonly seconds: number; readonly microseconds: number },
  data: object,
): Event {
  const bytes = asciiBytes(`${qemuText({ timestamp, event: name, data })}\r\n`);
  return { kind: "event", bytes, name };
}

/** The class of an error, `undefined` for a return. */
export function errorClass({ kind, bytes }: Reply): string | undefined {
  if (kind === "return") return undefined;
  // What a client wrote comes behind it, and with its quotes escaped.
  return /"class": "(\w+)"/.exec(DECODER.decode(bytes))?.[1];
}

/** A return reply without an id; `value` is text as QEMU would write it. */
export function returnReply(value: string): Reply {
  return { kind: "return", bytes: asciiBytes(`{"return": ${value}}\r\n`), id: undefined };
}
