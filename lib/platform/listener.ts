/**
 * Listening sockets.
 *
 * A listener adopts new settings without dropping a client.
 *
 * @module
 */

import { addressText, isFile } from "../policy/address.ts";
import {
  type Credentials,
  type Grant,
  grantFor,
  type Principal,
  principalText,
} from "../policy/admission.ts";
import type { ListenerSettings } from "../config/options.ts";
import { adoptPassed, type Bind, binderFor, Bound } from "./binding.ts";
import { CLOCK, runLater } from "./clock.ts";
import type { Store } from "./descriptor_store.ts";
import { Failure } from "./failure.ts";
import type { Log } from "./log.ts";
import type { Poller } from "./poller.ts";
import { TokenBucket } from "../policy/rate_limit.ts";
import {
  applyAccess,
  type Change,
  inodeAt,
  madeEarlier,
  makeDirectories,
  NO_CHANGE,
  removeDirectories,
  removeStaleSocket,
  type UnixAddress,
} from "./socket_file.ts";
import type { Acceptor, Stream } from "./stream.ts";
import { idOf } from "./users.ts";

/** The pause before accepting again after an error, such as a lack of descriptors. */
const FAILED_PAUSE_MS = 100;

/** The time in which a client that has already found an earlier socket's file can connect to it. */
const EARLIER_MS = 1000;

/** A function that returns the descriptor of a passed socket; @throws Failure if none has this name */
export type TakePassed = (name: string) => number;

function nothingPassed(name: string): never {
  throw new Failure(78, `fd:${name}: no sockets were passed`);
}

/** The parts of the daemon that a listener uses. */
export interface ListenerDeps {
  /** Finds passed sockets. */
  readonly take?: TakePassed;
  /** Makes sockets that identify their clients. */
  readonly poller?: Poller | undefined;
  /** Keeps the socket while qmpmux restarts. */
  readonly store?: Store | undefined;
}

/** The receiver of accepted connections. */
interface Accepting {
  readonly take: (socket: Stream) => void;
  readonly log: Log;
  readonly onError: ((error: unknown) => void) | undefined;
}

/** A listening socket; it can be suspended, to refuse clients. */
export class Listener implements Disposable {
  /** The present settings. */
  settings: ListenerSettings;
  /** The number of its clients, counted by the owner of the listener. */
  clients = 0;
  /** The socket; `undefined` while it is suspended. */
  #bound: Bound | undefined;
  /** The socket of an earlier process at the same path; the clients that wait there are accepted. */
  #earlier: Acceptor | undefined;
  /** Opens the socket; `undefined` for a passed one. */
  readonly #bind: Bind | undefined;
  /** The ids of the users and groups that its rules name. */
  #ids: ReadonlyMap<string, number>;
  /** The rate limits by user id. They are never removed, because a host has few users. */
  readonly #buckets = new Map<number, TokenBucket>();
  /** The directories that were made for the socket file. */
  #directories: readonly string[] = [];
  #closed = false;
  /** Resolves when it is resumed or closed. */
  #awake = Promise.withResolvers<void>();
  #resuming: Promise<void> | undefined;
  /** Whether no descriptor was left for the client that was accepted last. */
  #exhausted = false;

  private constructor(settings: ListenerSettings, bound: Bound, bind?: Bind) {
    this.settings = settings;
    this.#bound = bound;
    this.#bind = bind;
    this.#ids = idsIn(settings);
  }

  /**
   * Opens a listening socket.
   *
   * @throws Failure if it cannot listen at the address
   */
  static async open(settings: ListenerSettings, deps: ListenerDeps = {}): Promise<Listener> {
    const { address } = settings;
    const { take = nothingPassed, poller, store } = deps;
    // Report errors of the rules before anything is created.
    idsIn(settings);
    if (address.transport === "fd") {
      const passed = { name: address.name, descriptor: take(address.name), poller };
      return new Listener(settings, new Bound({ socket: await adoptPassed(settings, passed) }));
    }
    const bind = binderFor(poller, store);
    const file = isFile(address) ? address as UnixAddress : undefined;
    const earlier = file && store?.take(file.path);
    const made = earlier ? madeEarlier(settings) : makeDirectories(settings);
    try {
      if (earlier === undefined && file) await removeStaleSocket(file);
      const replaced = earlier && inodeAt(file!.path);
      const listener = new Listener(settings, bind(settings, address, replaced), bind);
      listener.#directories = made;
      listener.#earlier = earlier;
      return listener;
    } catch (error) {
      earlier?.close();
      removeDirectories(made);
      throw error;
    }
  }

  /** Whether it is suspended. */
  get suspended(): boolean {
    return this.#bound === undefined;
  }

  /** Stops listening until {@linkcode resume}; connections are refused meanwhile. */
  suspend(): void {
    if (this.#closed || this.#bind === undefined) return;
    this.#close();
  }

  /**
   * Listens again.
   *
   * @throws Failure if it cannot; it may be called again
   */
  async resume(): Promise<void> {
    await (this.#resuming ??= this.#listenAgain().finally(() => this.#resuming = undefined));
  }

  async #listenAgain(): Promise<void> {
    const { address } = this.settings;
    if (this.#closed || !this.suspended || address.transport === "fd") return;
    if (isFile(address)) await removeStaleSocket(address as UnixAddress);
    if (this.#closed || !this.suspended) return;
    this.#makeDirectories();
    this.#bound = this.#bind!(this.settings, address);
    this.#awake.resolve();
  }

  /** Adopts new settings for the same address; @throws Failure as `prepare` does */
  adopt(settings: ListenerSettings): void {
    this.prepare(settings).commit();
  }

  /**
   * Runs every step of adopting new settings that can fail. It changes the mode and owner of the
   * socket file. If the file was removed, it is created again, but accepts no client before the commit.
   *
   * @throws Failure if the socket file cannot get its owner, if another file is at its path, or
   *   if a rule names an unknown user or group; then nothing has changed
   */
  prepare(settings: ListenerSettings): Change {
    const { address } = settings;
    const ids = idsIn(settings);
    const file = address.transport === "unix" && this.#bound?.inode !== undefined
      ? this.#prepareFile(settings, address)
      : NO_CHANGE;
    return {
      commit: () => {
        this.#ids = ids;
        const rate = settings.grant.limits["user-rate"];
        for (const bucket of this.#buckets.values()) bucket.adopt(rate, CLOCK.now());
        file.commit();
        this.settings = settings;
      },
      undo: file.undo,
    };
  }

  #prepareFile(settings: ListenerSettings, address: UnixAddress): Change {
    if (inodeAt(address.path) === this.#bound?.inode) return applyAccess(settings, address);
    this.#makeDirectories();
    const bound = this.#bind!(settings, address);
    return {
      commit: () => {
        const old = this.#bound;
        this.#bound = bound;
        old?.close();
      },
      undo: () => bound.close(),
    };
  }

  /** Returns the grant of a client; `undefined` if it is not admitted. */
  grantFor(credentials: Credentials | undefined): Grant | undefined {
    const { admission, grant } = this.settings;
    return grantFor(admission, grant, credentials, (who) => this.#ids.get(principalText(who)));
  }

  /** Returns the rate limit that all clients of a user share; `undefined` if the user is unknown. */
  bucketOf(credentials: Credentials | undefined): TokenBucket | undefined {
    if (credentials === undefined) return undefined;
    const known = this.#buckets.get(credentials.uid);
    if (known) return known;
    const bucket = new TokenBucket(this.settings.grant.limits["user-rate"], CLOCK.now());
    this.#buckets.set(credentials.uid, bucket);
    return bucket;
  }

  /** The address, with the real port if the configured one is 0. */
  get address(): string {
    const { address } = this.settings;
    const addr = this.#bound?.socket.addr;
    if (address.transport !== "tcp" || addr?.transport !== "tcp") return addressText(address);
    return addressText({ ...address, port: addr.port });
  }

  /** Whether it listens on TCP. */
  get isTcp(): boolean {
    return this.#bound?.socket.addr.transport === "tcp";
  }

  /**
   * Accepts connections until it is closed.
   *
   * @param onError is called with an error of accepting, which then continues; without it the error
   *   is thrown
   */
  async accept(
    take: (socket: Stream) => void,
    log: Log,
    onError?: (error: unknown) => void,
  ): Promise<void> {
    const to: Accepting = { take, log, onError };
    await Promise.all([this.#acceptOwn(to), this.#acceptEarlier(to)]);
  }

  async #acceptOwn(to: Accepting): Promise<void> {
    while (!this.#closed) {
      const bound = this.#bound;
      if (bound === undefined) await this.#awake.promise;
      // It may be suspended or replaced.
      else await this.#acceptOne(bound.socket, to, () => bound === this.#bound);
    }
  }

  /** Accepts the clients that wait at the earlier process's socket, which no new client can find. */
  async #acceptEarlier(to: Accepting): Promise<void> {
    const earlier = this.#earlier;
    if (earlier === undefined) return;
    runLater(EARLIER_MS, () => this.#closeEarlier());
    const isOpen = (): boolean => earlier === this.#earlier;
    while (isOpen()) await this.#acceptOne(earlier, to, isOpen);
  }

  /** Accepts a connection, or waits a moment after an error. */
  async #acceptOne(
    socket: Acceptor,
    { take, log, onError }: Accepting,
    isOpen: () => boolean,
  ): Promise<void> {
    try {
      take(await socket.accept());
      this.#exhausted = false;
    } catch (error) {
      if (!isOpen()) return;
      const isExhausted = isExhaustion(error);
      if (!isExhausted) {
        if (onError === undefined) throw error;
        onError(error);
      } else if (!this.#exhausted) {
        log.warn(
          `${this.address}: no descriptor is left for another client; ` +
            "raise the limit of open files (LimitNOFILE=)",
        );
      }
      this.#exhausted ||= isExhausted;
      await new Promise((resolve) => setTimeout(resolve, FAILED_PAUSE_MS));
    }
  }

  /** Makes the directories of the socket file again, if somebody has removed them. */
  #makeDirectories(): void {
    const made = makeDirectories(this.settings);
    this.#directories = [...new Set([...this.#directories, ...made])];
  }

  /** Stops listening for good. */
  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#close();
    removeDirectories(this.#directories);
    this.#awake.resolve();
  }

  /** Closes the socket. */
  #close(): void {
    const bound = this.#bound;
    this.#closeEarlier();
    if (bound === undefined) return;
    this.#bound = undefined;
    this.#awake = Promise.withResolvers();
    bound.close();
  }

  #closeEarlier(): void {
    const earlier = this.#earlier;
    this.#earlier = undefined;
    earlier?.close();
  }
}

/** Returns the ids of the users and groups in a listener's rules; @throws Failure if one is unknown */
function idsIn({ admission: { allow = [], special } }: ListenerSettings): Map<string, number> {
  const ids = new Map<string, number>();
  const add = (who: Principal, option: string): void => {
    ids.set(principalText(who), idOf(who.kind, who.name, option));
  };
  for (const who of allow) add(who, "allow");
  for (const { who } of special) add(who, "role-for");
  return ids;
}

function isExhaustion(error: unknown): boolean {
  return error instanceof Error && /too many open files|os error (23|24)\b/i.test(error.message);
}
