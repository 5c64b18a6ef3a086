/**
 * The reader of a recording: one line of text becomes a header, a message or a gap, or is damaged.
 *
 * Members that it does not know are ignored, so that a recording can tell more.
 *
 * @module
 */

import {
  FORMAT_MEMBER,
  RECORDED_KINDS,
  type RecordedGap,
  type RecordedKind,
  type RecordedMessage,
  type RecordedPeer,
  RECORDING_FORMAT,
  type RecordingHeader,
  type RecordingLine,
} from "./recording_line.ts";

/** The result for a line that is not one of a recording. */
export interface DamagedLine {
  /** A phrase that names the error. */
  readonly wrong: string;
}

/** The most seconds; a thousand years are less. */
const SECONDS_LIMIT = 1e11;

/** The most characters of a name. */
const NAME_LIMIT = 1024;

/** The members of a line, not checked. */
type Members = Readonly<Record<string, unknown>>;

/** Reads the first line. */
export function readHeader(text: string): RecordingHeader | DamagedLine {
  const members = membersOf(text);
  if (!members || !Object.hasOwn(members, FORMAT_MEMBER)) {
    return { wrong: "it is not a recording of qmpmux" };
  }
  const format = members[FORMAT_MEMBER];
  if (format !== RECORDING_FORMAT) {
    const isNewer = Number.isSafeInteger(format) && Number(format) > RECORDING_FORMAT;
    if (!isNewer) return { wrong: `"${FORMAT_MEMBER}" is not the number of a format` };
    return {
      wrong: `it has format ${format}, and this qmpmux reads format ${RECORDING_FORMAT}; ` +
        "use a newer qmpmux",
    };
  }
  const { time, vm, version, greeting, removed } = present(members);
  if (!isTime(time)) return { wrong: '"time" is not a time' };
  if (vm !== undefined && !isName(vm)) return notA("vm", "a name");
  if (!isMaybeText(version)) return notA("version", "a text");
  if (!isMaybeText(greeting)) return notA("greeting", "a text");
  if (removed !== undefined && (!isName(removed) || removed === "")) {
    return notA("removed", "a name");
  }
  return present({ time, vm, version, greeting, removed }) as unknown as RecordingHeader;
}

/** Reads a later line. */
export function readRecordingLine(text: string): RecordingLine | DamagedLine {
  const members = membersOf(text);
  if (!members) return { wrong: "it is not a JSON object" };
  if (!isSeconds(members.t)) return notA("t", "a number of seconds");
  return Object.hasOwn(members, "dropped") ? gapOf(members) : messageOf(members);
}

function gapOf({ t, dropped }: Members): RecordedGap | DamagedLine {
  if (!isCount(dropped)) return notA("dropped", "a number of messages");
  return { kind: "gap", t: t as number, dropped };
}

function messageOf(given: Members): RecordedMessage | DamagedLine {
  const members = present(given);
  if (!isKind(members.kind)) return notA("kind", `one of ${RECORDED_KINDS.join(", ")}`);
  for (const [name, expected, accepts] of OPTIONAL) {
    const value = members[name];
    if (value !== undefined && !accepts(value)) return notA(name, expected);
  }
  const { kind, side, client, text, base64, length } = members;
  if (side !== "client" && side !== "qemu") return notA("side", '"client" or "qemu"');
  if (side === "client" && client === undefined) return { wrong: '"client" is missing' };
  const hasContent = [text, base64, length].some((each) => each !== undefined);
  if (!hasContent && TEXT_KINDS.has(kind)) {
    return { wrong: '"text" is missing' };
  }
  // Every member has been checked.
  return members as unknown as RecordedMessage;
}

/** The kinds of lines that hold a message. */
const TEXT_KINDS: ReadonlySet<RecordedKind> = new Set(["greeting", "command", "reply", "event"]);

/** The members that can be missing, each with the values that it can have. */
const OPTIONAL: readonly [name: string, expected: string, accepts: (value: unknown) => boolean][] =
  [
    ["vm", "a name", isName],
    ["client", "a name", isName],
    ["dir", '">" or "<"', (value) => value === ">" || value === "<"],
    ["text", "a text", isText],
    ["base64", "a text", isText],
    ["of", "the number of a line", isCount],
    ["command", "a text", isText],
    ["ago", "a number of seconds", isSeconds],
    ["for", "a list of numbers of lines", (value) => isListOf(value, isCount)],
    ["wait", "a number of seconds", isSeconds],
    ["run", "a number of seconds", isSeconds],
    ["length", "a number of bytes", isCount],
    ["reason", "a text", isText],
    ["listener", "a name", isName],
    ["role", "a name", isName],
    ["dialect", "a name", isName],
    ["mode", "a name", isName],
    ["capabilities", "a list of names", (value) => isListOf(value, isName)],
    ["filter", "a list of texts", (value) => isListOf(value, isText)],
    ["peer", "a process", isPeer],
  ];

/** Returns the members of a JSON object; `undefined` if the text is not one. */
function membersOf(text: string): Members | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
  return isObject(value) ? value : undefined;
}

/** Returns members without those that are null or undefined. */
function present(members: Members): Members {
  const pairs = Object.entries(members);
  const kept = pairs.filter(([, value]) => value !== null && value !== undefined);
  return kept.length === pairs.length ? members : Object.fromEntries(kept);
}

function notA(member: string, expected: string): DamagedLine {
  return { wrong: `"${member}" is not ${expected}` };
}

function isObject(value: unknown): value is Members {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}

/** Returns whether a value is a text of a limited length, which may be remembered. */
function isName(value: unknown): value is string {
  return isText(value) && value.length <= NAME_LIMIT;
}

function isMaybeText(value: unknown): value is string | undefined {
  return value === undefined || isText(value);
}

/** Returns whether a value is a time of RFC 3339, which has a year of four digits. */
function isTime(value: unknown): value is string {
  return isText(value) && /^\d{4}-/.test(value) && !Number.isNaN(Date.parse(value));
}

/** Returns whether a value is a number of seconds that a date can be computed from. */
function isSeconds(value: unknown): value is number {
  return typeof value === "number" && value >= 0 && value <= SECONDS_LIMIT;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}

function isKind(value: unknown): value is RecordedKind {
  return (RECORDED_KINDS as readonly unknown[]).includes(value);
}

function isListOf(value: unknown, accepts: (item: unknown) => boolean): boolean {
  return Array.isArray(value) && value.every(accepts);
}

function isPeer(value: unknown): value is RecordedPeer {
  if (!isObject(value)) return false;
  const { pid, uid, gid, comm } = value;
  const areIds = [pid, uid, gid].every((id) => id === undefined || isCount(id));
  return areIds && (comm === undefined || isName(comm));
}
