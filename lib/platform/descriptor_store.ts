/**
 * systemd's file descriptor store: it keeps listening sockets open while qmpmux restarts.
 *
 * A socket is stored when it listens. The next process gets it as a passed socket, listens at the
 * same path itself, and accepts the clients that have connected in between. The store holds only
 * sockets with a file: another socket cannot listen at the same address while the old one is open.
 *
 * See sd_notify(3) for `FDSTORE`, `FDSTOREREMOVE` and `FDNAME`, and `FileDescriptorStoreMax=` in
 * systemd.service(5).
 *
 * @module
 */

import { Descriptors } from "./descriptors.ts";
import type { Libc } from "./libc.ts";
import type { Log } from "./log.ts";
import type { Poller } from "./poller.ts";
import { directoryOf, inodeAt, removeDirectories, removeIfThere } from "./socket_file.ts";
import type { PassedSockets } from "./systemd.ts";
import { UnixListener } from "./unix_socket.ts";

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const SOCK_NONBLOCK = 0o4000;
/** The limit of a name in the store (`FDNAME_MAX`). */
const NAME_LIMIT = 255;

const ENCODER = new TextEncoder();

/** The store, as the listeners use it. */
export interface Store {
  /** Whether this process leaves its sockets to the next one, and must not remove their files. */
  readonly leaving: boolean;
  /** The calls that find descriptors. */
  readonly libc: Libc;
  /** Returns the socket of the earlier process whose file is at a path, once. */
  take(path: string): UnixListener | undefined;
  /** Stores a listening socket; returns whether it does. */
  keep(path: string, inode: number, descriptor: number): boolean;
  /** Removes the socket with this file from the store. */
  remove(path: string, inode: number): void;
}

/** A connection to systemd, and the sockets that it has passed from its store. */
export class DescriptorStore implements Store {
  /** Whether this process leaves its sockets to the next one. */
  leaving = false;
  /** The calls that find descriptors. */
  readonly libc: Libc;
  /** Whether sockets are stored. Otherwise only those of an earlier process are removed. */
  readonly #keeps: boolean;
  readonly #poller: Poller;
  readonly #log: Log;
  /** The descriptors of the earlier process's sockets that nobody has taken, by name. */
  readonly #passed: Map<string, number>;
  /** The datagrams that are not sent yet. */
  readonly #queue: { readonly text: string; readonly descriptor?: number }[] = [];
  #socket = -1;
  #failed = false;

  private constructor(
    keeps: boolean,
    poller: Poller,
    passed: ReadonlyMap<string, number>,
    log: Log,
  ) {
    this.#keeps = keeps;
    this.#poller = poller;
    this.libc = poller.libc;
    this.#passed = new Map(passed);
    this.#log = log;
  }

  /**
   * Opens the store.
   *
   * @param keeps whether sockets are stored; if not, those of an earlier process are still taken
   * @param notifySocket the address for notifications: a path, or `@name` for an abstract socket
   * @returns `undefined` if nothing is stored and nothing was
   */
  static open(
    keeps: boolean,
    notifySocket: string | undefined,
    { sockets, poller, log }: { sockets: PassedSockets; poller: Poller | undefined; log: Log },
  ): DescriptorStore | undefined {
    const passed = sockets.takeStored();
    if (!keeps && passed.size === 0) return undefined;
    if (poller === undefined) {
      log.warn("sockets close when qmpmux restarts: fd-store needs FFI");
      return undefined;
    }
    const stores = keeps && notifySocket !== undefined;
    if (keeps && !stores) {
      log.warn("sockets close when qmpmux restarts: fd-store needs systemd (NOTIFY_SOCKET)");
    }
    const store = new DescriptorStore(stores, poller, passed, log);
    if (notifySocket !== undefined) store.#connect(notifySocket);
    return store;
  }

  /** Returns the socket of the earlier process whose file is at a path, once. */
  take(path: string): UnixListener | undefined {
    const inode = inodeAt(path);
    if (inode === undefined) return undefined;
    const name = nameOf(path, inode);
    const descriptor = this.#passed.get(name);
    if (descriptor === undefined) return undefined;
    this.#passed.delete(name);
    this.#send(`FDSTOREREMOVE=1\nFDNAME=${name}`);
    const { libc } = this;
    libc.unblock(descriptor);
    return new UnixListener(this.#poller, descriptor, path);
  }

  /** Stores a listening socket, if its name is short enough for the store; returns whether it does. */
  keep(path: string, inode: number, descriptor: number): boolean {
    const name = nameOf(path, inode);
    if (!this.#keeps || this.#failed || name.length > NAME_LIMIT) return false;
    this.#send(`FDSTORE=1\nFDNAME=${name}`, descriptor);
    return true;
  }

  /** Removes the socket with this file from the store. */
  remove(path: string, inode: number): void {
    this.#send(`FDSTOREREMOVE=1\nFDNAME=${nameOf(path, inode)}`);
  }

  /** Leaves the sockets to the next process from now on, if they are stored. */
  leave(): void {
    this.leaving = this.#keeps && !this.#failed;
  }

  /** Closes the sockets of the earlier process that nobody has taken, and removes their files. */
  closeRest(): void {
    for (const [name, descriptor] of this.#passed) {
      this.#send(`FDSTOREREMOVE=1\nFDNAME=${name}`);
      this.libc.close(descriptor);
      const [path, inode] = placeOf(name);
      try {
        removeIfThere(path, inode);
        removeDirectories([directoryOf(path)]);
        this.#log.info(
          `no longer listening on unix:${path}, where qmpmux listened before its restart`,
        );
      } catch (error) {
        this.#log.warn(`unix:${path} cannot be removed: ${(error as Error).message}`);
      }
    }
    this.#passed.clear();
  }

  /** Closes the connection to systemd. */
  close(): void {
    this.#queue.length = 0;
    if (this.#socket < 0) return;
    this.#poller.unwatch(this.#socket);
    this.libc.close(this.#socket);
    this.#socket = -1;
  }

  #connect(notifySocket: string): void {
    const { libc } = this;
    const name = ENCODER.encode(notifySocket.replace(/^@/, "\0"));
    const address = new Uint8Array(Math.max(128, name.length + 3));
    new DataView(address.buffer).setUint16(0, AF_UNIX, true);
    address.set(name, 2);
    const length = 2 + name.length + (notifySocket.startsWith("@") ? 0 : 1);
    try {
      const kind = SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
      this.#socket = libc.checked(libc.c.socket(AF_UNIX, kind, 0), "socket");
      libc.checked(libc.c.connect(this.#socket, address, length), "connect");
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Sends a datagram after those that wait. */
  #send(text: string, descriptor?: number): void {
    if (this.#socket < 0) return;
    this.#queue.push(descriptor === undefined ? { text } : { text, descriptor });
    if (this.#queue.length === 1) this.#sendAll();
  }

  #sendAll(): void {
    const { libc } = this;
    try {
      for (let [next] = this.#queue; next !== undefined; [next] = this.#queue) {
        const bytes = ENCODER.encode(next.text);
        const sent = next.descriptor === undefined
          ? libc.send(this.#socket, bytes)
          : libc.sendWith(this.#socket, bytes, new Descriptors(libc, [next.descriptor]));
        if (sent === undefined) return this.#wait();
        this.#queue.shift();
      }
    } catch (error) {
      this.#queue.length = 0;
      this.#fail(error);
    }
  }

  /** Sends the rest once systemd has read some datagrams. */
  #wait(): void {
    this.#poller.watch(this.#socket, (_readable, writable) => {
      if (!writable) return;
      this.#poller.unwatch(this.#socket);
      this.#sendAll();
    });
  }

  /** Logs the first failure. */
  #fail(error: unknown): void {
    if (!this.#failed) {
      const reason = (error as Error).message;
      this.#log.warn(`sockets close when qmpmux restarts: systemd cannot store them: ${reason}`);
    }
    this.#failed = true;
  }
}

/** Returns the name of a socket in the store: the inode and the path of its file, in printable ASCII. */
function nameOf(path: string, inode: number): string {
  const bytes = Array.from(ENCODER.encode(path), (byte) => {
    const isPlain = byte > 0x20 && byte < 0x7f && byte !== 0x25 && byte !== 0x3a;
    return isPlain ? String.fromCharCode(byte) : `%${byte.toString(16).padStart(2, "0")}`;
  });
  return `${inode} ${bytes.join("")}`;
}

/** Returns the path and the inode in a name. */
function placeOf(name: string): [path: string, inode: number] {
  const space = name.indexOf(" ");
  return [decodeURIComponent(name.slice(space + 1)), Number(name.slice(0, space))];
}
