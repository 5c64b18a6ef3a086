/**
 * A file of replies in the form of libvirt's tests as a play.
 *
 * It has commands and replies in turn, each an object whose first and last line are single brackets.
 * Every `qmp_capabilities` begins a session. The file has no greeting, so that one is made.
 *
 * @module
 */

import type { Greeting, Reply } from "../wire/message.ts";
import { qemuText } from "../wire/qemu_json.ts";
import { asciiBytes } from "../wire/text.ts";
import { isNegotiation } from "./negotiation.ts";
import {
  commandIn,
  type Play,
  PlayError,
  type PlaySchema,
  type PlaySession,
  type PlayStep,
  type RecordedCommand,
} from "./play.ts";
import { greetingOf, type QemuVersion } from "./qemu_version.ts";
import { withoutRecordedId } from "./recorded_id.ts";
import { respelt } from "./respelt.ts";

/** One object of the file. */
interface Piece {
  /** The number of its first line. */
  readonly line: number;
  readonly text: string;
  readonly value: Readonly<Record<string, unknown>>;
}

/** A command with its reply. */
interface Exchange {
  readonly command: Piece;
  readonly reply: Piece;
}

const REMEDY = "take a file of QEMU 4.2 or newer, or record again";

/**
 * Reads a file of replies.
 *
 * @throws PlayError if it is damaged, or has no version
 */
export function repliesPlay(text: string): Play {
  const exchanges = exchangesIn(piecesOf(text));
  const greeting = greetingFor(exchanges);
  const sessions: PlaySession[] = [];
  let steps: PlayStep[] = [];
  for (const { command, reply } of exchanges) {
    const { execute } = command.value;
    if (execute === "qmp_capabilities" || sessions.length === 0) {
      steps = [];
      const name = `session ${sessions.length + 1}`;
      sessions.push({ name, listener: undefined, dialect: "qmp", greeting, start: 0, steps });
    }
    if (isNegotiation(String(execute))) continue;
    const recorded = recordedOf(command, reply);
    steps.push({ kind: "command", at: 0, of: recorded }, { kind: "reply", at: 0, of: recorded });
  }
  return { sessions, mark: undefined, schema: schemaIn(exchanges) };
}

function schemaIn(exchanges: readonly Exchange[]): PlaySchema | undefined {
  for (const { command, reply } of exchanges) {
    const isSchema = command.value["execute"] === "query-qmp-schema" && "return" in reply.value;
    if (isSchema) return { value: reply.value["return"], lineOf: () => reply.line };
  }
  return undefined;
}

/** Splits a text into its objects, each of which ends with a line that is a closing bracket. */
function piecesOf(text: string): Piece[] {
  const pieces: Piece[] = [];
  let from = text.length - text.trimStart().length;
  let line = 1 + lineEndsIn(text.slice(0, from));
  for (let found = text.indexOf("\n}"); found >= 0; found = text.indexOf("\n}", found + 1)) {
    const end = found + 2;
    const next = /\s*/y;
    next.lastIndex = end;
    const after = end + next.exec(text)![0].length;
    // Something else on the line makes the bracket a part of damage, which has no end.
    if (after < text.length && !text.slice(end, after).includes("\n")) continue;
    pieces.push({ line, text: text.slice(from, end), value: valueOf(text.slice(from, end), line) });
    line += lineEndsIn(text.slice(from, after));
    from = after;
  }
  if (text.slice(from).trim() !== "") {
    throw new PlayError(line, `this object has no end, a line that is only }; ${REMEDY}`);
  }
  return pieces;
}

function lineEndsIn(text: string): number {
  let count = 0;
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) count++;
  return count;
}

function valueOf(text: string, line: number): Piece["value"] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new PlayError(line, `the object that begins here is not JSON; ${REMEDY}`);
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return value as Piece["value"];
  }
  throw new PlayError(line, `the value that begins here is not an object; ${REMEDY}`);
}

function exchangesIn(pieces: readonly Piece[]): Exchange[] {
  const exchanges: Exchange[] = [];
  for (let at = 0; at < pieces.length; at += 2) {
    const command = pieces[at]!;
    const reply = pieces[at + 1];
    if (typeof command.value["execute"] !== "string") {
      throw new PlayError(command.line, `a command is missing before this object; ${REMEDY}`);
    }
    if (reply === undefined) {
      throw new PlayError(command.line, `the reply to this command is missing; ${REMEDY}`);
    }
    const [member, ...more] = Object.keys(reply.value).filter((name) => name !== "id");
    const isReply = member === "return" || (member === "error" && isError(reply.value["error"]));
    if (!isReply || more.length > 0) {
      throw new PlayError(reply.line, `this object is not a reply; ${REMEDY}`);
    }
    exchanges.push({ command, reply });
  }
  if (exchanges.length === 0) throw new PlayError(0, `it has no command; ${REMEDY}`);
  return exchanges;
}

function isError(value: unknown): boolean {
  const { class: errorClass, desc } = Object(value) as Record<string, unknown>;
  return typeof errorClass === "string" && typeof desc === "string";
}

/** Makes a greeting of the reply to `query-version`, and of the capabilities that are enabled. */
function greetingFor(exchanges: readonly Exchange[]): Greeting {
  const named = (name: string) =>
    exchanges.filter(({ command }) => command.value["execute"] === name);
  const [found] = named("query-version");
  if (found === undefined) {
    throw new PlayError(0, `it has no query-version, so that its QEMU is unknown; ${REMEDY}`);
  }
  const version = versionOf(found.reply.value["return"]);
  if (version === undefined) {
    throw new PlayError(found.reply.line, `this is not the reply to query-version; ${REMEDY}`);
  }
  // QEMU has offered oob since 2.12, on the monitors that libvirt makes.
  const isRefused = named("qmp_capabilities").some(({ reply }) => "error" in reply.value);
  return greetingOf(version, isRefused ? [] : ["oob"]);
}

function versionOf(value: unknown): QemuVersion | undefined {
  const { qemu, package: name = "" } = Object(value) as Record<string, unknown>;
  const { major, minor, micro } = Object(qemu) as Record<string, unknown>;
  const isVersion = [major, minor, micro].every((part) => Number.isSafeInteger(part));
  if (!isVersion || typeof name !== "string") return undefined;
  return { major, minor, micro, package: name } as QemuVersion;
}

function recordedOf({ text, line }: Piece, reply: Piece): RecordedCommand {
  const command = commandIn(new TextEncoder().encode(text));
  if (command === undefined) {
    throw new PlayError(line, `the object that begins here is not a command; ${REMEDY}`);
  }
  return { line, command, at: 0, reply: lazily(() => replyOf(reply)) };
}

/** Returns a function that makes a value when it is first called; most replies are large. */
function lazily<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}

/** Returns a reply in QEMU's spelling, without its id; QEMU's order of members is kept. */
function replyOf({ text, value }: Piece): Reply {
  const kind = "error" in value ? "error" : "return";
  const id = "id" in value ? qemuText(value["id"]) : undefined;
  const bytes = withoutRecordedId(asciiBytes(`${respelt(text)}\r\n`), id);
  return { kind, bytes, id: undefined };
}
