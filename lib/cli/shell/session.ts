/**
 * A session of the shell: runs lines, and prints the results.
 *
 * @module
 */

import { ConnectionLost, ProtocolError } from "../../client/errors.ts";
import type { Qmp } from "../../client/qmp.ts";
import { withTimeout } from "../../platform/clock.ts";
import { asFailure, Failure } from "../../platform/failure.ts";
import { bytesText } from "../progress.ts";
import { replyTo, type SessionReply, statusOfError } from "../replies.ts";
import { printable } from "../../wire/printable.ts";
import { shortened } from "../../wire/shortened.ts";
import { checkArguments } from "./argument_check.ts";
import { EventFeed } from "./event_feed.ts";
import { JsonLayout } from "./json_layout.ts";
import { actionsIn, type Knowledge, learn, NOTHING } from "./knowledge.ts";
import { runOwn } from "./own_commands.ts";
import { type CommandStatement, statementOn } from "./statement.ts";
import type { View } from "./view.ts";
import { LineError } from "./words.ts";

/** The most lines and characters of a value that are shown on a terminal. */
const SHOWN_LINES = 400;
const SHOWN_CHARS = 64 << 10;

/** The milliseconds for a monitor's names and schema: a user who has pressed Tab waits for them. */
const PATIENCE_MS = 1000;

/** The most characters of an error that are shown. */
const ERROR_CHARS = 4096;

/**
 * The end of a line's work: 77 if a role refused a command, 64 if the line is malformed, `lost` if the
 * connection has ended, `left` to end the shell.
 */
export type Outcome = 0 | 1 | 64 | 77 | "lost" | "left";

/** A value that a command has returned. */
export interface LastValue {
  /** The command. */
  readonly command: string;
  /** The value as JSON on one line. */
  readonly text: string;
}

/** A session. */
export class Session {
  /** The monitor. */
  readonly qmp: Qmp;
  /** The output. */
  readonly view: View;
  /** The last value that was returned. */
  last: LastValue | undefined;
  /** Whether values are printed as JSON on one line. */
  isJson: boolean;
  /** Whether the time of each command is printed. */
  isTimed = false;
  /** The language of the lines. */
  language: "qmp" | "hmp" = "qmp";
  /** The actions of the transaction that is being written, as JSON. */
  actions: string[] | undefined;
  /** The milliseconds for the monitor's answers to a completion. */
  readonly patience: number;
  /** The knowledge of the monitor so far. */
  knowledge: Knowledge = NOTHING;
  #learning: Promise<Knowledge> | undefined;
  /** The knowledge of actions, and that from which it was made. */
  #actions: Knowledge = NOTHING;
  #actionsOf: Knowledge = NOTHING;
  readonly #feed: EventFeed;

  /** Creates a session. */
  constructor(qmp: Qmp, view: View, patience = PATIENCE_MS) {
    this.patience = patience;
    this.qmp = qmp;
    this.view = view;
    this.isJson = !view.isTerminal;
    this.#feed = new EventFeed(qmp, view);
  }

  /** Shows events whose names match a glob from now on; none without globs. */
  events(globs: readonly string[]): void {
    this.#feed.show(globs);
  }

  /**
   * Returns the knowledge for the next line: of commands, or of actions in a transaction.
   *
   * @param patience the milliseconds to wait for the monitor
   */
  async present(patience = this.patience): Promise<Knowledge> {
    await withTimeout(patience, this.learned(), false);
    return this.known;
  }

  /** Asks the monitor, if it was not asked; returns false if the connection is lost meanwhile. */
  async learned(): Promise<boolean> {
    this.#learning ??= learn(this.qmp);
    try {
      this.knowledge = await this.#learning;
      return true;
    } catch (error) {
      this.#learning = undefined;
      // A command that is run tells the user.
      if (error instanceof ConnectionLost || error instanceof ProtocolError) return false;
      throw error;
    }
  }

  /** The knowledge for the next line, as far as it has come. */
  get known(): Knowledge {
    if (this.actions === undefined) return this.knowledge;
    if (this.#actionsOf !== this.knowledge) {
      this.#actionsOf = this.knowledge;
      this.#actions = actionsIn(this.knowledge);
    }
    return this.#actions;
  }

  /** Forgets the knowledge of the monitor: another QEMU may have taken its place. */
  forget(): void {
    this.#learning = undefined;
  }

  /**
   * Runs a line.
   *
   * @param signal gives up waiting
   * @throws errors that end the shell, such as Unread
   */
  async run(line: string, signal: AbortSignal): Promise<Outcome> {
    try {
      return await this.#run(line, signal);
    } catch (error) {
      if (error instanceof LineError) {
        this.view.complain(pointed(error, line, this.view));
        return 64;
      }
      if (signal.aborted && error === signal.reason) {
        this.view.complain(`${line.trim().split(/\s/)[0]}: given up; it may still run`);
        return 1;
      }
      const known = asFailure(error);
      if (known instanceof ConnectionLost || known instanceof ProtocolError) {
        this.view.complain(printable(known.message));
        return "lost";
      }
      if (!(known instanceof Failure)) throw error;
      this.view.complain(printable(known.message));
      return known.status === 77 ? 77 : 1;
    }
  }

  async #run(line: string, signal: AbortSignal): Promise<Outcome> {
    if (this.language === "hmp" && !line.trimStart().startsWith("\\")) {
      return await this.#runHmp(line.trim(), signal);
    }
    const statement = statementOn(line);
    switch (statement.kind) {
      case "blank":
        return 0;
      case "own":
        return await runOwn(this, statement, signal);
      case "hmp":
        if (statement.rest === "") this.language = "hmp";
        return statement.rest === "" ? 0 : await this.human(statement.rest, signal);
      case "open":
        if (this.actions !== undefined) throw new LineError(0, "the transaction has begun already");
        this.actions = [];
        return 0;
      case "close":
        return await this.#commit(statement.args, signal);
      case "command":
        if (this.known.schema !== undefined) checkArguments(this.known.schema, statement);
        if (this.actions === undefined) return await this.command(statement, signal);
        this.#add(statement);
        return 0;
    }
  }

  /** Runs a command, and prints the value or the error. */
  async command(
    { name, args }: Pick<CommandStatement, "name" | "args">,
    signal: AbortSignal,
  ): Promise<Outcome> {
    const reply = await this.#ask(name, args, signal);
    if (!("value" in reply)) return this.#failed(name, reply);
    this.last = { command: name, text: reply.value };
    this.show(reply.value);
    return 0;
  }

  /** Runs a line of the human monitor, and prints its text. */
  async human(line: string, signal: AbortSignal): Promise<Outcome> {
    const name = "human-monitor-command";
    const reply = await this.#ask(name, JSON.stringify({ "command-line": line }), signal);
    if (!("value" in reply)) return this.#failed(name, reply);
    this.last = { command: line, text: reply.value };
    const text: unknown = JSON.parse(reply.value);
    if (typeof text !== "string" || !this.view.isTerminal && this.isJson) this.show(reply.value);
    else if (text !== "") this.#printText(text.trimEnd());
    return 0;
  }

  /** Prints a value. */
  show(value: string): void {
    const { view } = this;
    if (this.isJson || !view.isTerminal) {
      return view.print(view.isTerminal ? cut(value) : value);
    }
    const layout = new JsonLayout(value, view.columns, view.paint);
    const lines: string[] = [];
    for (const line of layout.lines()) {
      lines.push(line);
      if (lines.length < SHOWN_LINES && layout.taken < SHOWN_CHARS) continue;
      if (layout.taken < value.length) lines.push(rest(value.length - layout.taken));
      break;
    }
    view.print(lines.join("\n"));
  }

  /** Prints text of the human monitor. */
  #printText(text: string): void {
    const shown = cut(text).split(/\r?\n/);
    this.view.print(shown.map(printable).join("\n"));
  }

  async #runHmp(line: string, signal: AbortSignal): Promise<Outcome> {
    if (line === "qmp") {
      this.language = "qmp";
      return 0;
    }
    return line === "" ? 0 : await this.human(line, signal);
  }

  /** Adds an action to the transaction. */
  #add({ name, args = "{}" }: CommandStatement): void {
    this.actions!.push(`{"type":${JSON.stringify(name)},"data":${args}}`);
  }

  async #commit(args: string, signal: AbortSignal): Promise<Outcome> {
    const { actions } = this;
    if (actions === undefined) throw new LineError(0, "no transaction has begun; begin one with {");
    this.actions = undefined;
    if (actions.length === 0) return 0;
    const more = args === "{}" ? "" : `,${args.slice(1, -1)}`;
    const text = `{"actions":[${actions.join(",")}]${more}}`;
    return await this.command({ name: "transaction", args: text }, signal);
  }

  /** Asks the monitor, and prints the time if that is wanted. */
  async #ask(name: string, args: string | undefined, signal: AbortSignal): Promise<SessionReply> {
    const begin = performance.now();
    const reply = await replyTo(this.qmp, name, args, { signal });
    if (this.isTimed) {
      const time = `${(performance.now() - begin).toFixed(1)} ms`;
      this.view.print(this.view.paint("dim", time));
    }
    return reply;
  }

  #failed(name: string, reply: { readonly errorClass: string; readonly desc: string }): 1 | 77 {
    const { errorClass, desc } = reply;
    const text = errorClass === "GenericError" ? desc : `${errorClass}: ${desc}`;
    this.view.complain(printable(shortened(`${name}: ${text}`, ERROR_CHARS)));
    return statusOfError(reply);
  }
}

/** Returns the beginning of a text, and a line that tells how much is missing. */
function cut(text: string): string {
  if (text.length <= SHOWN_CHARS) return text;
  return `${text.slice(0, SHOWN_CHARS)}\n${rest(text.length - SHOWN_CHARS)}`;
}

function rest(length: number): string {
  return `… ${bytesText(length)} more; \\save FILE writes all of it`;
}

/** Returns an error with the place in the line that it concerns: on a terminal below that place. */
function pointed({ at, message }: LineError, line: string, view: View): string {
  if (!view.isTerminal) return `column ${at + 1}: ${message}`;
  const column = view.lineColumn + at;
  // On a line that is wrapped, or has characters that are escaped, the place is not known.
  const isKnown = printable(line) === line && view.lineColumn + line.length < view.columns;
  const text = printable(message);
  if (!isKnown) return text;
  const place = `${" ".repeat(column)}^`;
  return place.length + text.length + 1 < view.columns ? `${place} ${text}` : `${place}\n${text}`;
}
