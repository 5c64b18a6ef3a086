/**
 * Listening sockets: opened, accepted from for ever, closed at the end.
 *
 * Each goes on under other settings without a client being dropped.
 *
 * @module
 */

import { type Address, addressText, isFile, isLocal } from "../terms/address.ts";
import { type Somebody, termsFor, type Who, whoText } from "../terms/admission.ts";
import type { ListenerSettings } from "../terms/listener_settings.ts";
import type { Terms } from "../terms/terms.ts";
import { STEADY } from "./clock.ts";
import type { Stream } from "./connection.ts";
import { Failure } from "./failure.ts";
import type { Foreign } from "./foreign.ts";
import type { InternalErrors } from "./internal_errors.ts";
import type { Log } from "./log.ts";
import { type Acceptor, adopt } from "./passed.ts";
import { Pace } from "./pace.ts";
import {
  bindFile,
  type Change,
  grant,
  inodeAt,
  type Listen,
  makeWay,
  NO_CHANGE,
  notListening,
  removeIfThere,
  type UnixAddress,
} from "./socket_file.ts";
import { UnixListener } from "./unix_socket.ts";
import { idOf } from "./users.ts";

/** The pause before accepting again after an error, such as that no descriptor is left. */
const FAILED_PAUSE_MS = 100;

/** Gives the descriptor of a passed socket; @throws Failure where there is none of this name */
export type TakePassed = (name: string) => number;

function nothingPassed(name: string): never {
  throw new Failure(78, `fd:${name}: no sockets were passed`);
}

/** A listening socket. */
export class Listener implements Disposable {
  /** What it was opened with, or has adopted since. */
  settings: ListenerSettings;
  /** How many clients of it are there; counted by whoever accepts. */
  clients = 0;
  #listener: Acceptor;
  /** How a socket file is listened on. */
  readonly #listen: Listen | undefined;
  /** The numbers of the users and groups that its rules name. */
  #ids: ReadonlyMap<string, number>;
  /** By the numbers of users; those of one machine are not many. */
  readonly #paces = new Map<number, Pace>();
  /** Of the socket file, to remove no other. */
  #inode: number | undefined;
  #closed = false;

  private constructor(
    settings: ListenerSettings,
    listener: Acceptor,
    inode?: number,
    listen?: Listen,
  ) {
    this.settings = settings;
    this.#listener = listener;
    this.#inode = inode;
    this.#listen = listen;
    this.#ids = idsIn(settings);
  }

  /**
   * Begins to listen.
   *
   * @param take finds passed sockets
   * @param foreign makes foreign calls, for sockets that tell who connects
   * @throws Failure where the address is taken or cannot be listened on
   */
  static async open(
    settings: ListenerSettings,
    take: TakePassed = nothingPassed,
    foreign: Foreign | undefined = undefined,
  ): Promise<Listener> {
    const { address } = settings;
    // What is wrong with the rules is told before anything is made.
    idsIn(settings);
    if (address.transport === "fd") {
      const descriptor = take(address.name);
      const listener = foreign
        ? adoptKnowing(address.name, descriptor, foreign)
        : await adopt(address.name, descriptor);
      checkReach(settings, listener);
      return new Listener(settings, listener);
    }
    if (address.transport === "tcp") return new Listener(settings, listenTcp(address));
    const listen = listenerFor(foreign);
    if (!isFile(address)) return new Listener(settings, bind(address, listen));
    await makeWay(address);
    return new Listener(settings, ...bindFile(settings, address, listen), listen);
  }

  /** Goes on under other settings for the same address; @throws Failure as `prepare` does */
  adopt(settings: ListenerSettings): void {
    this.prepare(settings).commit();
  }

  /**
   * Does all of going on under other settings that can fail. A socket file has its mode
   * and owner then; one that has been removed is made anew, and nobody is accepted from it yet.
   *
   * @throws Failure where the socket file cannot have its new owner, where another is in its
   *   place, or where a rule names nobody; then nothing has changed
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
        const rate = settings.terms.limits["user-rate"];
        for (const pace of this.#paces.values()) pace.adopt(rate, STEADY.now());
        file.commit();
        this.settings = settings;
      },
      undo: file.undo,
    };
  }

  #prepareFile(settings: ListenerSettings, address: UnixAddress): Change {
    if (inodeAt(address.path) === this.#inode) return grant(settings, address);
    const [listener, inode] = bindFile(settings, address, this.#listen!);
    return {
      commit: () => {
        const old = this.#listener;
        [this.#listener, this.#inode] = [listener, inode];
        old.close();
      },
      undo: () => {
        try {
          removeIfThere(address.path, inode);
        } finally {
          listener.close();
        }
      },
    };
  }

  /** What somebody who connects is granted; `undefined` is nothing. */
  termsFor(somebody: Somebody | undefined): Terms | undefined {
    const { admission, terms } = this.settings;
    return termsFor(admission, terms, somebody, (who) => this.#ids.get(whoText(who)));
  }

  /** The pace that all clients of a user share; `undefined` where it is not known who it is. */
  paceOf(somebody: Somebody | undefined): Pace | undefined {
    if (somebody === undefined) return undefined;
    const known = this.#paces.get(somebody.uid);
    if (known) return known;
    const pace = new Pace(this.settings.terms.limits["user-rate"], STEADY.now());
    this.#paces.set(somebody.uid, pace);
    return pace;
  }

  /** The address it really has: a TCP port of 0 has become another. */
  get address(): string {
    const { address } = this.settings;
    const { addr } = this.#listener;
    if (address.transport !== "tcp" || addr.transport !== "tcp") return addressText(address);
    return addressText({ ...address, port: addr.port });
  }

  /** Do its clients come by TCP? */
  get isTcp(): boolean {
    return this.#listener.addr.transport === "tcp";
  }

  /**
   * Accepts until it is closed.
   *
   * @param errors are told of what is wrong with it; it goes on accepting
   */
  async accept(take: (socket: Stream) => void, log: Log, errors?: InternalErrors): Promise<void> {
    let exhausted = false;
    while (!this.#closed) {
      const listener = this.#listener;
      try {
        take(await listener.accept());
        exhausted = false;
      } catch (error) {
        if (this.#closed) return;
        // Another has taken its place.
        if (listener !== this.#listener) continue;
        if (!isExhaustion(error)) {
          if (errors === undefined) throw error;
          errors.report("listener", error, this.address);
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

  /** Stops listening and removes the socket file, if it is still ours and can be. */
  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    const { address } = this.settings;
    // Deno removes the file on closing from 2.6.7 on, whoever has made it since: look first.
    if (address.transport === "unix" && this.#inode !== undefined) {
      try {
        removeIfThere(address.path, this.#inode);
      } catch {
        // What cannot be removed stays; nobody listens on it any more.
      }
    }
    this.#listener.close();
  }
}

/** The numbers of those whom a listener's rules name; @throws Failure where there is no such one */
function idsIn({ admission: { allow = [], special } }: ListenerSettings): Map<string, number> {
  const ids = new Map<string, number>();
  const add = (who: Who, option: string): void => {
    ids.set(whoText(who), idOf(who.kind, who.name, option));
  };
  for (const who of allow) add(who, "allow");
  for (const { who } of special) add(who, "role-for");
  return ids;
}

/** @throws Failure where other machines reach a passed socket without leave; it is closed then */
function checkReach({ address, remote }: ListenerSettings, listener: Acceptor): void {
  const { addr } = listener;
  if (remote || addr.transport !== "tcp") return;
  const real = { transport: "tcp", hostname: addr.hostname, port: addr.port } as const;
  if (isLocal(real)) return;
  listener.close();
  throw new Failure(
    78,
    `${addressText(address)}: other machines could control the VM through ${addressText(real)}; ` +
      "pass a unix socket or one of 127.0.0.1, or add allow-remote=on",
  );
}

function isExhaustion(error: unknown): boolean {
  return error instanceof Error && /too many open files|os error (23|24)\b/i.test(error.message);
}

function listenTcp(address: Address & { transport: "tcp" }): Deno.Listener {
  try {
    return Deno.listen({ hostname: address.hostname, port: address.port });
  } catch (error) {
    throw notListening(address, error);
  }
}

function listenerFor(foreign: Foreign | undefined): Listen {
  if (foreign === undefined) return (path) => Deno.listen({ transport: "unix", path });
  const { libc, poller } = foreign;
  return (path) => new UnixListener(libc, poller, libc.listen(path), path);
}

/** @throws Failure where it is no listening unix socket */
function adoptKnowing(name: string, descriptor: number, { libc, poller }: Foreign): Acceptor {
  if (libc.isListening(descriptor)) {
    libc.unblock(descriptor);
    return new UnixListener(libc, poller, descriptor, "");
  }
  throw new Failure(
    78,
    `fd:${name}: descriptor ${descriptor} is no listening unix socket, and no other tells who ` +
      "connects; write ListenStream=/path and Accept=no",
  );
}

function bind(address: UnixAddress, listen: Listen): Acceptor {
  try {
    return listen(address.path);
  } catch (error) {
    throw notListening(address, error);
  }
}
