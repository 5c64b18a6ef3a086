/**
 * A fake QEMU that gets its answers from a script or a schema.
 *
 * It serves one client at a time, as QEMU does; others wait. It runs one command after the other,
 * and commands out of band beside them.
 *
 * @module
 */

import type { ClientSocket } from "../platform/client_socket.ts";
import type { EventName } from "../policy/event_filter.ts";
import type { Event, Greeting } from "../wire/message.ts";
import { type Answerer, withFaults } from "./answer.ts";
import { type ConnectionOptions, FakeConnection, type PendingCommand } from "./fake_connection.ts";
import type { FakeHost, FakeService } from "./fake_kind.ts";
import type { FaultPlan } from "./fault.ts";
import { sendAnswer } from "./sent_answer.ts";

/** The parts that answers come from. */
export interface AnsweringOptions {
  /** The source of answers. */
  readonly answerer: Answerer;
  /** The greeting. */
  readonly greeting: Greeting;
  /** The faults. */
  readonly faults: FaultPlan;
  /** Options of each connection. */
  readonly connection?: ConnectionOptions;
}

/** A fake QEMU behind its sockets. */
export class Answering implements FakeService {
  readonly #options: AnsweringOptions;
  readonly #host: FakeHost;
  readonly #stop = new AbortController();
  /** The end of the last connection that is served, or waits for that. */
  #turn: Promise<void> = Promise.resolve();
  readonly #waiting = new Set<ClientSocket>();
  #current: FakeConnection | undefined;
  #connections = 0;
  /** The end of the command that runs. */
  #lane: Promise<void> = Promise.resolve();
  /** The commands that run beside it, out of band. */
  readonly #beside = new Set<Promise<void>>();

  /** Creates the part behind the sockets. */
  constructor(options: AnsweringOptions, host: FakeHost) {
    this.#options = options;
    this.#host = host;
  }

  /** Serves a connection after those before it. */
  serve(socket: ClientSocket): Promise<void> {
    this.#waiting.add(socket);
    this.#turn = this.#turn.then(() => this.#serveNow(socket));
    return this.#turn;
  }

  /** Closes all connections at once. */
  closeConnections(): void {
    for (const socket of this.#waiting) socket.close();
    this.#waiting.clear();
    this.#current?.close();
  }

  /** Sends an event to the client that is served, if it wants it. */
  sendEvent(name: EventName, event: Event): void {
    this.#current?.sendEvent(name, event);
  }

  /** Gives up the commands that are delayed, or whose answers have not come; resolves when no command runs. */
  async finish(): Promise<void> {
    this.#stop.abort();
    await this.#lane;
    await Promise.all(this.#beside);
  }

  async #serveNow(socket: ClientSocket): Promise<void> {
    // It may have been closed meanwhile.
    if (!this.#waiting.delete(socket)) return;
    this.#connections++;
    this.#current = new FakeConnection(
      socket,
      this.#connections,
      (pending) => this.#take(pending),
      this.#options.connection,
    );
    await this.#current.serve(this.#options.greeting);
    this.#current = undefined;
  }

  /** Runs a command after those before it, or at once if it is out of band. */
  #take(pending: PendingCommand): void {
    const { command } = pending;
    this.#host.received(command);
    const run = (): Promise<void> => this.#run(pending).catch((error) => this.#host.fail(error));
    if (!command.oob) {
      this.#lane = this.#lane.then(run);
      return;
    }
    const running = run().finally(() => this.#beside.delete(running));
    this.#beside.add(running);
  }

  async #run(pending: PendingCommand): Promise<void> {
    const { command, connection, abandon } = pending;
    // QEMU drops the waiting commands of a client that has left.
    if (connection.isClosed) return abandon();
    const { signal } = this.#stop;
    const plain = await unlessAborted(this.#options.answerer.answer(command), signal);
    if (plain === undefined) return abandon();
    const answer = withFaults(plain, this.#options.faults.next(command.name));
    if (answer.delay > 0) await passed(answer.delay, signal);
    if (signal.aborted) return abandon();
    await sendAnswer(pending, answer, this.#host);
  }
}

/** Waits for a value; returns `undefined` at a signal, if that comes first. */
async function unlessAborted<T>(
  value: T | Promise<T>,
  signal: AbortSignal,
): Promise<T | undefined> {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const stop = (): void => resolve(undefined);
  if (signal.aborted) stop();
  signal.addEventListener("abort", stop);
  try {
    return await Promise.race([value, promise]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

/** Waits for some milliseconds, or until a signal. */
async function passed(ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  signal.addEventListener("abort", () => resolve());
  await promise;
  clearTimeout(timer);
}
