/**
 * The QEMU of a play: gives each connection its recorded session.
 *
 * @module
 */

import { type Introspection, readIntrospection, SchemaError } from "../client/introspection.ts";
import type { ClientSocket } from "../platform/client_socket.ts";
import { EventName } from "../policy/event_filter.ts";
import type { Command, Event, Reply } from "../wire/message.ts";
import { errorReply, returnReply } from "../wire/reply.ts";
import { eventOf, plainAnswer, valueReply, withFaults } from "./answer.ts";
import { emptiestValue } from "./emptiest.ts";
import type { FakeHost } from "./fake_kind.ts";
import { FakeConnection, type PendingCommand } from "./fake_connection.ts";
import { type Fault, FaultPlan } from "./fault.ts";
import {
  isQuery,
  type Play,
  PlayError,
  type PlaySchema,
  type PlaySession,
  type RecordedCommand,
} from "./play.ts";
import { Player, type PlayerOptions } from "./player.ts";
import { commandText } from "./recorded_match.ts";
import { respelt } from "./respelt.ts";
import { SchemaCheck } from "./schema_check.ts";
import { LateAnswers } from "./sent_answer.ts";

/** Settings of a replay. */
export interface ReplayOptions extends Omit<PlayerOptions, "mark" | "clock"> {
  /** The faults. */
  readonly faults: readonly Fault[];
  /** The clock, which also tells the time of day for the events of faults. */
  readonly clock: PlayerOptions["clock"] & { timeOfDay(): number };
  /** Called with a line for people about each command that was not recorded. */
  say(line: string): void;
}

/** A schema, ready to check commands. */
interface Checked {
  readonly source: unknown;
  readonly schema: Introspection;
  readonly check: SchemaCheck;
}

/** Options of a connection. */
export interface ServeOptions {
  /** Limits the sessions to those of a recorded listener. */
  readonly listener?: string | undefined;
  /** Notes commands, and restarts; without it a restart closes all connections. */
  readonly host?: Pick<FakeHost, "received" | "restart">;
}

/** One connection. */
interface Playing {
  readonly player: Player;
  readonly number: number;
  readonly late: LateAnswers;
}

/** The QEMU of a play. */
export class Replay {
  /** The number of commands that were not recorded. */
  unexpected = 0;
  readonly #play: Play;
  readonly #options: ReplayOptions;
  readonly #checked: Checked | undefined;
  readonly #faults: FaultPlan;
  /** The number of connections by listener. */
  readonly #counts = new Map<string, number>();
  #connections = 0;
  readonly #open = new Set<FakeConnection>();
  /** The sessions that a connection has got, and the recorded commands that have come. */
  readonly #begun = new Set<PlaySession>();
  readonly #came = new Set<RecordedCommand>();

  /**
   * Creates the QEMU of a play.
   *
   * @throws PlayError if the schema is not one
   */
  constructor(play: Play, options: ReplayOptions) {
    this.#play = play;
    this.#options = options;
    this.#faults = new FaultPlan(options.faults);
    const { schema, sessions } = play;
    if (schema !== undefined) this.#checked = checkedOf(schema, sessions[0]!);
  }

  /** The names of the recorded listeners. */
  get listeners(): ReadonlySet<string> {
    return new Set(this.#play.sessions.flatMap(({ listener }) => listener ?? []));
  }

  /** The schema of the file, if it has one. */
  get check(): SchemaCheck | undefined {
    return this.#checked?.check;
  }

  /**
   * Serves one connection until it ends. The n-th gets the n-th session, later ones the last.
   */
  async serve(socket: ClientSocket, { listener, host }: ServeOptions = {}): Promise<void> {
    const number = ++this.#connections;
    const session = this.#next(listener);
    this.#begun.add(session);
    const player = new Player(session, { ...this.#options, mark: this.#play.mark }, {
      event: (event) => connection.sendEvent(new EventName(event.name), event),
      close: () => void connection.finish(),
      came: (recorded) => void this.#came.add(recorded),
    });
    const { clock } = this.#options;
    const restart = host?.restart ?? (async (): Promise<void> => await this.closeConnections());
    const late = new LateAnswers({
      emit: (event) =>
        connection.sendEvent(new EventName(event.name), eventOf(event, clock.timeOfDay())),
      restart,
      end: restart,
    }, (seconds, run) => clock.after(seconds, run));
    const connection: FakeConnection = new FakeConnection(
      socket,
      number,
      (pending) => {
        host?.received(pending.command);
        this.#run(pending, { player, number, late });
      },
      { dialect: session.dialect, ready: () => player.begin() },
    );
    this.#open.add(connection);
    try {
      await connection.serve(session.greeting);
    } finally {
      player.end();
      this.#open.delete(connection);
      await late.end();
    }
  }

  /** Sends an event to all clients that want it. */
  sendEvent(name: EventName, event: Event): void {
    for (const connection of this.#open) connection.sendEvent(name, event);
  }

  /**
   * Returns the recorded commands that have not come, each as a sentence. Those that only ask may be left out, and
   * sessions that no connection has got, if another has. If the order makes no difference, any may.
   */
  missing(): readonly string[] {
    if (this.#options.isLenient) return [];
    const isUsed = this.#begun.size > 0;
    if (!isUsed && this.#play.sessions.some(({ steps }) => steps.length > 0)) {
      return ["No client has connected"];
    }
    return [...this.#begun].flatMap(({ steps }) => steps).flatMap((step) => {
      if (step.kind !== "command" || this.#came.has(step.of)) return [];
      const { command, line } = step.of;
      if (isQuery(command.name)) return [];
      return [`Recorded command ${commandText(command)} (line ${line}) has not come`];
    });
  }

  /** Closes all connections. */
  closeConnections(): void {
    for (const connection of this.#open) connection.close();
  }

  #next(listener: string | undefined): PlaySession {
    const { sessions } = this.#play;
    const chosen = listener === undefined
      ? sessions
      : sessions.filter((session) => session.listener === listener);
    const key = listener ?? "";
    const count = this.#counts.get(key) ?? 0;
    this.#counts.set(key, count + 1);
    return chosen[Math.min(count, chosen.length - 1)]!;
  }

  #run(pending: PendingCommand, playing: Playing): void {
    const { command } = pending;
    const actions = this.#faults.next(command.name);
    const reply = actions.length === 0 ? pending.reply : (reply: Reply): void => {
      playing.late.send(pending, withFaults(plainAnswer(reply), actions));
    };
    this.#answer(command, reply, playing);
  }

  #answer(command: Command, reply: (reply: Reply) => void, { player, number }: Playing): void {
    const unexpected = player.take(command, reply);
    if (unexpected === undefined) return;
    // A recorded reply is the truth; the schema speaks of commands that were not recorded.
    const error = this.#checked?.check.error(command);
    if (error !== undefined) return reply(errorReply(error.errorClass, error.desc));
    const emptiest = this.#emptiestReply(command);
    if (emptiest !== undefined) return reply(emptiest);
    this.unexpected++;
    const { reason, nearest } = unexpected;
    reply(errorReply("GenericError", reason));
    const near = nearest === undefined
      ? "no recorded command is near"
      : `the nearest recorded command is ${commandText(nearest.command)} (line ${nearest.line})`;
    this.#options.say(`client ${number}: ${commandText(command)}: ${reason}; ${near}`);
  }

  /** Returns the reply to a command that was not recorded, with the emptiest value of its type. */
  #emptiestReply({ name }: Command): Reply | undefined {
    const { sessions } = this.#play;
    const hasRecorded = sessions.some(({ steps }) => steps.length > 0);
    if (this.#checked === undefined || (hasRecorded && !this.#options.isLenient)) return undefined;
    const { schema, source } = this.#checked;
    switch (name) {
      case "query-qmp-schema":
        return returnReply(respelt(JSON.stringify(source)));
      case "query-commands":
        return valueReply([...schema.commands.keys()].map((name) => ({ name })));
      case "query-version":
        return returnReply(respelt(JSON.stringify(versionIn(sessions[0]!))));
    }
    try {
      return valueReply(emptiestValue(schema.commands.get(name)!.return, schema));
    } catch (error) {
      if (!(error instanceof SchemaError)) throw error;
      return errorReply("GenericError", `The schema has no value for ${name}: ${error.message}`);
    }
  }
}

/** Returns the version in the greeting of a session. */
function versionIn({ greeting: { bytes } }: PlaySession): unknown {
  const { QMP: { version } } = JSON.parse(new TextDecoder().decode(bytes)) as {
    QMP: { version: unknown };
  };
  return version;
}

/** Reads a schema for the QEMU of a session; @throws PlayError if it is not one */
function checkedOf({ value, lineOf }: PlaySchema, { greeting }: PlaySession): Checked {
  try {
    const schema = readIntrospection(value);
    const [major, minor] = greeting.version;
    return { source: value, schema, check: new SchemaCheck(schema, [major, minor]) };
  } catch (error) {
    if (!(error instanceof SchemaError)) throw error;
    const name = /"((?:[^"\\]|\\.)*)"/.exec(error.message)?.[1];
    throw new PlayError(
      lineOf(name),
      `the schema is not whole: ${error.message}; save the reply of query-qmp-schema again`,
    );
  }
}
