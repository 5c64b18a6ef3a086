/**
 * A connection as a pair of streams: of a tunnel, of a process, or in memory.
 *
 * @module
 */

import type { ClientSocket } from "../platform/client_socket.ts";

/** One end of a connection, as streams of bytes. */
export interface ByteStreams {
  /** The bytes of the other end. */
  readonly readable: ReadableStream<Uint8Array>;
  /** The bytes for the other end. */
  readonly writable: WritableStream<Uint8Array>;
}

/**
 * Returns a socket over a pair of streams.
 *
 * @throws TypeError if something else reads or writes them
 */
export function streamSocket({ readable, writable }: ByteStreams): ClientSocket {
  return new StreamSocket(readable.getReader(), writable.getWriter());
}

/** A socket over streams. */
class StreamSocket implements ClientSocket {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #closed = Promise.withResolvers<never>();

  constructor(
    reader: ReadableStreamDefaultReader<Uint8Array>,
    writer: WritableStreamDefaultWriter<Uint8Array>,
  ) {
    this.#reader = reader;
    this.#writer = writer;
    // The other end may leave at any time, and this end may be closed; a read or a write then tells it.
    for (const end of [reader.closed, writer.closed, this.#closed.promise]) end.catch(() => {});
  }

  async read(): Promise<Uint8Array | null> {
    let value: unknown;
    try {
      ({ value } = await this.#reader.read());
    } catch {
      // The other end has aborted its stream, which ends it.
      return null;
    }
    if (value === undefined || value instanceof Uint8Array) return value ?? null;
    throw new TypeError("the stream yields something else than Uint8Array");
  }

  async write(bytes: Uint8Array): Promise<void> {
    try {
      // A copy: the other end may keep it, and the caller may use the buffer again.
      await Promise.race([this.#writer.write(bytes.slice()), this.#closed.promise]);
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
