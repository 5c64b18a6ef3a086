/**
 * Listening sockets on Deno, Node and Bun.
 *
 * Deno's own sockets are used on Deno, because `node:net` takes 90 ms to load there.
 *
 * @module
 */

import type { Address } from "../policy/address.ts";
import { type ClientSocket, codeOf, denoSocket, NodeClientSocket } from "./client_socket.ts";
import type { NodeSocket } from "./client_socket.ts";

/** A listening socket. */
export interface ServerSocket {
  /** Its address, with the port that the system has chosen. */
  readonly address: Address;
  /** Returns the next connection; `undefined` after {@linkcode close}. */
  accept(): Promise<ClientSocket | undefined>;
  /** Stops listening, and removes the file of a unix socket. */
  close(): Promise<void>;
}

/**
 * Listens.
 *
 * @param address a TCP port may be 0: the system chooses one
 * @throws Error with the `code` of the system's error, such as `EADDRINUSE`
 */
export async function listenSocket(address: Address): Promise<ServerSocket> {
  return "Deno" in globalThis ? new DenoServer(address) : await NodeServer.listen(address);
}

/** Returns an address in a new directory, and a function that removes the directory. */
export function temporaryAddress(): { readonly address: Address; remove(): void } {
  const directory = "Deno" in globalThis
    ? Deno.makeTempDirSync({ prefix: "qmpmux-" })
    : builtin("node:fs").mkdtempSync(`${builtin("node:os").tmpdir()}/qmpmux-`);
  const remove = (): void => {
    if ("Deno" in globalThis) Deno.removeSync(directory, { recursive: true });
    else builtin("node:fs").rmSync(directory, { recursive: true });
  };
  return { address: { transport: "unix", path: `${directory}/qmp.sock` }, remove };
}

/** Removes the file of a unix socket; it may be gone already. */
function removeFile(address: Address): void {
  if (address.transport !== "unix" || address.path.startsWith("\0")) return;
  try {
    if ("Deno" in globalThis) Deno.removeSync(address.path);
    else builtin("node:fs").rmSync(address.path);
  } catch (error) {
    if (codeOf(error) !== "ENOENT") throw error;
  }
}

/** A listening socket of Deno. */
class DenoServer implements ServerSocket {
  readonly address: Address;
  readonly #listener: Deno.Listener;

  constructor(address: Address) {
    this.#listener = address.transport === "unix" ? Deno.listen(address) : Deno.listen(address);
    const { addr } = this.#listener;
    this.address = addr.transport === "tcp"
      ? { transport: "tcp", hostname: addr.hostname, port: addr.port }
      : address;
  }

  async accept(): Promise<ClientSocket | undefined> {
    try {
      return denoSocket(await this.#listener.accept());
    } catch (error) {
      // `close` interrupts it.
      const { name } = error as Error;
      if (name === "BadResource" || name === "Interrupted") return undefined;
      throw error;
    }
  }

  close(): Promise<void> {
    this.#listener.close();
    removeFile(this.address);
    return Promise.resolve();
  }
}

/** The parts of Node's modules that are used here; their own types would have to be downloaded. */
interface Builtins {
  "node:net": {
    createServer(
      options: { allowHalfOpen: boolean },
      connected: (socket: NodeSocket) => void,
    ): NodeListener;
  };
  "node:fs": {
    mkdtempSync(prefix: string): string;
    rmSync(path: string, options?: { recursive: boolean }): void;
  };
  "node:os": { tmpdir(): string };
}

interface NodeListener {
  on(event: "error", listener: (error: Error) => void): void;
  listen(
    options: { path: string } | { host: string; port: number },
    listening: () => void,
  ): void;
  address(): string | { address: string; port: number };
  close(closed: () => void): void;
}

function builtin<N extends keyof Builtins>(name: N): Builtins[N] {
  const { process } = globalThis as unknown as {
    process: { getBuiltinModule<N extends keyof Builtins>(name: N): Builtins[N] };
  };
  return process.getBuiltinModule(name);
}

/** A listening socket of Node or Bun. */
class NodeServer implements ServerSocket {
  readonly #listener: NodeListener;
  readonly #arrived: ClientSocket[] = [];
  #address: Address;
  #isClosed = false;
  #changed = Promise.withResolvers<void>();

  private constructor(address: Address) {
    this.#address = address;
    this.#listener = builtin("node:net").createServer({ allowHalfOpen: true }, (socket) => {
      const client = new NodeClientSocket(socket);
      // It is connected already.
      client.connected.catch(() => {});
      if (address.transport === "tcp") socket.setNoDelay(true);
      this.#arrived.push(client);
      this.#changed.resolve();
    });
  }

  static async listen(address: Address): Promise<NodeServer> {
    const server = new NodeServer(address);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    server.#listener.on("error", reject);
    const place = address.transport === "unix"
      ? { path: address.path }
      : { host: address.hostname, port: address.port };
    server.#listener.listen(place, resolve);
    await promise;
    const given = server.#listener.address();
    if (typeof given === "object" && address.transport === "tcp") {
      server.#address = { ...address, port: given.port };
    }
    return server;
  }

  get address(): Address {
    return this.#address;
  }

  async accept(): Promise<ClientSocket | undefined> {
    for (;;) {
      const socket = this.#arrived.shift();
      if (socket !== undefined) return socket;
      if (this.#isClosed) return undefined;
      this.#changed = Promise.withResolvers();
      await this.#changed.promise;
    }
  }

  close(): Promise<void> {
    this.#isClosed = true;
    this.#changed.resolve();
    // It calls back only when all connections have ended, but it stops listening at once.
    this.#listener.close(() => {});
    removeFile(this.#address);
    return Promise.resolve();
  }
}
