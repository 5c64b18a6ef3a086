/**
 * The QEMU of a play: gives each connection its recorded session.
 *
 * @module
 */

import type { ClientSocket } from "../platform/client_socket.ts";
import { EventName } from "../policy/event_filter.ts";
import type { Command, Event, Reply } from "../wire/message.ts";
import { errorReply, returnReply } from "../wire/reply.ts";
import { eventOf, plainAnswer, withFaults } from "./answer.ts";
import type { FakeHost } from "./fake_kind.ts";
import { FakeConnection, type PendingCommand } from "./fake_connection.ts";
import { type Fault, type FaultAction, FaultPlan } from "./fault.ts";
import { isQuery, type Play, type PlaySession, type RecordedCommand } from "./play.ts";
import { Player, type PlayerOptions, type Send, type Unexpected } from "./player.ts";
import { commandText, isRecorded } from "./recorded_match.ts";
import type { RecordedSchema } from "./recorded_schema.ts";
import type { SchemaCheck } from "./schema_check.ts";
import { SentAnswers } from "./sent_answer.ts";

/** Settings of a replay. */
export interface ReplayOptions extends Omit<PlayerOptions, "mark" | "clock"> {
  /** The faults. */
  readonly faults: readonly Fault[];
  /** The clock, which also tells the time of day for the events of faults. */
  readonly clock: PlayerOptions["clock"] & { timeOfDay(): number };
  /** Called with a line for people about each command that was not recorded. */
  say(line: string): void;
  /** Called with a line for people about each command that has no recorded reply. */
  note?(line: string): void;
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
  readonly session: PlaySession;
  readonly player: Player;
  readonly number: number;
  readonly sent: SentAnswers;
}

/** The reply that faults spoil if the recording has none. */
const NO_REPLY = returnReply("{}");

/** The QEMU of a play. */
export class Replay {
  /** The number of commands that were not recorded. */
  unexpected = 0;
  readonly #play: Play;
  readonly #options: ReplayOptions;
  readonly #schema: RecordedSchema | undefined;
  readonly #faults: FaultPlan;
  /** The number of connections by listener. */
  readonly #counts = new Map<string, number>();
  #connections = 0;
  readonly #open = new Set<FakeConnection>();
  /** The sessions that a connection has got, and the recorded commands that have come. */
  readonly #begun = new Set<PlaySession>();
  readonly #came = new Set<RecordedCommand>();

  private constructor(play: Play, options: ReplayOptions, schema: RecordedSchema | undefined) {
    this.#play = play;
    this.#options = options;
    this.#schema = schema;
    this.#faults = new FaultPlan(options.faults);
  }

  /**
   * Creates the QEMU of a play.
   *
   * @throws PlayError if the schema is not one
   */
  static async of(play: Play, options: ReplayOptions): Promise<Replay> {
    const { schema, sessions } = play;
    if (schema === undefined) return new Replay(play, options, undefined);
    const { RecordedSchema } = await import("./recorded_schema.ts");
    return new Replay(play, options, new RecordedSchema(schema, sessions[0]!.greeting));
  }

  /** The names of the recorded listeners. */
  get listeners(): ReadonlySet<string> {
    return new Set(this.#play.sessions.flatMap(({ listener }) => listener ?? []));
  }

  /** The schema of the file, if it has one. */
  get check(): SchemaCheck | undefined {
    return this.#schema?.check;
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
    const sent = new SentAnswers({
      emit: (event) =>
        connection.sendEvent(new EventName(event.name), eventOf(event, clock.timeOfDay())),
      restart,
      end: restart,
    });
    const connection: FakeConnection = new FakeConnection(
      socket,
      number,
      (pending) => {
        host?.received(pending.command);
        this.#run(pending, { session, player, number, sent });
      },
      { dialect: session.dialect, ready: () => player.begin() },
    );
    this.#open.add(connection);
    try {
      await connection.serve(session.greeting);
    } finally {
      player.end();
      this.#open.delete(connection);
      await sent.end();
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

  /** Whether a command is recorded, not only a schema. */
  get #hasRecorded(): boolean {
    return this.#play.sessions.some(({ steps }) => steps.length > 0);
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

  /** Returns the texts about a command that another session has; `undefined` if none has it. */
  #elsewhere(command: Command, own: PlaySession): { reason: string; near: string } | undefined {
    for (const { name, steps } of this.#play.sessions) {
      if (steps === own.steps) continue;
      for (const step of steps) {
        if (step.kind !== "command" || !isRecorded(step.of, command, this.#play.mark)) continue;
        const reason = `The command ${command.name} is recorded in another session`;
        return { reason, near: `${name} has it (line ${step.of.line})` };
      }
    }
    return undefined;
  }

  #run(pending: PendingCommand, playing: Playing): void {
    const { command } = pending;
    const actions = this.#faults.next(command.name);
    const delay = delayOf(actions);
    const sendAs = (reply: Reply, actions: readonly FaultAction[]): void => {
      if (actions.length === 0) pending.reply(reply);
      else playing.sent.send(pending, withFaults(plainAnswer(reply), actions));
    };
    const send: Send = (reply, { line }) => {
      if (reply !== undefined) return sendAs(reply, actions);
      const told = `The recording has no reply to it (line ${line})`;
      this.#options.note?.(`client ${playing.number}: ${commandText(command)}: ${told}`);
      sendAs(NO_REPLY, [...actions, { kind: "silent" }]);
    };
    const unexpected = playing.player.take(command, send, delay);
    if (unexpected === undefined) return;
    const reply = this.#replyTo(command, unexpected, playing);
    playing.player.answer(command, () => sendAs(reply, actions), delay);
  }

  /** Returns the reply to a command that its session does not have at its present place. */
  #replyTo(command: Command, unexpected: Unexpected, { number, session }: Playing): Reply {
    // A recorded reply is the truth; the schema speaks of commands that were not recorded.
    const other = this.#schema?.reply(command, this.#options.isLenient || !this.#hasRecorded);
    if (other !== undefined) return other;
    this.unexpected++;
    const { reason, near } = (unexpected.isHere ? undefined : this.#elsewhere(command, session)) ??
      { reason: unexpected.reason, near: nearText(unexpected.nearest) };
    this.#options.say(`client ${number}: ${commandText(command)}: ${reason}; ${near}`);
    return errorReply("GenericError", reason);
  }
}

function nearText(nearest: RecordedCommand | undefined): string {
  return nearest === undefined
    ? "no recorded command is near"
    : `the nearest recorded command is ${commandText(nearest.command)} (line ${nearest.line})`;
}

/** Returns the time by which faults delay a reply, in seconds. */
function delayOf(actions: readonly FaultAction[]): number {
  return actions.reduce((sum, action) => action.kind === "delay" ? sum + action.ms / 1000 : sum, 0);
}
