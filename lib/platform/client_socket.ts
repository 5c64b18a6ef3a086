/**
 * Sockets of a client, on Deno, Node and Bun.
 *
 * Deno's own sockets are used on Deno, because they take less time. The other runtimes have
 * `node:net`. Nothing else of a runtime is used, and nothing before a connection is made.
 *
 * @module
 */

import type { Address } from "../policy/address.ts";

export type { Address };

/** The most bytes that one read returns. */
const BUFFER_BYTES = 65536;

/** A connected socket. */
export interface ClientSocket {
  /** Returns the bytes that have arrived, which are valid until the next read; `null` at the end. */
  read(): Promise<Uint8Array | null>;
  /** Writes all bytes. */
  write(bytes: Uint8Array): Promise<void>;
  /** Closes the socket; a pending read returns `null` or fails. */
  close(): void;
}

/**
 * Connects.
 *
 * @param signal ends the attempt
 * @throws Error with the `code` of the system's error, such as `ENOENT`; the reason of `signal`
 */
export async function connectSocket(
  address: Address,
  signal: AbortSignal,
): Promise<ClientSocket> {
  return "Deno" in globalThis
    ? await connectDeno(address, signal)
    : await connectNode(address, signal);
}

/** Returns the code of a system's error, such as `ENOENT`; `undefined` if it is another error. */
export function codeOf(error: unknown): string | undefined {
  const { code } = Object(error) as { code?: unknown };
  return typeof code === "string" ? code : undefined;
}

/** The codes of errors that say that the other end has closed the connection, or that this one has. */
const ENDED: readonly (string | undefined)[] = [
  ...["EPIPE", "ECONNRESET", "ECONNABORTED", "ENOTCONN", "EBADF", "ERR_STREAM_DESTROYED"],
  ...["ERR_STREAM_WRITE_AFTER_END", "ERR_STREAM_PREMATURE_CLOSE"],
  // A write that was waiting when this end closed: on Node, and on Bun.
  ...["ECANCELED", "ERR_SOCKET_CLOSED"],
];

/** Returns whether an error says that the connection has ended. */
export function isEnded(error: unknown): boolean {
  const { name } = Object(error) as { name?: unknown };
  return ENDED.includes(codeOf(error)) || name === "Interrupted" || name === "BadResource";
}

async function connectDeno(address: Address, signal: AbortSignal): Promise<ClientSocket> {
  // Connecting to a unix socket succeeds or fails at once.
  const socket = address.transport === "unix"
    ? await Deno.connect(address)
    : await Deno.connect({ hostname: address.hostname, port: address.port, signal });
  return denoSocket(socket);
}

/** Returns a connected socket of Deno as a client's. */
export function denoSocket(socket: Deno.Conn | Deno.TcpConn): ClientSocket {
  if ("setNoDelay" in socket) socket.setNoDelay(true);
  const buffer = new Uint8Array(BUFFER_BYTES);
  return {
    async read(): Promise<Uint8Array | null> {
      const length = await socket.read(buffer);
      return length === null ? null : buffer.subarray(0, length);
    },
    async write(bytes: Uint8Array): Promise<void> {
      for (let at = 0; at < bytes.length;) at += await socket.write(bytes.subarray(at));
    },
    close(): void {
      try {
        socket.close();
      } catch (error) {
        // It is closed already.
        if (!isEnded(error)) throw error;
      }
    },
  };
}

/** The part of `node:net` that is used here; its own types would have to be downloaded. */
interface NodeNet {
  createConnection(
    options: { path: string } | { host: string; port: number },
  ): NodeSocket;
}

/** The parts of a socket of `node:net` that are used here. */
export interface NodeSocket {
  /** Sets the listener of an event. */
  on(event: "connect" | "readable" | "end" | "close", listener: () => void): void;
  /** Sets the listener of errors. */
  on(event: "error", listener: (error: Error) => void): void;
  /** Returns the bytes that have arrived; `null` if there are none. */
  read(): Uint8Array | null;
  /** Writes bytes. */
  write(bytes: Uint8Array, done: (error?: Error | null) => void): void;
  /** Sends small writes at once. */
  setNoDelay(enable: boolean): void;
  /** Closes the socket. */
  destroy(): void;
}

async function connectNode(address: Address, signal: AbortSignal): Promise<ClientSocket> {
  const { process } = globalThis as unknown as {
    process: { getBuiltinModule(name: "node:net"): NodeNet };
  };
  const { createConnection } = process.getBuiltinModule("node:net");
  const socket = address.transport === "unix"
    ? createConnection({ path: address.path })
    : createConnection({ host: address.hostname, port: address.port });
  const client = new NodeClientSocket(socket);
  const aborted = (): void => socket.destroy();
  signal.addEventListener("abort", aborted);
  try {
    await client.connected;
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener("abort", aborted);
  }
  if (address.transport === "tcp") socket.setNoDelay(true);
  return client;
}

/** A socket of `node:net` as a client's. */
export class NodeClientSocket implements ClientSocket {
  /** Resolves when the socket is connected; rejects with the reason if it is not. */
  readonly connected: Promise<void>;
  readonly #socket: NodeSocket;
  #ended = false;
  #failed: unknown;
  #change: PromiseWithResolvers<void> | undefined;

  /** Takes over a socket, from which nothing has been read. */
  constructor(socket: NodeSocket) {
    this.#socket = socket;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.connected = promise;
    const changed = (): void => this.#change?.resolve();
    const ended = (): void => {
      this.#ended = true;
      changed();
    };
    socket.on("connect", resolve);
    socket.on("readable", changed);
    socket.on("end", ended);
    socket.on("close", () => {
      ended();
      reject(new Error("the socket was closed"));
    });
    socket.on("error", (error) => {
      this.#failed ??= error;
      changed();
      reject(error);
    });
  }

  async read(): Promise<Uint8Array | null> {
    for (;;) {
      const chunk = this.#socket.read();
      if (chunk !== null) return chunk;
      if (this.#failed !== undefined) throw this.#failed;
      if (this.#ended) return null;
      this.#change = Promise.withResolvers();
      await this.#change.promise;
    }
  }

  async write(bytes: Uint8Array): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#socket.write(bytes, (error) => error ? reject(error) : resolve());
    await promise;
  }

  close(): void {
    this.#socket.destroy();
  }
}
