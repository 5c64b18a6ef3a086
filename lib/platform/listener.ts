/**
 * Listening sockets.
 *
 * A listener adopts new settings without dropping a client.
 *
 * @module
 */

import { type Address, addressText, isFile, isLocal } from "../policy/address.ts";
import {
  type Credentials,
  type Grant,
  grantFor,
  type Principal,
  principalText,
} from "../policy/admission.ts";
import type { ListenerSettings } from "../config/options.ts";
import { CLOCK } from "./clock.ts";
import { Failure } from "./failure.ts";
import { noteListeningAt } from "./listening_addresses.ts";
import type { Log } from "./log.ts";
import type { Poller } from "./poller.ts";
import { adopt } from "./socket_activation.ts";
import { TokenBucket } from "../policy/rate_limit.ts";
import {
  applyAccess,
  bindFile,
  type Change,
  inodeAt,
  type Listen,
  makeDirectories,
  NO_CHANGE,
  notListening,
  removeDirectories,
  removeIfThere,
  removeStaleSocket,
  type UnixAddress,
} from "./socket_file.ts";
import type { Acceptor, Stream } from "./stream.ts";
import { UnixListener } from "./unix_socket.ts";
import { idOf } from "./users.ts";

/** The pause before accepting again after an error, such as a lack of descriptors. */
const FAILED_PAUSE_MS = 100;

/** A function that returns the descriptor of a passed socket; @throws Failure if none has this name */
export type TakePassed = (name: string) => number;

function nothingPassed(name: string): never {
  throw new Failure(78, `fd:${name}: no sockets were passed`);
}

/** A listening socket; it can be suspended, to refuse clients. */
export class Listener implements Disposable {
  /** The present settings. */
  settings: ListenerSettings;
  /** The number of its clients, counted by the owner of the listener. */
  clients = 0;
  /** The socket; `undefined` while it is suspended. */
  #socket: Acceptor | undefined;
  /** Opens the socket; `undefined` for a passed one. */
  readonly #bind: Bind | undefined;
  /** The ids of the users and groups that its rules name. */
  #ids: ReadonlyMap<string, number>;
  /** The rate limits by user id. They are never removed, because a host has few users. */
  readonly #buckets = new Map<number, TokenBucket>();
  /** The inode of the socket file, so that no other file is removed. */
  #inode: number | undefined;
  /** The directories that were made for the socket file. */
  #directories: readonly string[] = [];
  #closed = false;
  /** Resolves when it is resumed or closed. */
  #awake = Promise.withResolvers<void>();
  #resuming: Promise<void> | undefined;

  private constructor(settings: ListenerSettings, { socket, inode }: Bound, bind?: Bind) {
    this.settings = settings;
    this.#socket = socket;
    this.#inode = inode;
    this.#bind = bind;
    this.#ids = idsIn(settings);
  }

  /**
   * Opens a listening socket.
   *
   * @param take finds passed sockets
   * @param poller makes sockets that identify their clients
   * @throws Failure if it cannot listen at the address
   */
  static async open(
    settings: ListenerSettings,
    take: TakePassed = nothingPassed,
    poller: Poller | undefined = undefined,
  ): Promise<Listener> {
    const { address } = settings;
    // Report errors of the rules before anything is created.
    idsIn(settings);
    if (address.transport === "fd") {
      const descriptor = take(address.name);
      const socket = poller
        ? adoptWithFfi(address.name, descriptor, poller)
        : await adopt(address.name, descriptor);
      checkReach(settings, socket);
      return new Listener(settings, { socket, inode: undefined });
    }
    const bind = binderFor(poller);
    const made = makeDirectories(settings);
    try {
      if (isFile(address)) await removeStaleSocket(address as UnixAddress);
      const listener = new Listener(settings, bind(settings, address), bind);
      listener.#directories = made;
      return listener;
    } catch (error) {
      removeDirectories(made);
      throw error;
    }
  }

  /** Whether it is suspended. */
  get suspended(): boolean {
    return this.#socket === undefined;
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
    const { socket, inode } = this.#bind!(this.settings, address);
    this.#socket = socket;
    this.#inode = inode;
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
    const file = address.transport === "unix" && this.#inode !== undefined
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
    if (inodeAt(address.path) === this.#inode) return applyAccess(settings, address);
    this.#makeDirectories();
    const { socket, inode } = this.#bind!(settings, address);
    return {
      commit: () => {
        const old = this.#socket;
        this.#socket = socket;
        this.#inode = inode;
        old?.close();
      },
      undo: () => {
        try {
          removeIfThere(address.path, inode);
        } finally {
          socket.close();
        }
      },
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
    const addr = this.#socket?.addr;
    if (address.transport !== "tcp" || addr?.transport !== "tcp") return addressText(address);
    return addressText({ ...address, port: addr.port });
  }

  /** Whether it listens on TCP. */
  get isTcp(): boolean {
    return this.#socket?.addr.transport === "tcp";
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
    let exhausted = false;
    while (!this.#closed) {
      const socket = this.#socket;
      if (socket === undefined) {
        await this.#awake.promise;
        continue;
      }
      try {
        take(await socket.accept());
        exhausted = false;
      } catch (error) {
        if (this.#closed) return;
        // The socket was suspended or replaced.
        if (socket !== this.#socket) continue;
        if (!isExhaustion(error)) {
          if (onError === undefined) throw error;
          onError(error);
        } else if (!exhausted) {
          log.warn(
            `${this.address}: no descriptor is left for another client; ` +
              "raise the limit of open files (LimitNOFILE=)",
          );
        }
        exhausted ||= isExhaustion(error);
        await new Promise((resolve) => setTimeout(resolve, FAILED_PAUSE_MS));
      }
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

  /** Closes the socket, and removes its file if that is still ours. */
  #close(): void {
    const socket = this.#socket;
    if (socket === undefined) return;
    const { address } = this.settings;
    // Deno's close removes any file at the path, also another's.
    if (address.transport === "unix" && this.#inode !== undefined) {
      try {
        removeIfThere(address.path, this.#inode);
      } catch {
        // The file stays; nobody listens on it any more.
      }
    }
    this.#socket = this.#inode = undefined;
    this.#awake = Promise.withResolvers();
    socket.close();
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

/** Closes a passed socket that other hosts can reach, unless they are allowed; @throws Failure then */
function checkReach({ address, remote }: ListenerSettings, listener: Acceptor): void {
  const { addr } = listener;
  if (remote || addr.transport !== "tcp") return;
  const real = { transport: "tcp", hostname: addr.hostname, port: addr.port } as const;
  if (isLocal(real)) return;
  listener.close();
  throw new Failure(
    78,
    `${addressText(address)}: other machines could control the VM through ${addressText(real)}; ` +
      "pass a unix socket or one on 127.0.0.1, or add allow-remote=on",
  );
}

function isExhaustion(error: unknown): boolean {
  return error instanceof Error && /too many open files|os error (23|24)\b/i.test(error.message);
}

/** A listening socket, and the inode of its file if it has a file. */
interface Bound {
  readonly socket: Acceptor;
  readonly inode: number | undefined;
}

/** A function that opens the socket of a listener; @throws Failure if it cannot */
type Bind = (settings: ListenerSettings, address: Address) => Bound;

function binderFor(poller: Poller | undefined): Bind {
  const listen: Listen = (path) => {
    const socket = poller === undefined
      ? Deno.listen({ transport: "unix", path })
      : new UnixListener(poller, poller.libc.listen(path), path);
    noteListeningAt(path);
    return socket;
  };
  return (settings, address) => {
    try {
      if (address.transport === "tcp") {
        const { hostname, port } = address;
        return { socket: Deno.listen({ hostname, port }), inode: undefined };
      }
      if (!isFile(address)) return { socket: listen(address.path), inode: undefined };
    } catch (error) {
      throw notListening(address, error);
    }
    const [socket, inode] = bindFile(settings, address, listen);
    return { socket, inode };
  };
}

/** Adopts a passed unix socket that identifies its clients; @throws Failure if it is another kind */
function adoptWithFfi(name: string, descriptor: number, poller: Poller): Acceptor {
  const { libc } = poller;
  if (libc.isListening(descriptor)) {
    libc.unblock(descriptor);
    return new UnixListener(poller, descriptor, "");
  }
  throw new Failure(
    78,
    `fd:${name}: descriptor ${descriptor} is not a listening unix socket, and only those identify ` +
      "clients; set ListenStream=/path and Accept=no",
  );
}
