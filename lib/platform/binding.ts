/**
 * Opening of listening sockets: by Deno, or by FFI if they identify their clients.
 *
 * @module
 */

import { type Address, addressText, isFile, isLocal } from "../policy/address.ts";
import type { ListenerSettings } from "../config/options.ts";
import type { Store } from "./descriptor_store.ts";
import { Failure } from "./failure.ts";
import { noteListeningAt } from "./listening_addresses.ts";
import type { Poller } from "./poller.ts";
import { adopt } from "./socket_activation.ts";
import { bindFile, type Listening, notListening, removeIfThere } from "./socket_file.ts";
import type { Acceptor } from "./stream.ts";
import { UnixListener } from "./unix_socket.ts";

/** A listening socket, and its file if it has one. */
export class Bound {
  /** The socket. */
  readonly socket: Acceptor;
  /** The inode of its file, so that no other file is removed. */
  readonly inode: number | undefined;
  readonly #path: string | undefined;
  readonly #store: Store | undefined;

  /** Takes ownership of a socket; stores it if it has a file and there is a store. */
  constructor(
    { socket, inode, descriptor }: Listening & { readonly inode?: number | undefined },
    path?: string,
    store?: Store,
  ) {
    this.socket = socket;
    this.inode = inode;
    this.#path = path;
    if (path === undefined || inode === undefined || descriptor === undefined) return;
    if (store?.keep(path, inode, descriptor)) this.#store = store;
  }

  /** Closes the socket. Removes its file if that is still ours, unless the next process gets the socket. */
  close(): void {
    if (!this.#store?.leaving) this.#remove();
    // Deno's close would remove any file at the path at which it was bound.
    this.socket.close();
  }

  #remove(): void {
    const path = this.#path;
    if (path === undefined || this.inode === undefined) return;
    this.#store?.remove(path, this.inode);
    try {
      removeIfThere(path, this.inode);
    } catch {
      // The file stays; nobody listens on it any more.
    }
  }
}

/**
 * A function that opens the socket of a listener.
 *
 * @param replaced the inode of a file at its path that is replaced
 * @throws Failure if it cannot
 */
export type Bind = (settings: ListenerSettings, address: Address, replaced?: number) => Bound;

/**
 * Returns the function that opens sockets.
 *
 * @param poller makes sockets that identify their clients
 * @param store gets the sockets with files
 */
export function binderFor(poller: Poller | undefined, store: Store | undefined): Bind {
  const listen = (path: string): Listening => {
    const listening = listenAt(path, poller, store);
    noteListeningAt(path);
    return listening;
  };
  return (settings, address, replaced) => {
    try {
      if (address.transport === "tcp") {
        const { hostname, port } = address;
        return new Bound({ socket: Deno.listen({ hostname, port }) });
      }
      if (!isFile(address)) return new Bound({ socket: listen(address.path).socket });
    } catch (error) {
      throw notListening(address, error);
    }
    return new Bound(bindFile(settings, address, listen, replaced), address.path, store);
  };
}

function listenAt(path: string, poller: Poller | undefined, store: Store | undefined): Listening {
  if (poller !== undefined) {
    const descriptor = poller.libc.listen(path);
    return { socket: new UnixListener(poller, descriptor, path), descriptor };
  }
  const listen = (): Acceptor => Deno.listen({ transport: "unix", path });
  if (store === undefined) return { socket: listen() };
  const [socket, descriptor] = store.libc.listened(listen);
  return { socket, descriptor };
}

/**
 * Adopts a passed socket.
 *
 * @param poller adopts only a unix socket, which identifies its clients
 * @throws Failure if it is another kind of socket
 */
export async function adoptPassed(
  settings: ListenerSettings,
  { name, descriptor, poller }: { name: string; descriptor: number; poller: Poller | undefined },
): Promise<Acceptor> {
  const socket = poller === undefined
    ? await adopt(name, descriptor)
    : adoptWithFfi(name, descriptor, poller);
  checkReach(settings, socket);
  return socket;
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
