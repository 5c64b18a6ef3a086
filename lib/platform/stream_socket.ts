/**
 * An accepted connection as a socket of chunks.
 *
 * @module
 */

import { type ClientSocket, isEnded } from "./client_socket.ts";
import type { Stream } from "./stream.ts";

/** The most bytes that one read returns. */
const BUFFER_BYTES = 65536;

/** Returns a connection as a socket of chunks. */
export function streamSocket(stream: Stream): ClientSocket {
  stream.setNoDelay?.(true);
  const buffer = new Uint8Array(BUFFER_BYTES);
  return {
    async read(): Promise<Uint8Array | null> {
      const length = await stream.read(buffer);
      return length === null ? null : buffer.subarray(0, length);
    },
    async write(bytes: Uint8Array): Promise<void> {
      for (let at = 0; at < bytes.length;) at += await stream.write(bytes.subarray(at));
    },
    close(): void {
      try {
        stream.close();
      } catch (error) {
        // It is closed already.
        if (!isEnded(error)) throw error;
      }
    },
  };
}
