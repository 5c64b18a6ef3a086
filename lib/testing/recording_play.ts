/**
 * A recording of qmpmux as a play: of its clients, or of QEMU.
 *
 * @module
 */

import type { DialectName } from "../policy/admission.ts";
import type { RecordedMessage, RecordingHeader } from "../observe/recording_line.ts";
import { readHeader, readRecordingLine } from "../observe/recording_reader.ts";
import type { Greeting, Reply } from "../wire/message.ts";
import { returned } from "../wire/reply.ts";
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
import { withoutRecordedId } from "./recorded_id.ts";
import { hasVersion, isObject, wholeMessage } from "./recorded_message.ts";

/** The side of a recording that is played. */
export interface RecordingChoice {
  /** The side: each recorded client as a session, or each connection to QEMU. */
  readonly as: "clients" | "qemu";
  /** The VM, if the recording is of several. */
  readonly vm: string | undefined;
}

/** A session that is being read. */
interface OpenSession {
  readonly name: string;
  readonly listener: string | undefined;
  readonly dialect: DialectName;
  greeting: Greeting | undefined;
  start: number;
  readonly line: number;
  readonly steps: PlayStep[];
}

/** A line that others can name: a command of a session, or `other` if it is not played. */
type Named = { readonly session: OpenSession; readonly command: RecordedCommand } | "other";

/**
 * Reads a recording.
 *
 * @param text the whole file
 * @throws PlayError if a line is damaged, or if something is missing that is needed to play it
 */
export function recordingPlay(text: string, choice: RecordingChoice): Play {
  const lines = text.split("\n");
  const isComplete = lines.at(-1) === "";
  if (isComplete) lines.pop();
  const header = readHeader(lines[0]!);
  if ("wrong" in header) throw new PlayError(1, header.wrong);
  const reader = new RecordingPlay(header, choice);
  for (const [index, text] of lines.entries()) {
    if (index === 0) continue;
    const line = readRecordingLine(text);
    const number = index + 1;
    if ("wrong" in line) {
      const remedy = isComplete || number < lines.length
        ? "record again, or remove what is damaged with qmpmux show --json"
        : "it is incomplete: wait for the end of the recording, or remove the line";
      throw new PlayError(number, `${line.wrong}; ${remedy}`);
    }
    if (line.kind === "gap") {
      throw new PlayError(
        number,
        `${line.dropped} messages are missing here; record again, on a faster disk`,
      );
    }
    reader.take(number, line);
  }
  return reader.play();
}

/** The reader of one recording. */
class RecordingPlay {
  readonly #choice: RecordingChoice;
  readonly #mark: string | undefined;
  #greeting: Greeting | undefined;
  #vm: string | undefined;
  /** The VMs of a recording of several. */
  readonly #vms = new Set<string>();
  readonly #sessions: OpenSession[] = [];
  /** The present session of each client, and of QEMU. */
  readonly #open = new Map<string, OpenSession>();
  readonly #named = new Map<number, Named>();
  /** The line of the reply to each of these. */
  readonly #replies = new Map<number, number>();
  #schema: PlaySchema | undefined;

  constructor(header: RecordingHeader, choice: RecordingChoice) {
    this.#choice = choice;
    this.#mark = header.removed;
    const { greeting, vm } = header;
    if (vm !== undefined) this.#vms.add(vm);
    if (greeting !== undefined) {
      this.#greeting = greetingIn(new TextEncoder().encode(`${greeting}\r\n`), 1);
    }
  }

  /** Takes a line. */
  take(number: number, line: RecordedMessage): void {
    if (!this.#isOfVm(number, line)) return;
    if (line.side === "qemu" && line.kind === "greeting") {
      this.#greeting = greetingIn(bytesOf(line, number), number);
    }
    const isQemu = this.#choice.as === "qemu";
    if ((line.side === "qemu") !== isQemu) {
      if (line.kind === "command" || line.kind === "damage") this.#named.set(number, "other");
      return;
    }
    const session = this.#sessionOf(number, line);
    switch (line.kind) {
      case "greeting":
        // That of the other dialect has no version, and is made of QEMU's.
        if (session.dialect === "qmp") session.greeting = greetingIn(bytesOf(line, number), number);
        return;
      case "command":
        return this.#command(number, line, session);
      case "damage":
        this.#named.set(number, "other");
        return;
      case "reply":
        return this.#reply(number, line);
      case "event": {
        const event = wholeMessage(bytesOf(line, number));
        if (event?.kind !== "event") throw notA(number, "an event");
        session.steps.push({ kind: "event", at: line.t, event });
        return;
      }
      case "disconnect":
        this.#open.delete(session.name);
        if (line.reason !== "left") session.steps.push({ kind: "close", at: line.t });
    }
  }

  #isOfVm(number: number, { vm }: RecordedMessage): boolean {
    if (vm === undefined) return true;
    this.#vms.add(vm);
    const { vm: chosen } = this.#choice;
    if (chosen !== undefined) return vm === chosen;
    this.#vm ??= vm;
    if (this.#vm === vm) return true;
    throw new PlayError(
      number,
      `the recording is of several VMs, such as ${this.#vm} and ${vm}; choose one by --vm NAME or the option vm`,
    );
  }

  #sessionOf(number: number, line: RecordedMessage): OpenSession {
    const { side, kind, t } = line;
    const name = side === "qemu" ? "QEMU" : line.client!;
    const begins = kind === "connect" || (side === "qemu" && kind === "greeting");
    const open = begins ? undefined : this.#open.get(name);
    if (open !== undefined) return open;
    const session: OpenSession = {
      name,
      listener: line.listener ?? listenerIn(name),
      dialect: line.dialect === "rfc2010" ? "rfc2010" : "qmp",
      greeting: this.#greeting,
      start: t,
      line: number,
      steps: [],
    };
    this.#open.set(name, session);
    this.#sessions.push(session);
    return session;
  }

  #command(number: number, line: RecordedMessage, session: OpenSession): void {
    const bytes = bytesOf(line, number);
    const command = isObject(bytes) ? commandIn(bytes) : undefined;
    if (command === undefined) throw notA(number, "a command");
    const recorded: RecordedCommand = { line: number, command, at: line.t, reply: undefined };
    this.#named.set(number, { session, command: recorded });
    if (isNegotiation(command.name)) return;
    session.steps.push({ kind: "command", at: line.t, of: recorded });
  }

  #reply(number: number, line: RecordedMessage): void {
    const { of } = line;
    // Its command was in an earlier file, or is not recorded.
    if (of === undefined) return;
    const named = this.#named.get(of);
    if (named === undefined) {
      throw new PlayError(
        number,
        `"of" names line ${of}, which is not an earlier command; record again`,
      );
    }
    const earlier = this.#replies.get(of);
    if (earlier !== undefined) {
      throw new PlayError(
        number,
        `"of" names line ${of}, which has its reply in line ${earlier}; record again`,
      );
    }
    this.#replies.set(of, number);
    if (named === "other") return;
    const { session, command } = named;
    const reply = replyIn(bytesOf(line, number), command, number);
    if (isNegotiation(command.command.name)) {
      if (reply.kind === "return" && session.steps.length === 0) session.start = line.t;
      return;
    }
    if (isRefusal(reply)) {
      // The monitor refuses the command itself.
      const at = session.steps.findIndex((step) => "of" in step && step.of === command);
      session.steps.splice(at, 1);
      return;
    }
    if (command.command.name === "query-qmp-schema" && reply.kind === "return") {
      this.#schema ??= { value: schemaIn(reply, number), lineOf: () => number };
    }
    command.reply = () => reply;
    session.steps.push({ kind: "reply", at: line.t, of: command });
  }

  /** Returns what was read; @throws PlayError if something is missing */
  play(): Play {
    const { vm } = this.#choice;
    if (vm !== undefined && this.#vms.size > 0 && !this.#vms.has(vm)) {
      const known = [...this.#vms].join(", ");
      throw new PlayError(0, `the recording has no VM ${vm}; choose one of its VMs: ${known}`);
    }
    const sessions = this.#sessions.map((session): PlaySession => {
      const { line, ...rest } = session;
      const greeting = session.greeting ?? this.#greeting;
      if (greeting !== undefined) return { ...rest, greeting };
      throw new PlayError(
        line,
        "no greeting is recorded; record while QEMU is connected, so that its version is known",
      );
    });
    if (sessions.length === 0) {
      const what = this.#choice.as === "qemu" ? "connection to QEMU" : "client";
      throw new PlayError(0, `no ${what} is recorded; record again while there is one`);
    }
    return { sessions, mark: this.#mark, schema: this.#schema };
  }
}

/** Returns the listener in a client's name, `LISTENER/NUMBER`. */
function listenerIn(name: string): string | undefined {
  const slash = name.lastIndexOf("/");
  return slash < 0 ? undefined : name.slice(0, slash);
}

/** Returns the bytes of a message with QEMU's line end; @throws PlayError if it was left out */
function bytesOf({ text, base64, kind, length }: RecordedMessage, number: number): Uint8Array {
  if (base64 !== undefined) {
    try {
      return Uint8Array.from(
        `${atob(base64).replace(/\r?\n$/, "")}\r\n`,
        (char) => char.charCodeAt(0),
      );
    } catch (error) {
      if (!(error instanceof DOMException)) throw error;
      throw new PlayError(number, '"base64" is not base64; record again');
    }
  }
  if (text !== undefined) return new TextEncoder().encode(`${text}\r\n`);
  const size = length === undefined ? "" : ` of ${length} bytes`;
  throw new PlayError(
    number,
    `the recording has no text of this ${kind}${size}: longer ones than 1 MiB are left out; ` +
      "choose other clients or commands with qmpmux show --json",
  );
}

function greetingIn(bytes: Uint8Array, number: number): Greeting {
  const greeting = wholeMessage(bytes);
  if (greeting?.kind !== "greeting") throw notA(number, "a greeting");
  if (!hasVersion(greeting)) {
    throw new PlayError(number, "the greeting has no version; record again");
  }
  return greeting;
}

function replyIn(bytes: Uint8Array, { command }: RecordedCommand, number: number): Reply {
  const reply = wholeMessage(withoutRecordedId(bytes, command.id));
  if (reply?.kind !== "return" && reply?.kind !== "error") throw notA(number, "a reply");
  return reply;
}

function notA(number: number, what: string): PlayError {
  return new PlayError(number, `its text is not ${what} of QMP; record again`);
}

/** The errors of a monitor to a command before the negotiation. */
const REFUSAL = /"Expecting capabilities negotiation with |"QMPInvalidModeCommad"/;

function isRefusal({ kind, bytes }: Reply): boolean {
  return kind === "error" && REFUSAL.test(new TextDecoder().decode(bytes.subarray(0, 200)));
}

function schemaIn(reply: Reply, number: number): unknown {
  try {
    return JSON.parse(returned(reply)!);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new PlayError(number, "the schema is not JSON; record again");
  }
}
