/**
 * A connection in memory: a socket for the fake QEMU, and two streams for its client.
 *
 * @module
 */

import type { ClientSocket } from "../platform/client_socket.ts";

/** The client's end of a connection in memory. */
export interface ByteStreams {
  /** The bytes of the other end. */
  readonly readable: ReadableStream<Uint8Array>;
  /** The bytes for the other end. */
  readonly writable: WritableStream<Uint8Array>;
}

/** The writes that one end takes before the other reads, as a socket has a buffer. */
const ROOM = 256;

/** Returns the two ends of a new connection. */
export function memoryPair(): { readonly socket: ClientSocket; readonly streams: ByteStreams } {
  const room = new CountQueuingStrategy({ highWaterMark: ROOM });
  const toServer = new TransformStream<Uint8Array, Uint8Array>({}, undefined, room);
  const toClient = new TransformStream<Uint8Array, Uint8Array>({}, undefined, room);
  const streams = { readable: toClient.readable, writable: toServer.writable };
  return { socket: new MemorySocket(toServer.readable, toClient.writable), streams };
}

/** The fake QEMU's end. */
class MemorySocket implements ClientSocket {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #closed = Promise.withResolvers<never>();

  constructor(readable: ReadableStream<Uint8Array>, writable: WritableStream<Uint8Array>) {
    this.#reader = readable.getReader();
    this.#writer = writable.getWriter();
    // The client may cancel its end at any time, and this end may be closed; a write then tells it.
    this.#writer.closed.catch(() => {});
    this.#reader.closed.catch(() => {});
    this.#closed.promise.catch(() => {});
  }

  async read(): Promise<Uint8Array | null> {
    try {
      const { value } = await this.#reader.read();
      return value ?? null;
    } catch {
      // The client has aborted its stream, which ends it.
      return null;
    }
  }

  async write(bytes: Uint8Array): Promise<void> {
    try {
      await Promise.race([this.#writer.write(bytes), this.#closed.promise]);
    } catch (error) {
      throw Object.assign(new Error("the connection has ended", { cause: error }), {
        code: "EPIPE",
      });
    }
  }

  close(): void {
    this.#closed.reject(new Error("closed"));
    this.#writer.close().catch(() => {});
    this.#reader.cancel().catch(() => {});
  }
}
