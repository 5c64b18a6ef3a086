/**
 * The sockets of a fake QEMU: one that listens, and connections in memory.
 *
 * @module
 */

import type { ByteStreams } from "../client/byte_streams.ts";
import type { ClientSocket } from "../platform/client_socket.ts";
import { listenSocket, type ServerSocket, temporaryAddress } from "../platform/server_socket.ts";
import { type Address, addressText, parseAddress } from "../policy/address.ts";
import { UsageError } from "../policy/usage_error.ts";
import { memoryPair } from "./memory_socket.ts";

/** The part of a fake QEMU behind its sockets. */
export interface Service {
  /** Serves a connection until it ends. */
  serve(socket: ClientSocket): Promise<void>;
  /** Closes all connections at once. */
  closeConnections(): void;
  /** Gives up what is delayed; resolves when nothing runs. */
  finish(): Promise<void>;
}

/** The sockets of a fake QEMU. */
export class FakeServer {
  readonly #service: Service;
  /** Removes the directory of the socket. */
  #remove = (): void => {};
  #address: Address | undefined;
  /** The socket, while it listens. */
  #socket: ServerSocket | undefined;
  #accepting: Promise<void> = Promise.resolve();
  readonly #serving = new Set<Promise<void>>();
  #hasEnded = false;
  #failure: { readonly error: unknown } | undefined;

  /** Creates a server without a listening socket. */
  constructor(service: Service) {
    this.#service = service;
  }

  /**
   * Listens.
   *
   * @param text the address; without it, a unix socket in a new directory
   * @throws TypeError if the address is invalid; Error with the `code` of the system's error if it cannot listen
   */
  async listen(text?: string): Promise<void> {
    let address: Address;
    if (text === undefined) {
      const place = temporaryAddress();
      this.#remove = place.remove;
      address = place.address;
    } else address = addressIn(text);
    await this.#listenAt(address);
  }

  /**
   * The address of its socket, `unix:/path` or `tcp:HOST:PORT`.
   *
   * @throws Error if it has none
   */
  get address(): string {
    if (this.#address === undefined) {
      throw new Error("this fake QEMU has no socket; connect with open()");
    }
    return addressText(this.#address);
  }

  /**
   * Opens a connection in memory.
   *
   * @returns the client's end
   * @throws Error if it has ended
   */
  open(): ByteStreams {
    if (this.#hasEnded) throw new Error("this fake QEMU has ended");
    const { socket, streams } = memoryPair();
    this.#arrived(socket);
    return streams;
  }

  /** Ends all connections, and listens again at the same address. */
  async restart(): Promise<void> {
    this.#service.closeConnections();
    if (this.#socket === undefined) return;
    await this.#unlisten();
    await this.#accepting;
    if (!this.#hasEnded) await this.#listenAt(this.#address!);
  }

  /** Ends all connections, and listens no more. */
  async end(): Promise<void> {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#service.closeConnections();
    await this.#unlisten();
  }

  /** Ends with an error, which {@linkcode close} throws. */
  async fail(error: unknown): Promise<void> {
    this.#failure ??= { error };
    await this.end();
  }

  /**
   * Ends, waits for all that runs, and removes the directory of the socket.
   *
   * @throws what {@linkcode fail} was given
   */
  async close(): Promise<void> {
    await this.end();
    await this.#service.finish();
    await this.#accepting;
    await Promise.all(this.#serving);
    this.#remove();
    this.#remove = () => {};
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure !== undefined) throw failure.error;
  }

  async #listenAt(address: Address): Promise<void> {
    this.#socket = await listenSocket(address);
    this.#address = this.#socket.address;
    this.#accepting = this.#accept(this.#socket).catch((error) => this.fail(error));
  }

  async #unlisten(): Promise<void> {
    const socket = this.#socket;
    this.#socket = undefined;
    await socket?.close();
  }

  async #accept(server: ServerSocket): Promise<void> {
    for (let socket = await server.accept(); socket; socket = await server.accept()) {
      this.#arrived(socket);
    }
  }

  #arrived(socket: ClientSocket): void {
    if (this.#hasEnded) return socket.close();
    const serving: Promise<void> = this.#service.serve(socket)
      .catch((error) => this.fail(error))
      .finally(() => this.#serving.delete(serving));
    this.#serving.add(serving);
  }
}

function addressIn(text: string): Address {
  try {
    return parseAddress(text);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    throw new TypeError(error.message, { cause: error });
  }
}
