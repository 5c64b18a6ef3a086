/**
 * The shell's own commands, which begin with a backslash.
 *
 * @module
 */

import { OutputFile } from "../../platform/output_file.ts";
import { sleep } from "../../client/limits.ts";
import { SECONDS } from "../../config/value_kinds.ts";
import { nearest } from "../../policy/suggestion.ts";
import { Failure } from "../../platform/failure.ts";
import { bytesText } from "../progress.ts";
import { replyTo, statusOfError } from "../replies.ts";
import { columnsOf, isRow, tableOf } from "../table.ts";
import { printable } from "../../wire/printable.ts";
import type { Outcome, Session } from "./session.ts";
import { type CommandStatement, statementOn } from "./statement.ts";
import { LineError } from "./words.ts";

/** A command of the shell on a line: the text behind its name, and the place of that text. */
export interface GivenText {
  /** The text. */
  readonly rest: string;
  /** Its place. */
  readonly at: number;
}

/** A command of the shell. */
export interface OwnCommand {
  /** The usage behind the name. */
  readonly usage: string;
  /** The help, in half a line. */
  readonly help: string;
  /** Runs it. */
  run(session: Session, given: GivenText, signal: AbortSignal): Outcome | Promise<Outcome>;
}

/** The commands, by name. */
export const OWN_COMMANDS: Readonly<Record<string, OwnCommand>> = {
  help: {
    usage: "[COMMAND [key=value...] | EVENT]",
    help: "explain the shell, or a command: its arguments, and what it returns",
    run: async (session, { rest, at }) => {
      const { helpOn } = await import("./help.ts");
      return await helpOn(session, rest, at);
    },
  },
  events: {
    usage: "[GLOB... | off]",
    help: "show only events with such names, or none; without a name, all",
    run: (session, { rest }) => {
      const globs = rest.split(/\s+/).filter(Boolean);
      session.events(globs.length === 0 ? ["*"] : globs[0] === "off" ? [] : globs);
      return 0;
    },
  },
  watch: {
    usage: "SECONDS[xTIMES] COMMAND...",
    help: "run a command again and again, until Ctrl-C or so many times",
    run: watch,
  },
  job: {
    usage: "ID",
    help: "follow a job to its end",
    run: async (session, { rest, at }, signal) => {
      if (rest === "") throw new LineError(at, "the ID of a job is missing");
      return await (await import("./job_line.ts")).followWork(session, rest, signal);
    },
  },
  migration: {
    usage: "",
    help: "follow the migration to its end",
    run: async (session, _, signal) =>
      await (await import("./job_line.ts")).followWork(session, undefined, signal),
  },
  clients: {
    usage: "",
    help: "list the clients of this qmpmux; its role must administer",
    run: clients,
  },
  json: {
    usage: "[on | off]",
    help: "print values as JSON on one line, as qmpmux exec does",
    run: (session, given) => {
      session.isJson = switched(session.isJson, given);
      return told(session, `values on one line: ${onOff(session.isJson)}`);
    },
  },
  time: {
    usage: "[on | off]",
    help: "print the time that each command takes",
    run: (session, given) => {
      session.isTimed = switched(session.isTimed, given);
      return told(session, `times: ${onOff(session.isTimed)}`);
    },
  },
  save: {
    usage: "FILE",
    help: "write the last value to a file, whole, as JSON",
    run: save,
  },
  cancel: {
    usage: "",
    help: "drop the transaction that has begun",
    run: (session, { at }) => {
      if (session.actions === undefined) throw new LineError(at, "no transaction has begun");
      session.actions = undefined;
      return 0;
    },
  },
  quit: {
    usage: "",
    help: "leave the shell; Ctrl-D does so too",
    run: () => "left",
  },
};

/** Runs a command of the shell; @throws LineError */
export async function runOwn(
  session: Session,
  { name, at, rest }: { readonly name: string; readonly at: number; readonly rest: string },
  signal: AbortSignal,
): Promise<Outcome> {
  const found = Object.hasOwn(OWN_COMMANDS, name) ? OWN_COMMANDS[name] : undefined;
  if (found !== undefined) {
    return await found.run(session, { rest: rest.trim(), at: at + name.length + 2 }, signal);
  }
  const meant = nearest(name, Object.keys(OWN_COMMANDS));
  const instead = meant === undefined ? "\\help lists all" : `did you mean \\${meant}?`;
  throw new LineError(at, `\\${printable(name)} is unknown; ${instead}`);
}

function switched(present: boolean, { rest, at }: GivenText): boolean {
  if (rest === "") return !present;
  if (rest === "on" || rest === "off") return rest === "on";
  throw new LineError(at, "expected on or off");
}

function onOff(value: boolean): string {
  return value ? "on" : "off";
}

/** Tells a person of a change. */
function told({ view }: Session, text: string): 0 {
  if (view.isTerminal) view.print(view.paint("dim", text));
  return 0;
}

/** Writes the last value to a file. */
function save({ last, view }: Session, { rest, at }: GivenText): Outcome {
  if (rest === "") throw new LineError(at, "the name of a file is missing");
  if (last === undefined) throw new LineError(at, "no command has returned a value yet");
  const path = rest.replace(/^(['"])(.*)\1$/, "$2");
  using file = OutputFile.create(path);
  file.write(`${last.text}\n`);
  file.finish();
  if (view.isTerminal) {
    view.print(view.paint("dim", `${bytesText(last.text.length + 1)} in ${printable(path)}`));
  }
  return 0;
}

/** Lists the clients of a qmpmux. */
async function clients(
  { qmp, view }: Session,
  _: GivenText,
  signal: AbortSignal,
): Promise<Outcome> {
  const reply = await replyTo(qmp, "__org.qmpmux_query-clients", undefined, { signal });
  if (!("value" in reply)) {
    throw new Failure(
      statusOfError(reply) === 77 ? 77 : 1,
      "only a listener whose role administers tells its clients; see qmpmux clients --control",
    );
  }
  const list: unknown = JSON.parse(reply.value);
  const rows = Array.isArray(list) ? list.filter(isRow) : [];
  const columns = columnsOf(["name", "peer", "role", "mode", "commands", "last-command"]);
  view.print(tableOf(rows, columns) ?? reply.value);
  return 0;
}

/** Runs a command again and again. */
async function watch(
  session: Session,
  { rest, at }: GivenText,
  signal: AbortSignal,
): Promise<Outcome> {
  const [, every = "", times, line] = /^([\d.]+)(?:x(\d+))?\s+(.+)$/s.exec(rest) ?? [];
  const seconds = SECONDS.read(every);
  if (seconds === undefined || line === undefined) {
    throw new LineError(at, "expected SECONDS and a command, such as 2 query-block-jobs");
  }
  const statement = statementOn(line);
  if (statement.kind !== "command") throw new LineError(at, "expected a command of QMP");
  const limit = times === undefined ? Infinity : Number(times);
  for (let run = 1; run <= limit; run++) {
    const outcome = await once(session, statement, signal);
    if (outcome !== 0) return outcome;
    if (run < limit && !await sleep(seconds * 1000, signal)) break;
  }
  return 0;
}

async function once(
  session: Session,
  statement: CommandStatement,
  signal: AbortSignal,
): Promise<Outcome> {
  const { view } = session;
  if (view.isTerminal) {
    view.print(view.paint("dim", `${new Date().toTimeString().slice(0, 8)} ${statement.name}`));
  }
  return await session.command(statement, signal);
}
