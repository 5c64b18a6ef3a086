/**
 * A client of a QMP monitor.
 *
 * @module
 */

import { type Address, addressText, parseAddress } from "../policy/address.ts";
import { EventFilter } from "../policy/event_filter.ts";
import { ConnectError, ConnectionLost, TimeoutError } from "./errors.ts";
import { EVENTS_LIMIT, EventStream } from "./event_stream.ts";
import { stringifyExact } from "./exact_json.ts";
import { type Greeting, Link, type Reply } from "./link.ts";
import type {
  AnyQmp,
  ArgumentsOf,
  CommandName,
  EventGlob,
  EventNamed,
  EventOf,
  Gap,
  QmpSchema,
  ReturnOf,
} from "./schema.ts";

/** The time to connect and to negotiate, by default. */
const CONNECT_MS = 10_000;
/** The most bytes of a message by default; QEMU's longest, a memory dump as text, has 23 MB. */
const MESSAGE_LIMIT = 64 << 20;
/** The pauses before attempts to connect again: each is twice the one before, up to the last. */
const RETRY_MS = { first: 100, last: 5000 } as const;

/** The options of a connection. */
export interface ConnectOptions {
  /** The capabilities to enable, such as `oob`. */
  readonly enable?: readonly string[];
  /** Ends the attempt to connect. */
  readonly signal?: AbortSignal;
  /** The time to connect and to negotiate in milliseconds; 10,000 by default. */
  readonly timeout?: number;
  /**
   * Whether a connection that is lost is made again. Commands in flight are rejected, later ones wait.
   * Each stream of events gets a gap, because events may have been missed.
   */
  readonly reconnect?: boolean;
  /** The most bytes of a message; 64 MiB by default. */
  readonly messageLimit?: number;
}

/** The options of a command. */
export interface ExecuteOptions {
  /** Stops waiting for the reply; the command may still run. */
  readonly signal?: AbortSignal;
  /** The time for the reply in milliseconds; without it there is no limit. */
  readonly timeout?: number;
  /** Whether QEMU runs the command out of band; this needs the capability `oob`. */
  readonly oob?: boolean;
}

/** The options of a stream of events. */
export interface EventsOptions {
  /** The most events that wait to be read; 4,096 by default. Further ones are dropped, and a gap tells so. */
  readonly limit?: number;
}

/** The options of {@linkcode Qmp.waitFor}. */
export interface WaitOptions<E> {
  /** Ends the wait. */
  readonly signal?: AbortSignal;
  /** The time to wait in milliseconds; without it there is no limit. */
  readonly timeout?: number;
  /** Whether an event is the one that is awaited; by default the first is. */
  readonly match?: (event: E) => boolean;
}

/** The parameters after a command's name: arguments may be left out if all are optional. */
export type ExecuteParameters<A> = Record<never, never> extends A
  ? [args?: A | undefined, options?: ExecuteOptions]
  : [args: A, options?: ExecuteOptions];

/** An event, or a gap where events are missing. */
export type Told<S extends QmpSchema> = EventOf<S> | Gap;

/**
 * Connects to a monitor of QEMU or of qmpmux, and negotiates.
 *
 * @param address `unix:/path`, `/path`, `unix-abstract:NAME`, `tcp:HOST:PORT` or `HOST:PORT`
 * @throws ConnectError if no connection can be made; NotQmpError if something else is there;
 *   TimeoutError if it does not greet in time; QmpError if it refuses a capability; the reason of `signal`
 */
export async function connect<S extends QmpSchema = AnyQmp>(
  address: string,
  options: ConnectOptions = {},
): Promise<Qmp<S>> {
  const qmp = new Qmp<S>(addressOf(address), options);
  await qmp[OPEN]();
  return qmp;
}

function addressOf(text: string): Address {
  try {
    return parseAddress(text);
  } catch (error) {
    throw new ConnectError("invalid address", (error as Error).message, { cause: error });
  }
}

/** Opens the first connection; not for programs. */
const OPEN = Symbol("open");

/** A client of a monitor; {@linkcode connect} makes one. */
export class Qmp<S extends QmpSchema = AnyQmp> implements AsyncDisposable {
  /** Resolves when the client is closed, or its connection is lost for good: with the reason of the loss. */
  readonly closed: Promise<ConnectionLost | Error | undefined>;
  readonly #closed = Promise.withResolvers<Error | undefined>();
  readonly #address: Address;
  readonly #options: ConnectOptions;
  readonly #streams = new Set<EventStream<Told<S>>>();
  /** The present connection, or the one that is being made. */
  #link!: Promise<Link>;
  #current: Link | undefined;
  #greeting: Greeting | undefined;
  readonly #stop = new AbortController();

  /** Use {@linkcode connect}. */
  constructor(address: Address, options: ConnectOptions) {
    this.#address = address;
    this.#options = options;
    this.closed = this.#closed.promise;
  }

  /** Opens the first connection; `connect` calls it. */
  async [OPEN](): Promise<void> {
    const { signal } = this.#options;
    this.#link = this.#open(signal);
    await this.#link;
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
   *   first; TimeoutError; ProtocolError; the reason of `signal`
   */
  async execute<N extends CommandName<S>>(
    name: N,
    ...[args, options]: ExecuteParameters<ArgumentsOf<S, N>>
  ): Promise<ReturnOf<S, N>> {
    const text = args === undefined ? undefined : stringifyExact(args);
    const { value } = await this.#ask(name, text, options);
    return value as ReturnOf<S, N>;
  }

  /**
   * Runs a command with arguments as JSON text, and returns the reply as text.
   *
   * @returns the whole message as the monitor sent it
   * @throws as {@linkcode execute}
   */
  async executeText(name: string, args?: string, options?: ExecuteOptions): Promise<string> {
    return (await this.#ask(name, args, options)).text;
  }

  /**
   * Returns the events from now on.
   *
   * `for await` reads them, and ends the stream when it is left. After {@linkcode close} the stream ends.
   * If the connection is lost for good, reading the stream throws that error.
   *
   * @param globs the names; `*` and `?` are wildcards; all events by default
   * @throws RangeError if there are too many globs
   */
  events(
    globs: readonly EventGlob<S>[] = ["*"],
    { limit = EVENTS_LIMIT }: EventsOptions = {},
  ): EventStream<Told<S>> {
    const stream: EventStream<Told<S>> = new EventStream(
      new EventFilter(globs),
      limit,
      () => this.#streams.delete(stream),
    );
    this.#streams.add(stream);
    if (this.#over !== undefined) stream.end(this.#over.error);
    return stream;
  }

  /**
   * Waits for an event.
   *
   * Call it before the command that causes the event, and await it afterwards.
   *
   * @param glob the name, with `*` and `?`
   * @throws TimeoutError; ConnectionLost; the reason of `signal`
   */
  async waitFor<N extends EventGlob<S>>(
    glob: N,
    { match = () => true, ...limits }: WaitOptions<EventNamed<S, N>> = {},
  ): Promise<EventNamed<S, N>> {
    type E = EventNamed<S, N>;
    const stream = this.events([glob]);
    const found = async (): Promise<E> => {
      for await (const event of stream) {
        if (event.name !== GAP && match(event as E)) return event as E;
      }
      throw new ConnectionLost(`${this.#where}: closed before an event ${glob} came`, []);
    };
    try {
      return await within(found(), limits, () => `${this.#where}: no event ${glob} came in time`);
    } finally {
      await stream.return();
    }
  }

  /** Closes the connection; commands in flight are rejected. */
  async close(): Promise<void> {
    this.#stop.abort();
    this.#current?.close();
    await this.#current?.ended;
    this.#finish(undefined);
  }

  /** Closes the connection, as {@linkcode close} does. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** The end of the client, with the error if there is one; `undefined` before. */
  #over: { readonly error: Error | undefined } | undefined;

  get #where(): string {
    return addressText(this.#address);
  }

  async #ask(name: string, args?: string, options: ExecuteOptions = {}): Promise<Reply> {
    const limits: Limits = options;
    const late = (): string => `${this.#where}: ${name} got no reply in time; it may still run`;
    limits.signal?.throwIfAborted();
    let abandon = (): void => {};
    const asked = async (): Promise<Reply> => {
      const link = await this.#link;
      const request = link.request(name, args, options.oob);
      abandon = request.abandon;
      return await request.reply;
    };
    if (limits.signal === undefined && limits.timeout === undefined) return await asked();
    try {
      return await within(asked(), limits, late);
    } finally {
      abandon();
    }
  }

  /** Connects and negotiates, within the time. */
  async #open(signal: AbortSignal | undefined): Promise<Link> {
    const { enable = [], timeout = CONNECT_MS, messageLimit = MESSAGE_LIMIT } = this.#options;
    let link: Link | undefined;
    let isCancelled = false;
    const opened = async (): Promise<Link> => {
      const event = (each: unknown): void => {
        for (const stream of this.#streams) stream.push(each as Told<S>);
      };
      const ended = (error: Error): void => {
        if (link !== undefined && link === this.#current) this.#lost(error);
      };
      link = await Link.connect(this.#address, { enable, messageLimit, event, ended });
      if (isCancelled) link.close();
      await link.negotiate();
      return link;
    };
    try {
      const limits = signal === undefined ? { timeout } : { timeout, signal };
      this.#current = await within(
        opened(),
        limits,
        () =>
          `${this.#where}: ${
            link === undefined
              ? "no connection could be made in time"
              : link.greeting === undefined
              ? "no greeting came in time: another client may hold this monitor, which serves one at a " +
                "time, or it is not one"
              : "the negotiation was not answered in time"
          }`,
      );
      this.#greeting = this.#current.greeting;
      return this.#current;
    } catch (error) {
      isCancelled = true;
      link?.close();
      throw error;
    }
  }

  /** Connects again after the present connection is lost, or ends the client. */
  #lost(error: Error): void {
    if (this.#stop.signal.aborted) return;
    if (!this.#options.reconnect) return this.#finish(error);
    for (const stream of this.#streams) stream.gap("the connection was lost and is made again");
    this.#link = this.#reopened();
    // After `close` the client has ended already.
    this.#link.catch((failure) => this.#finish(failure));
  }

  /** Tries to connect until it succeeds; @throws if the client is closed, or the other end is no monitor */
  async #reopened(): Promise<Link> {
    for (let pause: number = RETRY_MS.first;; pause = Math.min(2 * pause, RETRY_MS.last)) {
      try {
        return await this.#open(this.#stop.signal);
      } catch (error) {
        if (this.#stop.signal.aborted) throw this.#closedError();
        const isPassing = error instanceof ConnectError || error instanceof ConnectionLost ||
          error instanceof TimeoutError;
        if (!isPassing) throw error;
      }
      if (!await sleep(pause, this.#stop.signal)) throw this.#closedError();
    }
  }

  #closedError(): ConnectionLost {
    return new ConnectionLost(`${this.#where}: the connection was closed`, []);
  }

  #finish(error: Error | undefined): void {
    if (this.#over !== undefined) return;
    this.#over = { error };
    for (const stream of this.#streams) stream.end(error);
    this.#closed.resolve(error);
  }
}

const GAP = "__org.qmpmux_GAP";

/** The limits of a wait. */
interface Limits {
  readonly signal?: AbortSignal;
  readonly timeout?: number;
}

/** Waits for a promise within limits; @throws TimeoutError with the text of `late`, or the signal's reason */
async function within<T>(
  promise: Promise<T>,
  { signal, timeout }: Limits,
  late: () => string,
): Promise<T> {
  signal?.throwIfAborted();
  const { promise: first, resolve, reject } = Promise.withResolvers<T>();
  promise.then(resolve, reject);
  const aborted = (): void => reject(signal!.reason);
  signal?.addEventListener("abort", aborted);
  const timer = timeout === undefined
    ? undefined
    : setTimeout(() => reject(new TimeoutError(late())), timeout);
  try {
    return await first;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", aborted);
  }
}

/** Waits for a time; returns `false` if the signal ends it. */
async function sleep(milliseconds: number, signal: AbortSignal): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => resolve(true), milliseconds);
  const aborted = (): void => resolve(false);
  signal.addEventListener("abort", aborted);
  if (signal.aborted) aborted();
  const result = await promise;
  clearTimeout(timer);
  signal.removeEventListener("abort", aborted);
  return result;
}
