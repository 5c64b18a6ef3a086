/**
 * Listening sockets that systemd has opened.
 *
 * Deno adopts descriptors only through `node:net`, which is loaded only if such a
 * socket is used. The classes here give its connections the interface of Deno's: reads
 * on demand, writes in pieces, and a separate shutdown.
 *
 * @module
 */

import { Failure } from "./failure.ts";
import { DENO_VERSION, IS_OLDER_DENO } from "./runtime.ts";
import type { Acceptor, Stream } from "./stream.ts";

/** The size of a write, small enough that the progress of a slow reader can be seen. */
const PIECE_BYTES = 65536;

/**
 * Adopts a listening socket.
 *
 * @param name the name of the socket, for messages
 * @throws Failure if this Deno cannot adopt sockets, or it is not a listening socket
 */
export async function adopt(name: string, descriptor: number): Promise<Acceptor> {
  if (IS_OLDER_DENO) {
    throw new Failure(
      78,
      `fd:${name}: Deno ${DENO_VERSION} cannot use sockets that systemd passes; ` +
        "use 2.9 or later, or let qmpmux listen itself (unix:/path)",
    );
  }
  const server = nodeNet().createServer({ allowHalfOpen: true, noDelay: true });
  const acceptor = new PassedListener(server);
  try {
    await acceptor.listen(descriptor);
  } catch (error) {
    throw new Failure(
      78,
      `fd:${name}: descriptor ${descriptor} is not a listening socket (${
        (error as Error).message
      }); ` +
        "set ListenStream= and Accept=no",
    );
  }
  return acceptor;
}

/** The part of `node:net` that is used here; the types of `node:net` would have to be downloaded. */
interface NodeNet {
  createServer(options: { allowHalfOpen: boolean; noDelay: boolean }): Server;
}

interface Server {
  on(event: "connection", listener: (socket: Socket) => void): void;
  on(event: "error", listener: (error: Error) => void): void;
  off(event: "error", listener: (error: Error) => void): void;
  listen(options: { fd: number }, listening: () => void): void;
  address(): string | null | { address: string; port: number };
  close(): void;
}

interface Socket {
  on(event: "readable" | "end" | "close", listener: () => void): void;
  on(event: "error", listener: (error: Error) => void): void;
  read(): Uint8Array | null;
  write(bytes: Uint8Array, done: (error?: Error | null) => void): void;
  end(done: () => void): void;
  destroy(): void;
}

/** Loads `node:net`; a static import would load it every time. */
function nodeNet(): NodeNet {
  const { process } = globalThis as unknown as {
    process: { getBuiltinModule(name: "node:net"): NodeNet };
  };
  return process.getBuiltinModule("node:net");
}

/**
 * A listening socket of `node:net`.
 *
 * If no descriptor is left, Deno 2.9.6 stops accepting for good, without an error. The limit of
 * clients must therefore be reached before the limit of open files.
 */
class PassedListener implements Acceptor {
  readonly #server: Server;
  /** The connections that `accept` has not returned yet. */
  readonly #pending: PassedSocket[] = [];
  #failed: unknown;
  #waiting: PromiseWithResolvers<void> | undefined;

  constructor(server: Server) {
    this.#server = server;
    server.on("connection", (socket) => {
      this.#pending.push(new PassedSocket(socket));
      this.#waiting?.resolve();
    });
  }

  async listen(fd: number): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#server.on("error", reject);
    this.#server.listen({ fd }, resolve);
    await promise;
    this.#server.off("error", reject);
    this.#server.on("error", (error) => {
      this.#failed = error;
      this.#waiting?.resolve();
    });
  }

  get addr(): Deno.Addr {
    const address = this.#server.address();
    if (address === null || typeof address === "string") {
      return { transport: "unix", path: address ?? "" };
    }
    return { transport: "tcp", hostname: address.address, port: address.port };
  }

  async accept(): Promise<Stream> {
    for (;;) {
      const next = this.#pending.shift();
      if (next !== undefined) return next;
      if (this.#failed !== undefined) {
        const error = this.#failed;
        this.#failed = undefined;
        throw denoError(error);
      }
      this.#waiting = Promise.withResolvers();
      await this.#waiting.promise;
    }
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#pending) socket.close();
    this.#failed = new Deno.errors.BadResource("Listener has been closed");
    this.#waiting?.resolve();
  }
}

/** A connection of `node:net` with the interface of Deno's. */
class PassedSocket implements Stream {
  readonly #socket: Socket;
  #rest: Uint8Array | undefined;
  #ended = false;
  #failed: unknown;
  #change: PromiseWithResolvers<void> | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("readable", () => this.#change?.resolve());
    socket.on("end", () => {
      this.#ended = true;
      this.#change?.resolve();
    });
    socket.on("error", (error) => this.#fail(denoError(error)));
    socket.on("close", () => this.#fail(interrupted()));
  }

  async read(buffer: Uint8Array): Promise<number | null> {
    for (;;) {
      const chunk: Uint8Array | null = this.#rest ?? this.#socket.read();
      if (chunk !== null) {
        const length = Math.min(chunk.length, buffer.length);
        buffer.set(chunk.subarray(0, length));
        this.#rest = length < chunk.length ? chunk.subarray(length) : undefined;
        return length;
      }
      if (this.#ended) return null;
      if (this.#failed !== undefined) throw this.#failed;
      this.#change = Promise.withResolvers();
      await this.#change.promise;
    }
  }

  /**
   * Writes the first bytes; returns their number.
   *
   * An empty write does nothing here: unlike Deno's, it does not fail if the peer has disconnected.
   */
  async write(bytes: Uint8Array): Promise<number> {
    if (this.#failed !== undefined) throw this.#failed;
    const piece = bytes.subarray(0, PIECE_BYTES);
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    this.#socket.write(piece, (error) => {
      if (error) reject(this.#failed ?? denoError(error));
      else resolve(piece.length);
    });
    return await promise;
  }

  async closeWrite(): Promise<void> {
    if (this.#failed !== undefined) throw this.#failed;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#socket.end(resolve);
    await promise;
  }

  close(): void {
    this.#fail(interrupted());
    this.#socket.destroy();
  }

  #fail(error: unknown): void {
    this.#failed ??= error;
    this.#change?.resolve();
  }
}

function interrupted(): Error {
  return new Deno.errors.Interrupted("operation canceled");
}

/** Deno's errors by the codes of Node's errors. */
const ERRORS: Readonly<Record<string, new (message: string) => Error>> = {
  ECONNRESET: Deno.errors.ConnectionReset,
  EPIPE: Deno.errors.BrokenPipe,
  ECONNABORTED: Deno.errors.ConnectionAborted,
  ENOTCONN: Deno.errors.NotConnected,
  ETIMEDOUT: Deno.errors.TimedOut,
  ERR_STREAM_DESTROYED: Deno.errors.Interrupted,
  ERR_STREAM_WRITE_AFTER_END: Deno.errors.BrokenPipe,
};

/** Returns the error that Deno's own sockets would have thrown. */
function denoError(error: unknown): unknown {
  const { code, message } = error as { code?: string; message: string };
  const kind = code === undefined ? undefined : ERRORS[code];
  if (kind !== undefined) return new kind(message);
  if (code === "EMFILE" || code === "ENFILE") return new Error(`too many open files (${message})`);
  return error;
}
