/**
 * The messages of recorded lines: their texts, their members, and the names of commands and events.
 *
 * @module
 */

import type { RecordedMessage } from "../observe/recording_line.ts";
import { memberTexts } from "../wire/json_text.ts";

/** The name that stands for the commands that qmpmux itself sends to QEMU. */
export const OWN = "qmpmux";

/** The values of a message's members as JSON, by name; `undefined` if it cannot be read. */
export type Members = ReadonlyMap<string, string> | undefined;

const DECODER = new TextDecoder();

/** Returns a message as text; invalid UTF-8 becomes U+FFFD. */
export function textOf({ text, base64 = "" }: RecordedMessage): string {
  if (text !== undefined) return text;
  try {
    return DECODER.decode(Uint8Array.fromBase64(base64));
  } catch (error) {
    if (error instanceof SyntaxError) return base64;
    throw error;
  }
}

/** Reads the members of a command. */
export function commandMembers(text: string): Members {
  return memberTexts(text) ?? memberTexts(withoutQuotes(text));
}

/** Returns text in which `'` is not escaped: QEMU accepts the escape, and JSON does not have it. */
function withoutQuotes(text: string): string {
  return text.replace(/\\(.)/gs, (escape, char) => char === "'" ? char : escape);
}

/** Returns the name of a command, and whether it is out of band. */
export function commandName(members: Members): readonly [name: string | undefined, oob: boolean] {
  const oob = textIn(members?.get("exec-oob"));
  return [oob ?? textIn(members?.get("execute")), oob !== undefined];
}

/** Returns the name of an event. */
export function eventName(members: Members): string | undefined {
  return textIn(members?.get("event"));
}

/** Returns the string in a JSON text; `undefined` if it is not a string. */
export function textIn(json: string | undefined): string | undefined {
  return json?.startsWith('"') ? JSON.parse(json) : undefined;
}
