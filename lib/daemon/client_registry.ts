/**
 * The listeners of a machine, or of the control socket, and their clients.
 *
 * The registry decides which clients are admitted, and with which grant. It adopts
 * new settings without dropping a client, all or nothing.
 *
 * @module
 */

import { addressText } from "../policy/address.ts";
import { type Grant, UNSEEN_ID } from "../policy/admission.ts";
import type { ListenerSettings } from "../config/options.ts";
import type { SettingValues } from "../config/settings.ts";
import { Client } from "./client.ts";
import type { Stream } from "../platform/stream.ts";
import type { PeerCredentials } from "../platform/libc.ts";
import { Failure } from "../platform/failure.ts";
import type { ClientDeps, Deps } from "./deps.ts";
import { FdBudget } from "./fd_budget.ts";
import type { Store } from "../platform/descriptor_store.ts";
import { Listener, type TakePassed } from "../platform/listener.ts";
import type { Poller } from "../platform/poller.ts";
import type { ReplyBudget } from "../platform/reply_budget.ts";
import type { Change } from "../platform/socket_file.ts";
import { WebGuard } from "./web_guard.ts";

/** The settings that concern clients. */
export interface ClientSettings extends Pick<SettingValues, "max-clients"> {
  /** The listeners. */
  readonly listeners: readonly ListenerSettings[];
}

/** The parts of a machine that the registry uses. */
export interface RegistryDeps extends Deps {
  /** Finds passed sockets. */
  readonly take: TakePassed;
  /** FFI, if a listener needs it and it is available. */
  readonly poller: Poller | undefined;
  /** Keeps listening sockets while qmpmux restarts, if systemd has a store. */
  readonly store: Store | undefined;
  /** Limits the replies that the clients of all machines leave unread. */
  readonly budget: ReplyBudget;
  /** Takes over a promise; an error ends the daemon. */
  keep(promise: Promise<void>): void;
}

/** The listener of a client. */
interface ClientEntry {
  /** The key of the listener. */
  readonly key: string;
  /** The listener it connected to, or the later one with the same key. */
  listener: Listener;
}

type Keyed<T> = readonly [key: string, value: T];

/** The listeners and their clients. */
export class ClientRegistry implements Disposable {
  #settings: ClientSettings;
  readonly #deps: RegistryDeps;
  readonly #clientDeps: ClientDeps;
  /** The listeners by the keys of `byAddress`. */
  readonly #listeners = new Map<string, Listener>();
  readonly #clients = new Map<Client, ClientEntry>();
  #closed = false;
  /** Whether a QEMU is ready. */
  #qemuReady = false;

  /** Creates a registry that does not listen yet. */
  constructor(settings: ClientSettings, deps: RegistryDeps) {
    this.#settings = settings;
    this.#deps = deps;
    this.#clientDeps = { ...deps, fds: new FdBudget() };
  }

  /** Whether any client may pass descriptors. */
  get passes(): boolean {
    return this.#settings.listeners.some(({ descriptors }) => descriptors);
  }

  /**
   * Listens for clients.
   *
   * @throws Failure where it cannot listen
   */
  async open(): Promise<void> {
    const opened = await this.#opened(byAddress(this.#settings.listeners));
    for (const [key, listener] of opened) this.#listen(key, listener);
  }

  /** Opens or closes the listeners that refuse clients while QEMU is away. */
  qemuReady(ready: boolean): void {
    this.#qemuReady = ready;
    for (const listener of this.#listeners.values()) this.#openOrClose(listener);
  }

  /**
   * Runs every step of adopting new settings that can fail. New sockets accept nobody before the
   * commit.
   *
   * @throws Failure if it cannot; nothing has changed then
   */
  async prepare(settings: ClientSettings): Promise<Change> {
    const wanted = byAddress(settings.listeners);
    for (const [key, each] of wanted) this.#checkFfi(key, each);
    const opened = await this.#opened([...wanted].filter(([key]) => !this.#listeners.has(key)));
    const changes: Change[] = [];
    try {
      if (this.#closed) throw new Failure(1, "qmpmux is shutting down");
      for (const [key, listener] of this.#listeners) {
        const each = wanted.get(key);
        if (each) changes.push(listener.prepare(each));
      }
    } catch (error) {
      this.#takeBack(changes, opened);
      throw error;
    }
    return {
      commit: () => {
        for (const { commit } of changes) commit();
        this.#adopt(settings, wanted, opened);
      },
      undo: () => this.#takeBack(changes, opened),
    };
  }

  /** Adopts settings whose listeners are prepared. */
  #adopt(
    settings: ClientSettings,
    wanted: ReadonlyMap<string, ListenerSettings>,
    opened: ReadonlyMap<string, Listener>,
  ): void {
    // Its VM may have been removed since the preparation.
    if (this.#closed) return this.#takeBack([], opened);
    for (const [key, listener] of this.#listeners) {
      if (wanted.has(key)) continue;
      listener[Symbol.dispose]();
      this.#listeners.delete(key);
    }
    for (const [key, listener] of opened) this.#listen(key, listener);
    for (const listener of this.#listeners.values()) this.#openOrClose(listener);
    this.#settings = settings;
    for (const [client, entry] of this.#clients) {
      this.#moveToPresent(entry);
      const grant = entry.listener.grantFor(client.identity);
      if (grant) client.adopt(grant);
      else client.dismiss("it is no longer admitted");
    }
  }

  /** Whether `tick` must be called: something of a client may be due, or a listener is shut. */
  get needsTime(): boolean {
    const isShut = (listener: Listener): boolean =>
      listener.suspended && (this.#qemuReady || listener.settings.absent === "wait");
    return this.#clients.keys().some((client) => client.needsTime) ||
      this.#listeners.values().some(isShut);
  }

  /** Advances the time to `now`, in seconds. */
  tick(now: number): void {
    for (const client of this.#clients.keys()) client.tick(now);
    // Retry a listener that could not be opened again.
    for (const listener of this.#listeners.values()) this.#openOrClose(listener);
  }

  /** Stops listening; connected clients stay. */
  [Symbol.dispose](): void {
    this.#closed = true;
    // The first one has made the directory that they share.
    for (const listener of [...this.#listeners.values()].toReversed()) listener[Symbol.dispose]();
    this.#listeners.clear();
  }

  /**
   * Opens all listeners, or none. Passed sockets are opened last: after a failure they are closed
   * and cannot be opened again.
   */
  async #opened(all: Iterable<Keyed<ListenerSettings>>): Promise<Map<string, Listener>> {
    const opened = new Map<string, Listener>();
    const { passed = [], own = [] } = Object.groupBy(
      all,
      ([, { address }]) => address.transport === "fd" ? "passed" : "own",
    );
    try {
      for (const [key, each] of [...own, ...passed]) {
        const { take, store } = this.#deps;
        const poller = each.identity ? this.#deps.poller : undefined;
        opened.set(key, await Listener.open(each, { take, poller, store }));
      }
      return opened;
    } catch (error) {
      for (const listener of opened.values()) listener[Symbol.dispose]();
      throw error;
    }
  }

  /** Registers a listener, and accepts its clients. */
  #listen(key: string, listener: Listener): void {
    const { log, keep, errors } = this.#deps;
    this.#listeners.set(key, listener);
    const { absent, grant } = listener.settings;
    if (absent === "refuse" && !this.#qemuReady) {
      listener.suspend();
      log.info(`${listener.address} refuses clients until QEMU is ready (absent=refuse)`);
    } else log.info(`listening on ${listener.address} (${grant.dialect})`);
    const accept = (socket: Stream): void => {
      try {
        this.#accept(socket, { key, listener });
      } catch (error) {
        errors.report("listener", error, listener.address);
        socket.close();
      }
    };
    const onError = (error: unknown): void => errors.report("listener", error, listener.address);
    keep(listener.accept(accept, log, onError));
  }

  /** Opens or closes a listener, by its setting `absent` and whether QEMU is ready. */
  #openOrClose(listener: Listener): void {
    const { log, limitLog, keep } = this.#deps;
    const listens = this.#qemuReady || listener.settings.absent === "wait";
    if (listens !== listener.suspended) return;
    if (!listens) return listener.suspend();
    this.#deps.awake();
    const resumed = listener.resume().then(
      () => log.info(`listening on ${listener.address} (${listener.settings.grant.dialect})`),
      (error) => {
        if (!(error instanceof Failure)) throw error;
        limitLog.logged(`${listener.address}: listening again failed`, error.message);
      },
    );
    keep(resumed);
  }

  /** Moves a client to the present listener of its key, if the listener was replaced. */
  #moveToPresent(entry: ClientEntry): void {
    const listener = this.#listeners.get(entry.key) ?? entry.listener;
    entry.listener.clients--;
    listener.clients++;
    entry.listener = listener;
  }

  #takeBack(changes: readonly Change[], opened: ReadonlyMap<string, Listener>): void {
    for (const listener of opened.values()) listener[Symbol.dispose]();
    for (const { undo } of changes) {
      try {
        undo();
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
        this.#deps.log.warn(error.message);
      }
    }
  }

  /** Checks that a listener needs FFI exactly if it did at the start; @throws Failure if not */
  #checkFfi(key: string, settings: ListenerSettings): void {
    const now = this.#listeners.get(key)?.settings;
    const needs = settings.identity;
    const has = now === undefined ? needs && this.#deps.poller !== undefined : now.identity;
    const text = addressText(settings.address);
    if (needs !== has) {
      const what = "identity, which allow, role-for, user-rate and fds imply,";
      throw new Failure(78, `${text}: ${what} cannot change while qmpmux runs; restart it`);
    }
    if (!settings.descriptors || this.passes) return;
    throw new Failure(
      78,
      `${text}: the first fds=on cannot be added while qmpmux runs; restart it`,
    );
  }

  #accept(socket: Stream, entry: ClientEntry): void {
    const { listener } = entry;
    const { limitLog, keep, log } = this.#deps;
    const { address, settings } = listener;
    const who = socket.identity;
    const grant = listener.grantFor(who);
    if (grant === undefined) {
      const line = `${address}: a client was refused: ${whoIs(who)}`;
      limitLog.reached("not-admitted", settings.grant.name, line);
      return socket.close();
    }
    if (!this.#hasRoom(listener)) return socket.close();
    socket.setNoDelay?.(true);
    const stream = listener.isTcp ? this.#guarded(socket, listener) : socket;
    const client = new Client(stream, grant, this.#clientDeps, listener.bucketOf(who));
    this.#clients.set(client, entry);
    this.#deps.awake();
    listener.clients++;
    if (settings.logsClients) {
      log.info(`client ${client.name} connected: ${clientText(grant, who)}`);
    }
    keep(
      client.run().then((ending = "left") => {
        if (!entry.listener.settings.logsClients) return;
        log.info(`client ${client.name} disconnected: ${ending}`);
      }).finally(() => {
        this.#clients.delete(client);
        this.#deps.awake();
        entry.listener.clients--;
      }),
    );
  }

  /** Guards a socket that web browsers can reach. */
  #guarded(socket: Stream, { address, settings: { grant } }: Listener): Stream {
    return new WebGuard(socket, (because) => {
      const line = `${address}: a client was closed: ${because}`;
      this.#deps.limitLog.reached("web-request", grant.name, line);
    });
  }

  /** Returns whether one more client may connect; logs if not. */
  #hasRoom({ clients, address, settings: { grant } }: Listener): boolean {
    const { limitLog } = this.#deps;
    const own = grant.limits["max-clients"];
    // Administrators are admitted however many clients there are.
    if (grant.dialect === "control") return clients < own;
    const all = this.#settings["max-clients"];
    const refused = `${address}: a client was refused:`;
    if (clients >= own) {
      limitLog.reached(
        "max-clients",
        grant.name,
        `${refused} ${own} are connected already (max-clients)`,
      );
    } else if (this.#clients.size >= all) {
      const line = `${refused} ${all} are connected already in all (--max-clients)`;
      limitLog.reached("max-clients-in-all", grant.name, line);
    }
    return clients < own && this.#clients.size < all;
  }
}

/** Describes a client that connects, for people. */
function clientText({ role }: Grant, identity: PeerCredentials | undefined): string {
  const text = `role ${role.name}`;
  if (identity === undefined) return text;
  return `${text}, process ${identity.pid}, user ${identity.uid}, group ${identity.gid}`;
}

/** Describes a client that was not admitted, for people. */
function whoIs(identity: PeerCredentials | undefined): string {
  if (identity === undefined) return "its identity is unknown";
  const { pid, uid, gid } = identity;
  const who = `process ${pid} of user ${uid} and group ${gid} is not admitted`;
  return uid === UNSEEN_ID ? `${who} (${uid}: users it cannot see; PrivateUsers=no?)` : who;
}

/** Keys the listeners by the texts of their addresses; several with port 0 are numbered. */
function byAddress(all: readonly ListenerSettings[]): ReadonlyMap<string, ListenerSettings> {
  const keyed = new Map<string, ListenerSettings>();
  for (const each of all) {
    const text = addressText(each.address);
    let key = text;
    for (let number = 2; keyed.has(key); number++) key = `${text} ${number}`;
    keyed.set(key, each);
  }
  return keyed;
}
