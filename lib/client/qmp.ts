/**
 * A client of a QMP monitor.
 *
 * @module
 */

import { Arrival } from "./arrival.ts";
import { closedError, lateness } from "./attempt_errors.ts";
import type { ByteStreams } from "./byte_streams.ts";
import { ConnectError, ConnectionLost, TimeoutError } from "./errors.ts";
import { EVENTS_LIMIT, EventStream } from "./event_stream.ts";
import { EventWait } from "./event_wait.ts";
import { stringifyExact } from "./exact_json.ts";
import { filterOf } from "./globs.ts";
import { checkLimits, checkMessageLimit, within } from "./limits.ts";
import { type Greeting, Link, type Reply } from "./link.ts";
import type {
  AttemptOptions,
  ConnectOptions,
  EventsOptions,
  ExecuteOptions,
  ExecuteOptionsOf,
  ExecuteParameters,
  WaitOptions,
} from "./options.ts";
import { Pauses } from "./pauses.ts";
import { Readers } from "./readers.ts";
import { checkSendable } from "./sendable.ts";
import type {
  AnyQmp,
  ArgumentsOf,
  CommandName,
  EventGlob,
  EventNamed,
  QmpEvent,
  QmpSchema,
  ReturnOf,
  Told,
} from "./schema.ts";
import { type Way, wayTo } from "./way.ts";

/** The time to connect and to negotiate, by default. */
const CONNECT_MS = 10_000;
/** The most bytes of a message by default; QEMU's longest, a memory dump as text, has 23 MB. */
const MESSAGE_LIMIT = 64 << 20;
/**
 * Connects to a monitor of QEMU or of qmpmux, and negotiates.
 *
 * @param monitor `unix:/path`, `/path`, `unix-abstract:NAME`, `tcp:HOST:PORT` or `HOST:PORT`, or a pair of
 *   streams, such as those of a tunnel
 * @throws ConnectError if no connection can be made; NotQmpError if something else is there;
 *   TimeoutError if it does not greet in time; QmpError if it refuses a capability; ConnectionLost if it
 *   hangs up; ProtocolError; RangeError for an invalid time or limit; TypeError if streams are to be
 *   connected again; the reason of `signal`
 */
export async function connect<S extends QmpSchema = AnyQmp>(
  monitor: string | ByteStreams,
  options: ConnectOptions = {},
): Promise<Qmp<S>> {
  checkMessageLimit(options.messageLimit);
  const way = wayTo(monitor);
  if (options.reconnect && !way.isLasting) {
    throw new TypeError(
      "streams cannot be connected again; leave out reconnect, or give an address",
    );
  }
  const qmp = new Qmp<S>(way, options);
  await qmp[OPEN]();
  return qmp;
}

/** Opens the first connection; not for programs. */
const OPEN = Symbol("open");

/** A client of a monitor; {@linkcode connect} makes one. */
export class Qmp<S extends QmpSchema = AnyQmp> implements AsyncDisposable {
  /** Resolves when the client is closed, or its connection is lost for good: with the reason of the loss. */
  readonly closed: Promise<ConnectionLost | Error | undefined>;
  readonly #closed = Promise.withResolvers<Error | undefined>();
  readonly #way: Way;
  readonly #options: AttemptOptions;
  readonly #readers = new Readers();
  /** The present connection, or the one that is being made. */
  #link!: Arrival<Link>;
  #current: Link | undefined;
  #greeting: Greeting | undefined;
  readonly #pauses = new Pauses();
  readonly #stop = new AbortController();

  /** Use {@linkcode connect}. */
  constructor(way: Way, options: AttemptOptions) {
    this.#way = way;
    this.#options = options;
    this.closed = this.#closed.promise;
  }

  /** Opens the first connection; `connect` calls it. */
  async [OPEN](): Promise<void> {
    const { signal } = this.#options;
    this.#link = new Arrival(this.#open(signal));
    await this.#link.wait().value;
  }

  /** The greeting of the present connection. */
  get greeting(): Greeting {
    return this.#greeting!;
  }

  /**
   * Runs a command.
   *
   * Many can be in flight. The monitor runs them in order, except those out of band.
   *
   * @returns the value of the reply; integers beyond 2⁵³ are bigints
   * @throws QmpError if the monitor refuses it or it fails; ConnectionLost if the connection ends
   *   first; TimeoutError; ProtocolError; the reason of `signal`; TypeError if the name is not a string;
   *   SyntaxError if QEMU's reader of JSON would refuse the command, which is then not sent
   */
  async execute<N extends CommandName<S>>(
    name: N,
    ...[args, options]: ExecuteParameters<ArgumentsOf<S, N>, ExecuteOptionsOf<S, N>>
  ): Promise<ReturnOf<S, N>> {
    const text = args === undefined ? undefined : stringifyExact(args);
    const { value } = await this.#ask(name, text, options);
    return value as ReturnOf<S, N>;
  }

  /**
   * Runs a command with arguments as JSON text, and returns the reply as text.
   *
   * @returns the whole message as the monitor sent it
   * @throws as {@linkcode execute}; SyntaxError if the arguments are not JSON
   */
  async executeText(name: string, args?: string, options?: ExecuteOptions): Promise<string> {
    // QEMU's reader also takes what is not JSON, such as a second value.
    if (args !== undefined) JSON.parse(args);
    return (await this.#ask(name, args, options)).text;
  }

  /**
   * Returns the events from now on. Called first after {@linkcode connect}, it returns those since the
   * negotiation too.
   *
   * `for await` reads them, and ends the stream when it is left. After {@linkcode close} the stream ends.
   * If the connection is lost for good, reading the stream throws that error.
   *
   * With `since` it begins at a cursor. Other streams get a gap when it begins; reading it throws QmpError
   * if the monitor is not a qmpmux, or refuses the cursor.
   *
   * @param globs the names; `*` and `?` are wildcards; all events by default; only gaps with `[]`
   * @throws RangeError if there are too many globs, or the limit is not a positive number; TypeError if
   *   the globs are not a list of texts; Error if the client has a stream with `since` already
   */
  events(
    globs: readonly EventGlob<S>[] = ["*"],
    { limit = EVENTS_LIMIT, since }: EventsOptions = {},
  ): EventStream<Told<S>> {
    if (since !== undefined) {
      return this.#readers.subscribe(filterOf(globs), limit, since) as EventStream<Told<S>>;
    }
    const stream: EventStream<Told<S>> = new EventStream(
      filterOf(globs),
      limit,
      () => this.#readers.remove(stream),
    );
    this.#readers.add(stream);
    return stream;
  }

  /**
   * The place in qmpmux's log behind the last event that the stream with `since` has given. A stream that
   * begins there later continues behind that event. `undefined` without such a stream.
   */
  get cursor(): string | undefined {
    return this.#readers.cursor;
  }

  /**
   * Waits for an event.
   *
   * Call it before the command that causes the event, and await it afterwards. If the connection is
   * made again meanwhile, it goes on waiting, though the event may have been missed. If you never await
   * it, because the command has failed, its own failure does not end the program.
   *
   * @param glob the name, with `*` and `?`
   * @throws TimeoutError; ConnectionLost; an error that `match` throws; the reason of `signal`
   */
  waitFor<N extends EventGlob<S>>(
    glob: N,
    options: WaitOptions<EventNamed<S, N>> = {},
  ): Promise<EventNamed<S, N>> {
    const found = this.#find(glob, options);
    // Awaiting it still throws the error.
    found.catch(() => {});
    return found;
  }

  async #find<N extends EventGlob<S>>(
    glob: N,
    { match = () => true, ...limits }: WaitOptions<EventNamed<S, N>>,
  ): Promise<EventNamed<S, N>> {
    checkLimits(limits);
    const wait = new EventWait<EventNamed<S, N> & QmpEvent>(filterOf([glob]), match);
    this.#readers.add(wait);
    try {
      return await within(
        wait.found,
        limits,
        () => `${this.#where}: no event ${glob} came in time`,
      );
    } finally {
      this.#readers.remove(wait);
    }
  }

  /**
   * Closes the connection, and resolves when it is closed.
   *
   * Commands in flight are rejected with ConnectionLost, and so are waits for events. Streams of events end.
   */
  async close(): Promise<void> {
    this.#stop.abort();
    this.#current?.close();
    await this.#current?.ended;
    // An attempt to connect has ended with an error.
    await this.#link.wait().value.catch(() => {});
    this.#finish(closedError(this.#where));
  }

  /** Closes the connection, as {@linkcode close} does. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** The end of the client; `undefined` before. */
  #over: Error | undefined;

  get #where(): string {
    return this.#way.text;
  }

  async #ask(name: string, args?: string, options: ExecuteOptions = {}): Promise<Reply> {
    checkLimits(options);
    checkSendable(name, args);
    this.#readers.forgetEarly();
    let isGivenUp = false;
    const { value, leave } = this.#link.wait();
    let abandon = (): boolean => {
      leave();
      return false;
    };
    const asked = async (): Promise<Reply> => {
      let link: Link | undefined;
      try {
        link = await value;
      } catch (error) {
        if (!this.#stop.signal.aborted) throw error;
      }
      if (link === undefined || isGivenUp || this.#stop.signal.aborted) {
        throw closedError(this.#where, name);
      }
      const request = link.request(name, args, options.oob);
      abandon = request.abandon;
      return await request.reply;
    };
    if (options.signal === undefined && options.timeout === undefined) return await asked();
    const late = (): string =>
      `${this.#where}: ${
        abandon()
          ? `${name} got no reply in time; it may still run`
          : `${name} could not be sent in time`
      }`;
    try {
      return await within(asked(), options, late);
    } finally {
      isGivenUp = true;
      abandon();
    }
  }

  /** Connects and negotiates, within the time. */
  async #open(signal: AbortSignal | undefined): Promise<Link> {
    const { timeout = CONNECT_MS } = this.#options;
    const limits = signal === undefined ? { timeout } : { timeout, signal };
    checkLimits(limits);
    const attempt = new AbortController();
    let link: Link | undefined;
    const opened = async (): Promise<Link> => {
      link = await this.#connect(attempt.signal);
      if (attempt.signal.aborted) link.close();
      await link.negotiate();
      return link;
    };
    const opening = opened();
    try {
      const made = await within(opening, limits, () => `${this.#where}: ${lateness(link)}`);
      // It may have ended right after the negotiation, or the client was closed.
      const isFirst = this.#greeting === undefined;
      if (made.error !== undefined && !isFirst) throw made.error;
      if (this.#stop.signal.aborted) throw closedError(this.#where);
      this.#pauses.connected();
      this.#greeting = made.greeting;
      this.#current = made;
      this.#readers.connected(made);
      if (made.error !== undefined) this.#lost(made.error);
      return made;
    } catch (error) {
      attempt.abort();
      link?.close();
      await opening.catch(() => {});
      throw error;
    }
  }

  async #connect(signal: AbortSignal): Promise<Link> {
    const { enable = [], messageLimit = MESSAGE_LIMIT, greeted } = this.#options;
    const event = (each: QmpEvent): void => this.#readers.tell(each);
    const ended = (error: Error, link: Link): void => {
      if (link === this.#current) this.#lost(error);
    };
    const options = { enable, messageLimit, greeted, event, ended };
    return await Link.connect(this.#way, options, signal);
  }

  /** Connects again after the present connection is lost, or ends the client. */
  #lost(error: Error): void {
    if (this.#stop.signal.aborted) return;
    if (!this.#options.reconnect) return this.#finish(error);
    this.#readers.lost();
    this.#pauses.lost();
    const link = this.#reopened();
    this.#link = new Arrival(link);
    link.catch((failure) => {
      if (!this.#stop.signal.aborted) this.#finish(failure);
    });
  }

  /** Tries to connect until it succeeds; @throws if the client is closed, or the other end is not a monitor */
  async #reopened(): Promise<Link> {
    const { signal } = this.#stop;
    for (;;) {
      if (!await this.#pauses.take(signal)) throw closedError(this.#where);
      try {
        return await this.#open(signal);
      } catch (error) {
        if (signal.aborted) throw closedError(this.#where);
        const isPassing = error instanceof ConnectError || error instanceof ConnectionLost ||
          error instanceof TimeoutError;
        if (!isPassing) throw error;
      }
    }
  }

  #finish(error: Error): void {
    if (this.#over !== undefined) return;
    this.#over = error;
    const isClosed = this.#stop.signal.aborted;
    this.#readers.end(error, isClosed);
    this.#closed.resolve(isClosed ? undefined : error);
  }
}
