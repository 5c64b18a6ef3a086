/**
 * A file that is played: a recording, replies in libvirt's form, or the schema of a QEMU alone.
 *
 * @module
 */

import { FORMAT_MEMBER } from "../observe/recording_line.ts";
import { type Play, PlayError, type PlaySession } from "./play.ts";
import { greetingOf, readVersion } from "./qemu_version.ts";
import type { RecordingChoice } from "./recording_play.ts";

/** The most bytes of a file that is played: it is held in memory. */
export const FILE_BYTES_LIMIT = 256 << 20;

/** The version of a QEMU of which only the schema is known, for the errors that the schema does not tell. */
const SCHEMA_VERSION = "10.0.0";

/**
 * Reads a file.
 *
 * @param text the whole file
 * @param choice the part of a recording
 * @throws PlayError if it is none of these, or is damaged
 */
export async function readPlay(text: string, choice: RecordingChoice): Promise<Play> {
  const head = text.trimStart().slice(0, 4096);
  if (isRecording(text)) {
    const { recordingPlay } = await import("./recording_play.ts");
    return recordingPlay(text, choice);
  }
  if (choice.vm !== undefined) {
    const problem = "it is not a recording of qmpmux, so that a VM cannot be chosen";
    throw new PlayError(0, `${problem}; leave out --vm or the option vm`);
  }
  // Several replies without their commands are refused there.
  if (/^\{\s*"(execute|id|arguments)"\s*:/.test(head) || /^\{\s*"return"[^]*\n\}\s+\{/.test(text)) {
    const { repliesPlay } = await import("./replies_play.ts");
    return repliesPlay(text);
  }
  const schema = schemaIn(text, head);
  const session: PlaySession = {
    name: "schema",
    listener: undefined,
    dialect: "qmp",
    greeting: greetingOf(readVersion(SCHEMA_VERSION), ["oob"]),
    start: 0,
    steps: [],
  };
  const lineOf = (entry: string | undefined): number => lineOfEntry(text, entry);
  return { sessions: [session], mark: undefined, schema: { value: schema, lineOf } };
}

/** Returns whether the first line with anything is the header of a recording; its members have any order. */
function isRecording(text: string): boolean {
  const [first] = text.trimStart().split("\n", 1);
  return first!.startsWith("{") && first!.includes(`"${FORMAT_MEMBER}"`);
}

/** Returns the line of the entry with a name; the first line if it is not found. */
function lineOfEntry(text: string, entry: string | undefined): number {
  const at = entry === undefined ? -1 : [...text.matchAll(/"name"\s*:\s*("(?:[^"\\]|\\.)*")/g)]
    .find(([, name]) => name === JSON.stringify(entry))?.index ?? -1;
  return at < 0 ? 1 : text.slice(0, at).split("\n").length;
}

const KINDS = "a recording of qmpmux, a file of replies, or the reply of query-qmp-schema";

const EXPECTED = `it is not ${KINDS}; name one of these`;

function schemaIn(text: string, head: string): unknown {
  if (head === "") throw new PlayError(0, `it is empty; name ${KINDS}`);
  if (!head.startsWith("[") && !head.startsWith("{")) throw new PlayError(1, EXPECTED);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new PlayError(lineOf(text, error), `it is not JSON; ${EXPECTED}`);
  }
  if (Array.isArray(value)) return value;
  const { return: schema } = Object(value) as Record<string, unknown>;
  if (Array.isArray(schema)) return schema;
  throw new PlayError(1, EXPECTED);
}

/** Returns the line of a syntax error: its message has the position. */
function lineOf(text: string, { message }: SyntaxError): number {
  const position = /position (\d+)/.exec(message)?.[1];
  const before = position === undefined ? text : text.slice(0, Number(position));
  return before.split("\n").length;
}
